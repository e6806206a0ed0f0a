"""The base of the metrics of scene graphs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import torch
from torchmetrics import Metric

from speaq.errors import SpeaqError
from speaq.structures import Annotation


def check_choices(name: str, values: Iterable[object], choices: Sequence[str]) -> None:
    """Check values of an argument ``name``.

    Raises:
        SpeaqError: one is not among the choices.
    """
    for value in values:
        if value not in choices:
            raise SpeaqError(f"{name}: expected {', '.join(choices)}, found {value!r}")


def check_numbers(num_predicates: int, ks: Sequence[int], iou_threshold: float) -> None:
    """Check arguments of the metrics of relations.

    Raises:
        SpeaqError: a number is out of range.
    """
    if num_predicates < 1:
        raise SpeaqError(f"num_predicates: expected at least 1, found {num_predicates}")
    if not ks or min(ks) < 1:
        raise SpeaqError(f"ks: expected one number or more, each at least 1, found {tuple(ks)}")
    if not 0 <= iou_threshold <= 1:
        raise SpeaqError(f"iou_threshold: expected a number in 0..1, found {iou_threshold}")


def check_annotation(annotation: Annotation) -> None:
    """Check that the ground truth of an image belongs together.

    Raises:
        SpeaqError: there are not as many labels as boxes, or a relation is of boxes that do not exist.
    """
    boxes, relations, place = len(annotation.boxes), annotation.relations, f"image {annotation.image_id}"
    if len(annotation.labels) != boxes:
        raise SpeaqError(
            f"{place}: expected a label for each of the {boxes} boxes of the ground truth, found "
            f"{len(annotation.labels)}"
        )
    if len(relations) and (relations.min() < 0 or relations[:, :2].max() >= boxes):
        raise SpeaqError(
            f"{place}: relations of the ground truth: expected positions among its {boxes} boxes and "
            f"predicates, both from 0, found {relations.min()} to {relations[:, :2].max()}"
        )


class GraphMetric(Metric):
    """A torchmetrics metric of graphs and annotations whose ``compute`` returns a dictionary.

    torchmetrics makes scalars of tensors with one element, also of a table of one class; here they keep
    their shape.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def _add(self, sums: Mapping[str, Any]) -> None:
        """Add to the states of these names."""
        for name, value in sums.items():
            state = getattr(self, name)
            setattr(self, name, state + torch.as_tensor(value, dtype=torch.float64).to(state.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all ranks."""
        # A rank that saw no image must still provide arrays of the right shape and type, or the others hang.
        if any(isinstance(getattr(self, name), list) and not getattr(self, name) for name in self._defaults):
            self.update([], [])
        super().sync(*args, **kwargs)

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        shapes: dict[str, Any] = {}

        def compute_and_note() -> dict[str, Any]:
            results = compute()
            shapes.update({name: value.shape for name, value in results.items() if hasattr(value, "shape")})
            return results

        wrapped = super()._wrap_compute(compute_and_note)

        @wraps(compute)
        def compute_unsqueezed() -> dict[str, Any]:
            results = wrapped()
            return results | {name: results[name].reshape(shape) for name, shape in shapes.items()}

        return compute_unsqueezed
