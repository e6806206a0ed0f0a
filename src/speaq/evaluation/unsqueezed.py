"""Metrics whose results keep their shape."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from torchmetrics import Metric


class UnsqueezedMetric(Metric):
    """A torchmetrics metric whose ``compute`` returns a dictionary.

    torchmetrics makes scalars of tensors with one element, also of a table of one class; here they keep
    their shape.
    """

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        shapes: dict[str, Any] = {}

        @wraps(compute)
        def compute_and_note(*args: Any, **kwargs: Any) -> dict[str, Any]:
            results = compute(*args, **kwargs)
            shapes.update({name: value.shape for name, value in results.items() if hasattr(value, "shape")})
            return results

        wrapped = super()._wrap_compute(compute_and_note)

        @wraps(compute)
        def compute_unsqueezed(*args: Any, **kwargs: Any) -> dict[str, Any]:
            results = wrapped(*args, **kwargs)
            return {
                name: value.reshape(shapes[name]) if name in shapes else value
                for name, value in results.items()
            }

        return compute_unsqueezed
