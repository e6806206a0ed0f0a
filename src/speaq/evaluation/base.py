"""The base of the metrics of scene graphs."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from torchmetrics import Metric


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
