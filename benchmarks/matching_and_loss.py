"""Time of matching and loss at the scale of the paper, beside a plain version of the same computation.

    python benchmarks/matching_and_loss.py --images 5 --relations 8

The plain version follows the equations layer by layer and, as DETR's matcher does, compares every prediction
of the batch with every relation of the batch before it takes the blocks on the diagonal.
"""

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from measuring import durations, start_torch
from speaq.boxes import cxcywh_to_xyxy, iou_and_giou
from speaq.losses.criterion import Criterion
from speaq.matching.groups import QueryGroups, group_queries
from speaq.matching.matcher import OUT_OF_GROUP_COST, Matcher
from speaq.matching.published import VG_PREDICATE_COUNTS
from speaq.structures import RawOutput, Target

LAYERS, MULTIPLIER, OBJECTS, PREDICATES = 6, 2, 150, 50


def random_batch(
    images: int, relations: int, queries: int = 300, seed: int = 0
) -> tuple[RawOutput, list[Target]]:
    """Outputs that find some of the boxes, and targets."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def boxes(*shape: int) -> Tensor:
        return torch.cat((0.2 + 0.6 * rand(*shape, 2), 0.05 + 0.3 * rand(*shape, 2)), -1)

    p = queries * MULTIPLIER
    output = RawOutput(
        subject_logits=3 * rand(LAYERS, images, queries, OBJECTS + 1),
        object_logits=3 * rand(LAYERS, images, queries, OBJECTS + 1),
        subject_boxes=boxes(LAYERS, images, queries),
        object_boxes=boxes(LAYERS, images, queries),
        predicate_logits=3 * rand(LAYERS, images, p, PREDICATES + 1),
        predicate_boxes=boxes(LAYERS, images, p),
    )
    targets = []
    for image in range(images):
        count = 2 * relations
        pairs = (rand(relations, 2) * count).long()
        predicates = (rand(relations, 1) * PREDICATES).long()
        targets.append(
            Target(
                image_id=image,
                boxes=boxes(count),
                labels=(rand(count) * OBJECTS).long(),
                relations=torch.cat((pairs, predicates), 1),
                relation_boxes=boxes(relations),
            )
        )
    return output, targets


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU of cxcywh boxes (..., 4), on slices of the last axis."""
    return iou_and_giou(cxcywh_to_xyxy(a).unbind(-1), cxcywh_to_xyxy(b).unbind(-1))


