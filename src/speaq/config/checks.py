"""Rules that several keys must keep together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from speaq.config.data import Input, MultiDataset
    from speaq.config.model import Detr
    from speaq.config.schema import Config
    from speaq.config.training import Solver


# Names of sources that a mix has by itself, of all together, and of sections of DATASETS.
_TAKEN = {"real", "synthetic", "mix", "visual_genome", "synthetic_genome", "visual_genome_synthetic"}


class Conflict(NamedTuple):
    """Keys whose values do not go together, and why."""

    keys: tuple[str, ...]
    reason: str


def conflicts(config: "Config") -> list[Conflict]:
    """Everything in the configuration that cannot be had together."""
    detr = config.model.detr
    return [
        *_mix(config.datasets.multi_dataset),
        *_transformer(detr),
        *_queries(detr),
        *_images(config.input),
        *_schedule(config.solver),
    ]


def _mix(mix: "MultiDataset") -> Iterator[Conflict]:
    key = "DATASETS.MULTI_DATASET."
    real, synthetic = f"{key}REAL_SAMPLING_RATIO", f"{key}SYNTHETIC_SAMPLING_RATIO"
    shares = mix.shares
    for name in mix.sources:
        if name.lower() in _TAKEN or [other.lower() for other in mix.sources].count(name.lower()) > 1:
            reason = f"{name} is taken, in whatever case: choose another name"
            yield Conflict((f"{key}SOURCES.{name}.SAMPLING_RATIO",), reason)
    if not mix.enabled:
        return
    if not any(share.ratio for share in shares.values()):
        yield Conflict((real, synthetic), "no source has a share: at least one ratio must be above 0")
    elif not any(share.ratio_at_end for share in shares.values()):
        yield Conflict((f"{real}_END", f"{synthetic}_END"), "no source has a share at the end")
    elif not any(share.loss_weight for share in shares.values() if share.ratio or share.ratio_at_end):
        weights = (f"{key}REAL_LOSS_WEIGHT", f"{key}SYNTHETIC_LOSS_WEIGHT")
        yield Conflict(weights, "no image of the mix would count in the loss: one weight must be above 0")
    if mix.statistics != "mix" and mix.statistics not in shares:
        reason = f"expected mix, or one of the sources {', '.join(shares)}"
        yield Conflict((f"{key}STATISTICS",), reason)


def _transformer(detr: "Detr") -> Iterator[Conflict]:
    if detr.hidden_dim % detr.nheads:
        yield Conflict(
            ("MODEL.DETR.HIDDEN_DIM", "MODEL.DETR.NHEADS"),
            "all attention heads have the same width: HIDDEN_DIM must be a multiple of NHEADS",
        )
    if detr.hidden_dim % 4:
        yield Conflict(
            ("MODEL.DETR.HIDDEN_DIM", "MODEL.DETR.POSITION_EMBEDDING"),
            "the position code is sines and cosines of two axes: HIDDEN_DIM must be a multiple of 4",
        )


def _queries(detr: "Detr") -> Iterator[Conflict]:
    if detr.one2many_scheme == "dynamic" and not detr.match_independent:
        yield Conflict(
            ("MODEL.DETR.ONE2MANY_SCHEME", "MODEL.DETR.MATCH_INDEPENDENT"),
            "dynamic assignment differs from layer to layer: it needs MATCH_INDEPENDENT True",
        )
    if detr.num_object_queries != detr.num_relation_queries:
        yield Conflict(
            ("MODEL.DETR.NUM_OBJECT_QUERIES", "MODEL.DETR.NUM_RELATION_QUERIES"),
            "every predicate query speaks of one entity query: set both to the same number",
        )
    if detr.use_group_mask and detr.num_groups > detr.num_object_queries:
        yield Conflict(
            ("MODEL.DETR.NUM_GROUPS", "MODEL.DETR.NUM_OBJECT_QUERIES"),
            "every group needs a query of its own: have fewer groups or more queries",
        )


def _images(images: "Input") -> Iterator[Conflict]:
    sizes, crop = images.min_size_train, images.crop
    if images.min_size_train_sampling == "range" and (len(sizes) != 2 or sizes[0] > sizes[1]):
        yield Conflict(
            ("INPUT.MIN_SIZE_TRAIN", "INPUT.MIN_SIZE_TRAIN_SAMPLING"),
            "a range is two sizes, the smaller one first",
        )
    if crop.enabled:
        keys = ("INPUT.CROP.TYPE", "INPUT.CROP.SIZE")
        if crop.type.startswith("relative"):
            if max(crop.size) > 1:
                yield Conflict(keys, "SIZE is shares of the image here: at most 1")
        elif not all(side >= 1 and side.is_integer() for side in crop.size):
            yield Conflict(keys, "SIZE is pixels here: whole numbers of at least 1")
        elif crop.type == "absolute_range" and crop.size[0] > crop.size[1]:
            yield Conflict(keys, "SIZE is the least and the greatest side here: the smaller one first")


def _schedule(solver: "Solver") -> Iterator[Conflict]:
    if solver.ims_per_batch % solver.accumulate:
        yield Conflict(
            ("SOLVER.IMS_PER_BATCH", "SOLVER.ACCUMULATE"),
            "the images of a step are computed in ACCUMULATE equal parts: IMS_PER_BATCH must be a multiple",
        )
    if list(solver.steps) != sorted(solver.steps):
        yield Conflict(("SOLVER.STEPS",), "steps must be in rising order")
    if solver.lr_scheduler_name == "WarmupCosineLR" and solver.base_lr_end > solver.base_lr:
        yield Conflict(
            ("SOLVER.BASE_LR", "SOLVER.BASE_LR_END"),
            "the learning rate falls along the cosine: BASE_LR_END must not exceed BASE_LR",
        )
    if solver.optimizer == "SGD" and solver.nesterov and solver.momentum == 0:
        yield Conflict(("SOLVER.NESTEROV", "SOLVER.MOMENTUM"), "Nesterov momentum needs a MOMENTUM above 0")
