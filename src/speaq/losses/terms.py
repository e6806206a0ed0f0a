"""Terms of the loss: their names, their normalizers, and their sums over sources of data and ranks.

A row is one term in one decoder layer. Shape letters: see `speaq.structures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Term:
    """A term of the total loss.

    Attributes:
        name: published name, such as ``loss_bbox_subject``.
        kind: what normalizes it: "class" terms are divided by the sum of class weights, "box" terms by the
            number of matched pairs.
        weight: in the total.
        every_layer: there is one for each decoder layer, instead of a single one for the encoder.
    """

    name: str
    kind: Literal["class", "box"]
    weight: float
    every_layer: bool = True


@dataclass(frozen=True, slots=True)
class TermSums:
    """A term before normalization.

    Attributes:
        term: the term.
        loss: (L, B) sums over the queries of each image; L = 1 for terms of the encoder.
        normalizer: (L, B) each image's part of the normalizer.
    """

    term: Term
    loss: Tensor
    normalizer: Tensor


def row_name(term: Term, layer: int, num_layers: int) -> str:
    """Logged name: the last layer has the term's own name, auxiliary layer l the suffix ``_l``."""
    return f"{term.name}_{layer}" if term.every_layer and layer < num_layers - 1 else term.name


def divisors(normalizers: Tensor, is_box: Tensor) -> Tensor:
    """Normalizers without zeros: a number of pairs is at least 1, and no sum of class weights counts as 1.

    Args:
        normalizers: (rows, ...).
        is_box: (rows, ...) bool, broadcastable: whether the normalizer is a number of pairs.
    """
    return torch.where(is_box, normalizers.clamp(min=1), normalizers.where(normalizers > 0, 1))


def sum_over_sources(values: Tensor, of_source: Tensor) -> Tensor:
    """Sums (rows, S) of each source's images; a non-finite image does not affect the other sources.

    Args:
        values: (rows, B).
        of_source: (S, B) bool, whether the image is from the source.
    """
    return torch.where(of_source, values[:, None], 0).sum(-1)


def sum_over_ranks(tensors: Sequence[Tensor]) -> tuple[list[Tensor], int]:
    """Sums of tensors over all ranks in one all-reduce, and the number of ranks."""
    packed = torch.cat([tensor.flatten() for tensor in tensors])
    num_ranks = 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(packed)
        num_ranks = torch.distributed.get_world_size()
    parts = packed.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)], num_ranks
