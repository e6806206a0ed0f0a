"""The training loss: matching, then class and box losses of subjects, objects and predicates in every layer.

Shape letters: see `speaq.structures`; a row is one term in one decoder layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from speaq.losses.box import box_losses
from speaq.losses.classification import cross_entropy
from speaq.losses.dense import dense_losses
from speaq.losses.terms import Term, TermSums, divisors, row_name, sum_over_ranks, sum_over_sources
from speaq.matching.cost import LogProbabilities, Relations
from speaq.matching.matcher import Assignment, Matcher
from speaq.structures import RawOutput, Target


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss of a batch and its terms.

    Attributes:
        total: scalar to minimise. Over several ranks it is this rank's share times the number of ranks, so
            that the mean of the ranks' gradients is the gradient of the whole batch.
        value: scalar, the loss of the whole batch over all ranks; detached.
        terms: scalars by their published names (``loss_ce_subject``, ``loss_relation_0``, ...), without term
            and sample weights, with ``class_error_*`` in percent and ``k_log_layer*``; detached; all ranks.
        source_terms: each source's terms of the final layer (``loss_relation_real``, ...,
            ``loss_bbox_subject_synthetic``) and its total (``total_loss_real``), as if the batch had held
            only its images, with sample weights of 1; NaN for a source without an image in the batch;
            detached; all ranks.
        source_images: (S,) int64, images of each source; all ranks.
        image_terms: (B,) by name, each image's sum of each term, not normalized; detached; this rank.
        assignment: matched queries and relations.
    """

    total: Tensor
    value: Tensor
    terms: dict[str, Tensor]
    source_terms: dict[str, Tensor]
    source_images: Tensor
    image_terms: dict[str, Tensor]
    assignment: Assignment


