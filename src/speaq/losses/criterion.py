"""The training loss: matching, then classes and boxes of subjects, objects and predicates in every layer.

L: layers, B: images, T: relations of all images, Q: entity queries, P = m * Q: predicate queries,
C: object classes, R: predicate classes, S: sources of data, K: matched queries over layers and images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from speaq.losses.box import box_sums
from speaq.losses.classification import classification_sums
from speaq.losses.dense import dense_sums
from speaq.matching.cost import Relations
from speaq.matching.matcher import Assignment, Matcher
from speaq.structures import RawOutput, Target


@dataclass(frozen=True, slots=True)
class Losses:
    """The loss of a batch and what it is made of.

    Attributes:
        total: scalar to minimise. Over several ranks it is this rank's share times the number of ranks, so
            that the mean of the ranks' gradients is the gradient of the whole batch.
        value: scalar, the loss of the whole batch over all ranks; detached.
        terms: unweighted scalars by their published names (``loss_ce_subject``, ``loss_relation_0``, ...),
            with ``class_error_*`` in percent and ``k_log_layer*``; detached; all ranks.
        source_terms: each source's terms of the final layer (``loss_relation_real``, ...,
            ``loss_bbox_subject_synthetic``) and its total (``total_loss_real``), as if the batch had held
            nothing else and with sample weights of 1; NaN for a source without an image in the batch;
            detached; all ranks.
        source_images: (S,) int64, images of each source; all ranks.
        image_terms: (B,) by name, each image's unweighted share of each term; detached; this rank.
        assignment: who was matched with what.
    """

    total: Tensor
    value: Tensor
    terms: dict[str, Tensor]
    source_terms: dict[str, Tensor]
    source_images: Tensor
    image_terms: dict[str, Tensor]
    assignment: Assignment


class Criterion(nn.Module):
    """The loss of SpeaQ (CVPR 2024), linear in the sample weights.

    The weighted loss is sum_i w_i L_i / N: an image's share L_i of every term, its "no object" share
    included, is multiplied by its weight; the normalisers N stay those of the unweighted loss, summed over
    all ranks.

    Args:
        matcher: assigns queries to relations.
        num_objects: C.
        predicate_weights: (R + 1,) class weights, "no relation" last.
        no_object_weight: class weight of "no object".
        relation_weight: of the predicates' cross-entropy in the total.
        l1_weight, giou_weight: of the box terms in the total.
        dense_weight: of the dense auxiliary loss; 0 for none.
        deep_supervision: every layer learns, instead of the last one alone.
        source_names: of the data, in a fixed order that all ranks share.
    """

    object_weights: Tensor
    predicate_weights: Tensor

    def __init__(
        self,
        *,
        matcher: Matcher,
        num_objects: int,
        predicate_weights: Tensor,
        no_object_weight: float = 0.1,
        relation_weight: float = 1.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        dense_weight: float = 0.0,
        deep_supervision: bool = True,
        source_names: Sequence[str] = ("real",),
    ):
        super().__init__()
        self.matcher = matcher
        self.source_names = tuple(source_names)
        self.dense_weight = dense_weight
        self.deep_supervision = deep_supervision
        self.term_weights = {
            "loss_ce_subject": 1.0,
            "loss_bbox_subject": l1_weight,
            "loss_giou_subject": giou_weight,
            "loss_ce_object": 1.0,
            "loss_bbox_object": l1_weight,
            "loss_giou_object": giou_weight,
            "loss_relation": relation_weight,
            "loss_bbox_relation": l1_weight,
            "loss_giou_relation": giou_weight,
        }
        self.dense_term_weights = {
            "loss_dense_ce": dense_weight,
            "loss_dense_bbox": dense_weight * l1_weight,
            "loss_dense_giou": dense_weight * giou_weight,
        }
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
        relations = Relations.of(targets)
        assignment = self.matcher(output, relations)
        sums, norms = self._layer_sums(output, relations, assignment)
        if self.dense_weight and output.token_logits is not None:
            dense, dense_norms = self._dense_sums(output, targets)
            sums, norms = sums | dense, norms | dense_norms
        return self._reduce(
            sums, norms, targets, relations, assignment, self._correct(output, relations, assignment)
        )

    def _layer_sums(
        self, output: RawOutput, relations: Relations, assignment: Assignment
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(L, B) sums and normalisers of every term, in the order of ``term_weights``."""
        m, chosen = output.query_multiplier, assignment.relation
        sums: dict[str, Tensor] = {}
        norms: dict[str, Tensor] = {}
        subject = (
            output.subject_logits,
            relations.subject_labels,
            output.subject_boxes,
            relations.subject_boxes,
        )
        object_ = (output.object_logits, relations.object_labels, output.object_boxes, relations.object_boxes)
        predicate = (
            output.predicate_logits,
            relations.predicates,
            output.predicate_boxes,
            relations.predicate_boxes,
        )
        parts = (
            ("subject", "ce_subject", self.object_weights, m, subject),
            ("object", "ce_object", self.object_weights, m, object_),
            ("relation", "relation", self.predicate_weights, 1, predicate),
        )
        ones = output.predicate_boxes.new_ones(len(chosen))
        matched = output.predicate_boxes.new_zeros(output.predicate_logits.shape[:2])
        matched = matched.index_put((assignment.layer, assignment.image), ones, accumulate=True)
        for name, class_name, weights, per_row, (logits, labels, boxes, wanted) in parts:
            weights = weights.to(logits.dtype)
            ce, ce_norm = classification_sums(logits, labels[chosen], assignment, weights, per_row)
            l1, giou = box_sums(boxes, wanted[chosen].to(boxes.dtype), assignment, per_row)
            sums |= {f"loss_{class_name}": ce, f"loss_bbox_{name}": l1, f"loss_giou_{name}": giou}
            norms |= {
                f"loss_{class_name}": ce_norm,
                f"loss_bbox_{name}": matched,
                f"loss_giou_{name}": matched,
            }
        return sums, norms

    def _dense_sums(
        self, output: RawOutput, targets: Sequence[Target]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(1, B) sums and normalisers of the dense terms."""
        assert output.token_logits is not None and output.token_boxes is not None
        assert output.token_points is not None
        dense = dense_sums(output.token_logits, output.token_boxes, output.token_points, targets)
        names = tuple(self.dense_term_weights)
        sums = (dense.entropy, dense.l1, dense.giou)
        norms = (dense.entropy_weight, dense.positives, dense.positives)
        return (
            {name: value[None] for name, value in zip(names, sums, strict=True)},
            {name: value[None] for name, value in zip(names, norms, strict=True)},
        )

    def _correct(self, output: RawOutput, relations: Relations, assignment: Assignment) -> Tensor:
        """(2,) how many matched subjects and objects of the last layer have the right class."""
        last = assignment.layer == output.subject_logits.shape[0] - 1
        where = (assignment.image, assignment.query // output.query_multiplier)
        hits = []
        for logits, labels in (
            (output.subject_logits[-1], relations.subject_labels),
            (output.object_logits[-1], relations.object_labels),
        ):
            hits.append(((logits.argmax(-1)[where] == labels[assignment.relation]) & last).sum())
        return torch.stack(hits)

    def _members(self, targets: Sequence[Target], device: torch.device) -> Tensor:
        """Whether an image is of a source: (S, B) bool."""
        sources = torch.tensor([self.source_names.index(target.source) for target in targets], device=device)
        return torch.arange(len(self.source_names), device=device)[:, None] == sources

    def _reduce(
        self,
        sums: dict[str, Tensor],
        norms: dict[str, Tensor],
        targets: Sequence[Target],
        relations: Relations,
        assignment: Assignment,
        correct: Tensor,
    ) -> Losses:
        weights = self.term_weights | self.dense_term_weights
        dtype, device = next(iter(sums.values())).dtype, relations.image.device
        rows = [(name, layer) for name, value in sums.items() for layer in range(len(value))]
        row_weights = torch.tensor([weights[name] for name, _ in rows], dtype=dtype, device=device)
        image_sums = torch.cat(tuple(sums.values()))  # (rows, B)
        image_norms = torch.cat([norms[name] for name in sums])

        sample_weights = torch.tensor([target.loss_weight for target in targets], dtype=dtype, device=device)
        weighted = image_sums @ sample_weights  # (rows,)

        member = self._members(targets, device)
        copies = assignment.copies.to(dtype)
        shared = torch.cat(
            (
                _sums_by_source(image_sums.detach(), member).flatten(),
                _sums_by_source(image_norms.detach(), member).flatten(),
                member.sum(1).to(dtype),
                weighted.detach(),
                copies.sum(1),
                copies.new_full((1,), copies.shape[1]),
                correct.to(dtype),
            )
        )
        shared, num_ranks = _sum_over_ranks(shared)
        num_sources = len(self.source_names)
        sizes = [len(rows) * num_sources] * 2 + [num_sources, len(rows), len(copies), 1, 2]
        by_source, norms_by_source, source_images, all_weighted, copy_sums, num_relations, num_correct = (
            shared.split(sizes)
        )
        by_source = by_source.view(len(rows), -1)
        norms_by_source = norms_by_source.view(len(rows), -1)

        boxes = torch.tensor(
            ["ce" not in name and name != "loss_relation" for name, _ in rows], device=device
        )
        normaliser = _at_least(norms_by_source.sum(1), boxes)
        scale = row_weights / normaliser
        total = num_ranks * (weighted * scale).sum()

        num_layers = len(copies)
        names = [_layer_name(name, layer, num_layers) for name, layer in rows]
        values = by_source.sum(1) / normaliser
        # The final layer comes first, as in the logs that users know.
        order = sorted(range(len(rows)), key=lambda row: (names[row] != rows[row][0], rows[row][1]))
        terms = {names[row]: values[row] for row in order}
        matched_last = norms_by_source.sum(1)[rows.index(("loss_bbox_subject", num_layers - 1))].clamp(min=1)
        terms["class_error_subject"] = 100 - 100 * num_correct[0] / matched_last
        terms["class_error_object"] = 100 - 100 * num_correct[1] / matched_last
        for layer, mean in enumerate(copy_sums / num_relations.clamp(min=1)):
            terms[f"k_log_layer{layer + 1}"] = mean
        per_source = by_source / _at_least(norms_by_source, boxes[:, None])  # (rows, S)
        per_source = torch.where(source_images > 0, per_source, torch.nan)
        final = [row for row in order if names[row] == rows[row][0]]
        source_terms: dict[str, Tensor] = {}
        for source, name in enumerate(self.source_names):
            source_terms[f"total_loss_{name}"] = (per_source[:, source] * row_weights).sum()
            source_terms |= {f"{names[row]}_{name}": per_source[row, source] for row in final}
        return Losses(
            total=total,
            value=(all_weighted * scale).sum(),
            terms=terms,
            source_terms=source_terms,
            source_images=source_images.long(),
            image_terms=dict(zip(names, image_sums.detach(), strict=True)),
            assignment=assignment,
        )


def _sums_by_source(values: Tensor, member: Tensor) -> Tensor:
    """Sums (rows, S) over the images of each source; a source keeps its sum where another's is not finite.

    Args:
        values: (rows, B).
        member: (S, B) bool.
    """
    return torch.where(member, values[:, None], 0).sum(-1)


def _at_least(norms: Tensor, counts: Tensor) -> Tensor:
    """Normalisers that can be divided by: at least 1 for numbers of pairs, and no 0 for sums of weights."""
    return torch.where(counts, norms.clamp(min=1), torch.where(norms > 0, norms, torch.ones_like(norms)))


def _layer_name(name: str, layer: int, num_layers: int) -> str:
    """The final layer's terms carry no suffix, nor do the dense ones; auxiliary layer l carries ``_l``."""
    return name if layer == num_layers - 1 or name.startswith("loss_dense") else f"{name}_{layer}"


def _sum_over_ranks(values: Tensor) -> tuple[Tensor, int]:
    """The sum of ``values`` over all ranks, and how many ranks there are."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values, 1
    torch.distributed.all_reduce(values)
    return values, torch.distributed.get_world_size()
