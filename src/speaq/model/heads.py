"""Prediction heads: classes and boxes from decoder states."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speaq.model.linear import Linear


class BoxHead(nn.Module):
    """A three-layer perceptron and a sigmoid: (cx, cy, w, h) in 0..1.

    Args:
        hidden_dim: D.
        relative: initialize the last layer so that boxes start at their reference point (if any) with a
            quarter of the image's width and height.
    """

    def __init__(self, *, hidden_dim: int, relative: bool = False):
        super().__init__()
        self.layers = nn.ModuleList(Linear(hidden_dim, width) for width in (hidden_dim, hidden_dim, 4))
        self.relative = relative

    def reset_parameters(self) -> None:
        """Initialize the last layer of relative boxes; other layers are initialized by the model."""
        if self.relative:
            weight, bias = self.layers[-1].parameters()
            nn.init.zeros_(weight)
            with torch.no_grad():
                bias.copy_(torch.tensor([0.0, 0.0, -1.1, -1.1]))

    def forward(self, x: Tensor, centre_logits: Tensor | None = None) -> Tensor:
        """Boxes (..., 4) of states x (..., D).

        Args:
            x: decoder states.
            centre_logits: (..., 2) inverse sigmoid of the reference points (x, y) of (cx, cy).
        """
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        x = self.layers[-1](x).float()
        if centre_logits is not None:
            x = x + F.pad(centre_logits, (0, 2))
        return x.sigmoid()


class Heads(nn.Module):
    """The heads, shared by all decoder layers: entity classes, predicate classes and boxes."""

    def __init__(self, *, hidden_dim: int, num_objects: int, num_predicates: int, relative_boxes: bool):
        super().__init__()
        self.entity_class = Linear(hidden_dim, num_objects + 1)
        self.predicate_class = Linear(hidden_dim, num_predicates + 1)
        self.box = BoxHead(hidden_dim=hidden_dim, relative=relative_boxes)
