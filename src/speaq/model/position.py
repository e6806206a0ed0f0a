"""The sine position embedding of DETR (Carion et al., ECCV 2020, appendix A.4)."""

import math

import torch
from torch import Tensor


def sine_embedding(coordinates: Tensor, num_features: int, temperature: float = 10000.0) -> Tensor:
    """Sines and cosines of decreasing frequency, interleaved.

    Args:
        coordinates: (...), in 0..2 pi.
        num_features: even number of features per coordinate.
        temperature: of the frequencies.

    Returns:
        (..., num_features): feature 2i is sin(x / temperature ** (2i / num_features)), 2i + 1 its cosine.
    """
    exponent = torch.arange(0, num_features, 2, device=coordinates.device, dtype=torch.float32)
    angles = coordinates[..., None] / temperature ** (exponent / num_features)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def point_embedding(points: Tensor, hidden_dim: int) -> Tensor:
    """Position embedding (..., D), y first, of points (..., 2) given as (x, y) in 0..1."""
    angles = points * (2 * math.pi)
    x, y = angles[..., 0], angles[..., 1]
    return torch.cat((sine_embedding(y, hidden_dim // 2), sine_embedding(x, hidden_dim // 2)), dim=-1)


def grid_embedding(valid: Tensor, height: int, width: int, hidden_dim: int) -> Tensor:
    """Position embedding of the cells of padded feature maps.

    Cell i of n valid ones along an axis has the coordinate (i + 1) / (n + 1e-6), so that the embedding does
    not depend on the padding.

    Args:
        valid: (B, 2) number of cells of each image along y and x.
        height: h of the padded map.
        width: w of the padded map.
        hidden_dim: D.

    Returns:
        (B, h, w, D) float32; values in the padding are not meaningful.
    """
    limits = valid.to(torch.float32) + 1e-6
    y = torch.arange(1, height + 1, device=valid.device) / limits[:, :1]
    x = torch.arange(1, width + 1, device=valid.device) / limits[:, 1:]
    y_embedding = sine_embedding(y * (2 * math.pi), hidden_dim // 2)
    x_embedding = sine_embedding(x * (2 * math.pi), hidden_dim // 2)
    return torch.cat(
        (y_embedding[:, :, None].expand(-1, -1, width, -1), x_embedding[:, None].expand(-1, height, -1, -1)),
        dim=-1,
    )