def plain(output: RawOutput, targets: list[Target], groups: QueryGroups, weights: Tensor) -> Tensor:
    """The weighted loss, layer by layer."""
    in_query = torch.tensor(groups.group_of_query)
    of_predicate = torch.tensor(groups.group_of_predicate)
    sizes = [len(target.relations) for target in targets]
    predicates = torch.cat([target.relations[:, 2] for target in targets])
    labels = [torch.cat([t.labels[t.relations[:, side]] for t in targets]) for side in (0, 1)]
    wanted = [torch.cat([t.boxes[t.relations[:, side]] for t in targets]) for side in (0, 1)]
    wanted.append(torch.cat([t.relation_boxes for t in targets]))
    object_weights = torch.ones(OBJECTS + 1)
    object_weights[-1] = 0.1
    total = output.predicate_boxes.new_zeros(())
    for layer in range(LAYERS):
        logits = [
            output.subject_logits[layer].repeat_interleave(MULTIPLIER, 1),
            output.object_logits[layer].repeat_interleave(MULTIPLIER, 1),
            output.predicate_logits[layer],
        ]
        boxes = [
            output.subject_boxes[layer].repeat_interleave(MULTIPLIER, 1),
            output.object_boxes[layer].repeat_interleave(MULTIPLIER, 1),
            output.predicate_boxes[layer],
        ]
        batch, queries = logits[0].shape[:2]
        with torch.no_grad():
            classes = (*labels, predicates)
            flat = [value.flatten(0, 1).softmax(-1)[:, c] for value, c in zip(logits, classes, strict=True)]
            cost = -sum(flat)
            for found, want in zip(boxes, wanted, strict=True):
                found = found.flatten(0, 1)
                giou = overlap(found[:, None], want[None])[1]
                cost = cost + 5 * torch.cdist(found, want, p=1) - 2 * giou
            inside = in_query[:, None] == of_predicate[predicates][None]
            cost = (cost.view(batch, queries, -1) + OUT_OF_GROUP_COST * ~inside).split(sizes, -1)
            overlaps = [overlap(boxes[side].flatten(0, 1)[:, None], wanted[side][None])[0] for side in (0, 1)]
            quality = torch.maximum(*overlaps).view(batch, queries, -1) * inside
            quality = (quality - 0.5 * flat[2].view(batch, queries, -1)).split(sizes, -1)
        matches = []
        for image in range(batch):
            copies = quality[image][image].topk(4, 0).values.sum(0).int().clamp(min=1)
            repeated = torch.repeat_interleave(torch.arange(sizes[image]), copies)
            rows, columns = linear_sum_assignment(cost[image][image][:, repeated].cpu().numpy())
            matches.append((torch.as_tensor(rows), repeated[torch.as_tensor(columns)]))
        image_index = torch.cat([torch.full_like(rows, i) for i, (rows, _) in enumerate(matches)])
        query_index = torch.cat([rows for rows, _ in matches])
        first = np.cumsum([0, *sizes[:-1]])
        target_index = torch.cat([t + int(f) for (_, t), f in zip(matches, first, strict=True)])
        for part, (found, want) in enumerate(zip(boxes, wanted, strict=True)):
            classes = (*labels, predicates)[part]
            nothing = logits[part].shape[-1] - 1
            goal = torch.full((batch, queries), nothing)
            goal[image_index, query_index] = classes[target_index]
            class_weights = weights if part == 2 else object_weights
            total = total + F.cross_entropy(logits[part].transpose(1, 2), goal, class_weights)
            matched, want = found[image_index, query_index], want[target_index]
            giou_loss = (1 - overlap(matched, want)[1]).sum()
            total = total + (5 * F.l1_loss(matched, want, reduction="sum") + 2 * giou_loss) / len(matched)
    return total


def criterion_and_groups(queries: int) -> tuple[Criterion, QueryGroups, Tensor]:
    """The criterion with the published settings, its groups of queries and weights of predicates."""
    groups = group_queries(
        counts=VG_PREDICATE_COUNTS, num_groups=4, num_queries=queries, multiplier=MULTIPLIER
    )
    weights = torch.ones(PREDICATES + 1)
    weights[-1] = 0.1
    matcher = Matcher(
        class_weight=1.0,
        l1_weight=5.0,
        giou_weight=2.0,
        one2many_scheme="dynamic",
        one2many_k=4,
        quality_scheme="max",
        predicate_weight=-0.5,
        match_independent=True,
        groups=groups,
    )
    criterion = Criterion(
        matcher=matcher,
        num_objects=OBJECTS,
        predicate_weights=weights,
        no_object_weight=0.1,
        relation_loss_weight=1.0,
        l1_weight=5.0,
        giou_weight=2.0,
        dense_loss_weight=0.0,
        deep_supervision=True,
        source_names=("real",),
    )
    return criterion, groups, weights


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=5)
    parser.add_argument("--relations", type=int, default=8)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    start_torch(options.threads)

    output, targets = random_batch(options.images, options.relations, options.queries)
    criterion, groups, weights = criterion_and_groups(options.queries)
    ours = criterion(output, targets).total.item()
    theirs = plain(output, targets, groups, weights).item()
    print(f"loss {ours:.4f}, plain version {theirs:.4f}")

    for value in (output.subject_logits, output.object_boxes, output.predicate_logits):
        value.requires_grad_(True)
    print(
        f"{options.images} images, {options.relations} relations each, {LAYERS} layers, "
        f"{options.queries} x {MULTIPLIER} queries, {options.threads} threads:"
    )
    for name, back in (("forward", False), ("forward and backward", True)):

        def median(loss: Callable[[], Tensor], back: bool = back) -> float:
            call = (lambda: loss().backward()) if back else loss
            return statistics.median(durations(call, options.repeats, options.threads))

        fast = median(lambda: criterion(output, targets).total)
        slow = median(lambda: plain(output, targets, groups, weights))
        print(f"{name}: ours {fast:.0f} ms, plain {slow:.0f} ms, ratio {slow / fast:.1f}")


if __name__ == "__main__":
    main()