class Criterion(nn.Module):
    """The loss of SpeaQ (CVPR 2024), linear in the weights of images and relations.

    The loss is sum_i w_i L_i / N: an image's sum L_i of every term, "no object" queries included, is
    multiplied by its weight w_i; the normalizers N are those of the unweighted loss, summed over all ranks.
    Within L_i, the terms of a query that is matched with a relation are multiplied by the relation's weight.

    Args:
        matcher: assigns queries to relations.
        num_objects: C.
        predicate_weights: (R + 1,) class weights of the predicates, "no relation" last.
        no_object_weight: class weight of "no object".
        relation_loss_weight: weight of the predicates' cross-entropy in the total.
        l1_weight, giou_weight: weights of the box terms in the total.
        dense_loss_weight: weight of the dense auxiliary loss; 0 for none.
        deep_supervision: compute the loss of every decoder layer, instead of the last one only.
        source_names: names of the S sources, in an order that all ranks share.
    """

    object_weights: Tensor
    predicate_weights: Tensor

    def __init__(
        self,
        *,
        matcher: Matcher,
        num_objects: int,
        predicate_weights: Tensor,
        no_object_weight: float,
        relation_loss_weight: float,
        l1_weight: float,
        giou_weight: float,
        dense_loss_weight: float,
        deep_supervision: bool,
        source_names: Sequence[str],
    ):
        super().__init__()
        self.matcher = matcher
        self.source_names = tuple(source_names)
        self.deep_supervision = deep_supervision

        def terms(class_name: str, role: str, class_weight: float) -> tuple[Term, ...]:
            return (
                Term(f"loss_{class_name}", "class", class_weight),
                Term(f"loss_bbox_{role}", "box", l1_weight),
                Term(f"loss_giou_{role}", "box", giou_weight),
            )

        self.subject_terms = terms("ce_subject", "subject", 1.0)
        self.object_terms = terms("ce_object", "object", 1.0)
        self.predicate_terms = terms("relation", "relation", relation_loss_weight)
        self.dense_terms = (
            Term("loss_dense_ce", "class", dense_loss_weight, every_layer=False),
            Term("loss_dense_bbox", "box", dense_loss_weight * l1_weight, every_layer=False),
            Term("loss_dense_giou", "box", dense_loss_weight * giou_weight, every_layer=False),
        )
        self.dense_loss_weight = dense_loss_weight
        object_weights = torch.ones(num_objects + 1)
        object_weights[-1] = no_object_weight
        self.register_buffer("object_weights", object_weights, persistent=False)
        self.register_buffer("predicate_weights", predicate_weights.clone(), persistent=False)

    def forward(self, output: RawOutput, targets: Sequence[Target]) -> Losses:
        """Loss of a batch.

        Args:
            output: of L layers, the last one final.
            targets: B targets on the same device.
        """
        if not self.deep_supervision:
            output = output.last_layer()
        relations = Relations.from_targets(targets)
        log_probabilities = LogProbabilities.from_output(output)
        assignment = self.matcher(output, relations, log_probabilities)
        sums = self._decoder_sums(output, log_probabilities, relations, assignment)
        if self.dense_loss_weight:
            sums += self._dense_sums(output, targets)
        num_correct = self._count_correct(output, relations, assignment)
        return self._reduce(sums, targets, assignment, num_correct)

    def _decoder_sums(
        self,
        output: RawOutput,
        log_probabilities: LogProbabilities,
        relations: Relations,
        assignment: Assignment,
    ) -> list[TermSums]:
        """Class, L1 and GIoU terms of subjects, objects and predicates, each (L, B)."""
        matched, m = assignment.relation, output.query_multiplier
        weights = relations.weights[matched].to(output.predicate_boxes.dtype)
        ones = output.predicate_boxes.new_ones(len(matched))
        num_matched = output.predicate_boxes.new_zeros(output.predicate_logits.shape[:2])
        num_matched = num_matched.index_put((assignment.layer, assignment.image), ones, accumulate=True)
        sums = []
        for terms, log_probs, labels, class_weights, boxes, target_boxes, multiplier in (
            (
                self.subject_terms,
                log_probabilities.subject,
                relations.subject_labels,
                self.object_weights,
                output.subject_boxes,
                relations.subject_boxes,
                m,
            ),
            (
                self.object_terms,
                log_probabilities.object,
                relations.object_labels,
                self.object_weights,
                output.object_boxes,
                relations.object_boxes,
                m,
            ),
            (
                self.predicate_terms,
                log_probabilities.predicate,
                relations.predicates,
                self.predicate_weights,
                output.predicate_boxes,
                relations.predicate_boxes,
                1,
            ),
        ):
            class_loss, class_normalizer = cross_entropy(
                log_probs,
                labels[matched],
                assignment,
                class_weights.to(log_probs.dtype),
                weights,
                multiplier,
            )
            l1_loss, giou_loss = box_losses(
                boxes, target_boxes[matched].to(boxes.dtype), assignment, weights, multiplier
            )
            sums += [
                TermSums(terms[0], class_loss, class_normalizer),
                TermSums(terms[1], l1_loss, num_matched),
                TermSums(terms[2], giou_loss, num_matched),
            ]
        return sums

    def _dense_sums(self, output: RawOutput, targets: Sequence[Target]) -> list[TermSums]:
        """The dense terms, each (1, B); none where the network has no outputs for them (in evaluation)."""
        if output.token_logits is None or output.token_boxes is None or output.token_points is None:
            return []
        dense = dense_losses(output.token_logits, output.token_boxes, output.token_points, targets)
        losses = (dense.cross_entropy, dense.l1_loss, dense.giou_loss)
        normalizers = (dense.class_weight, dense.num_foreground, dense.num_foreground)
        return [
            TermSums(term, loss[None], normalizer[None])
            for term, loss, normalizer in zip(self.dense_terms, losses, normalizers, strict=True)
        ]

    def _count_correct(self, output: RawOutput, relations: Relations, assignment: Assignment) -> Tensor:
        """(2,) numbers of matched subjects and objects of the last layer with the right class."""
        in_last_layer = assignment.layer == output.subject_logits.shape[0] - 1
        index = (assignment.image, assignment.query // output.query_multiplier)
        counts = [
            ((logits[-1].argmax(-1)[index] == labels[assignment.relation]) & in_last_layer).sum()
            for logits, labels in (
                (output.subject_logits, relations.subject_labels),
                (output.object_logits, relations.object_labels),
            )
        ]
        return torch.stack(counts)

    def _of_source(self, targets: Sequence[Target], device: torch.device) -> Tensor:
        """(S, B) bool: whether an image is from a source."""
        source = torch.tensor([self.source_names.index(target.source) for target in targets], device=device)
        return torch.arange(len(self.source_names), device=device)[:, None] == source

    def _reduce(
        self, sums: list[TermSums], targets: Sequence[Target], assignment: Assignment, num_correct: Tensor
    ) -> Losses:
        """Reduce the sums of this rank's images to the loss of all ranks' images."""
        loss = torch.cat([each.loss for each in sums])  # (rows, B)
        normalizer = torch.cat([each.normalizer for each in sums])
        rows = [(each.term, layer) for each in sums for layer in range(len(each.loss))]
        term_weights = loss.new_tensor([term.weight for term, _ in rows])
        is_box = torch.tensor([term.kind == "box" for term, _ in rows], device=loss.device)
        sample_weights = loss.new_tensor([target.loss_weight for target in targets])
        of_source = self._of_source(targets, loss.device)
        num_copies = assignment.num_copies.to(loss.dtype)

        weighted_loss = loss @ sample_weights  # (rows,)
        shared, num_ranks = sum_over_ranks(
            (
                weighted_loss.detach(),
                sum_over_sources(loss.detach(), of_source),
                sum_over_sources(normalizer.detach(), of_source),
                of_source.sum(1).to(loss.dtype),
                num_copies.sum(1),
                num_copies.new_full((1,), num_copies.shape[1]),
                num_correct.to(loss.dtype),
            )
        )
        all_loss, source_loss, source_normalizer, source_images, copies, num_relations, correct = shared
        divisor = divisors(source_normalizer.sum(1), is_box)
        scale = term_weights / divisor
        mean_loss = source_loss.sum(1) / divisor
        source_mean_loss = source_loss / divisors(source_normalizer, is_box[:, None])  # (rows, S)
        source_mean_loss = torch.where(source_images > 0, source_mean_loss, torch.nan)

        num_layers = len(copies)
        names = [row_name(term, layer, num_layers) for term, layer in rows]
        # Logs have the final layer first, then the auxiliary layers.
        order = sorted(range(len(rows)), key=lambda row: (names[row] != rows[row][0].name, rows[row][1]))
        final = [row for row in order if names[row] == rows[row][0].name]
        num_matched = divisor[names.index("loss_bbox_subject")]
        terms = {names[row]: mean_loss[row] for row in order}
        terms["class_error_subject"] = 100 - 100 * correct[0] / num_matched
        terms["class_error_object"] = 100 - 100 * correct[1] / num_matched
        for layer, mean in enumerate(copies / num_relations.clamp(min=1), start=1):
            terms[f"k_log_layer{layer}"] = mean
        source_terms: dict[str, Tensor] = {}
        for source, source_loss in zip(self.source_names, source_mean_loss.T, strict=True):
            source_terms[f"total_loss_{source}"] = (source_loss * term_weights).sum()
            source_terms |= {f"{names[row]}_{source}": source_loss[row] for row in final}

        return Losses(
            total=num_ranks * (weighted_loss * scale).sum(),
            value=(all_loss * scale).sum(),
            terms=terms,
            source_terms=source_terms,
            source_images=source_images.long(),
            image_terms=dict(zip(names, loss.detach(), strict=True)),
            assignment=assignment,
        )
