"""Multi-head attention and the feed-forward network, the two blocks of every layer.

B: images, q: queries, k: keys, D: hidden size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., NeurIPS 2017), with dropout on the probabilities.

    Args:
        hidden_dim: D, of queries and output.
        num_heads: D must be a multiple of it.
        memory_dim: width of keys and values.
        dropout: probability, in training.
    """

    def __init__(
        self, *, hidden_dim: int, num_heads: int, memory_dim: int | None = None, dropout: float = 0.0
    ):
        super().__init__()
        memory_dim = memory_dim or hidden_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(hidden_dim, hidden_dim)
        self.key = nn.Linear(memory_dim, hidden_dim)
        self.value = nn.Linear(memory_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, hidden_dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, valid: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            query: (B, q, D).
            key: (B, k, memory_dim).
            value: (B, k, memory_dim).
            valid: (B, k) bool, keys to look at; None for all.

        Returns:
            (B, q, D).
        """
        heads = (self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value)))
        mask = None if valid is None else valid[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=mask, dropout_p=dropout)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, D to ``feedforward_dim`` and back."""

    def __init__(self, *, hidden_dim: int, feedforward_dim: int, dropout: float = 0.0):
        super().__init__()
        self.expand = nn.Linear(hidden_dim, feedforward_dim)
        self.contract = nn.Linear(feedforward_dim, hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Transform x (..., D)."""
        return self.contract(self.dropout(torch.relu(self.expand(x))))
