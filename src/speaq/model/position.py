"""The sine position code of DETR (Carion et al., ECCV 2020, appendix A.4).

B: images, h, w: feature map height and width, D: hidden size, n: points.
"""

import math

import torch
from torch import Tensor


def sine_code(coordinates: Tensor, num_features: int, temperature: float = 10000.0) -> Tensor:
    """Encode numbers by sines and cosines of falling frequency, interleaved.

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


def point_code(points: Tensor, hidden_dim: int) -> Tensor:
    """Position code (..., D), y first, of points (..., 2) given as (x, y) in 0..1."""
    angles = points * (2 * math.pi)
    x, y = angles[..., 0], angles[..., 1]
    return torch.cat((sine_code(y, hidden_dim // 2), sine_code(x, hidden_dim // 2)), dim=-1)


def grid_code(valid: Tensor, height: int, width: int, hidden_dim: int) -> Tensor:
    """Position code of the cells of padded feature maps.

    Cell i of n valid ones along an axis stands at (i + 1) / (n + 1e-6) of it, so that an image has the same
    code however far it is padded.

    Args:
        valid: (B, 2) number of cells of each image along y and x.
        height: h of the padded map.
        width: w of the padded map.
        hidden_dim: D.

    Returns:
        (B, h, w, D) float32; what it says of padding cells has no meaning.
    """
    limits = valid.to(torch.float32) + 1e-6
    y = torch.arange(1, height + 1, device=valid.device) / limits[:, :1]
    x = torch.arange(1, width + 1, device=valid.device) / limits[:, 1:]
    y_code = sine_code(y * (2 * math.pi), hidden_dim // 2)
    x_code = sine_code(x * (2 * math.pi), hidden_dim // 2)
    return torch.cat(
        (y_code[:, :, None].expand(-1, -1, width, -1), x_code[:, None].expand(-1, height, -1, -1)), dim=-1
    )
