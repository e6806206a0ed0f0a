"""Multi-head attention and the feed-forward network, the two blocks of every transformer layer.

`torch.nn.MultiheadAttention` computes the same. Here query, key and value are separate linear layers, whose
names are in every saved model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speaq.model.dropout import DropoutAttention, DropoutReLU
from speaq.model.linear import Linear, can_use_onednn, convolutional_attention


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., NeurIPS 2017), with dropout on the probabilities.

    Args:
        hidden_dim: D, of queries and output.
        num_heads: D must be a multiple of it.
        key_dim: width of keys and values; D by default.
        dropout: probability, in training.
    """

    def __init__(self, *, hidden_dim: int, num_heads: int, key_dim: int | None = None, dropout: float = 0.0):
        super().__init__()
        key_dim = key_dim or hidden_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = Linear(hidden_dim, hidden_dim)
        self.key = Linear(key_dim, hidden_dim)
        self.value = Linear(key_dim, hidden_dim)
        self.output = Linear(hidden_dim, hidden_dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, valid: Tensor | None = None) -> Tensor:
        """Attend to the keys.

        Args:
            query: (B, n, D).
            key: (B, k, key_dim).
            value: (B, k, key_dim).
            valid: (B, k) bool, False for keys to ignore; None if all are valid.

        Returns:
            (B, n, D).
        """
        return self.attend(self.query(query), self.key(key), self.value(value), valid)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None = None) -> Tensor:
        """As `forward`, from projected queries (B, n, D), keys (B, k, D) and values (B, k, D)."""
        dropout = self.dropout if self.training else 0.0
        if dropout == 0 and can_use_onednn(q, q[0].numel() * k.shape[1]):
            return self.output(convolutional_attention(q, k, v, valid, self.num_heads))
        q, k, v = (self._split_heads(x) for x in (q, k, v))
        mask = None if valid is None else valid[:, None, None, :]
        if dropout and q.device.type == "cpu" and not torch.compiler.is_compiling():
            attended = DropoutAttention.apply(q, k, v, mask, dropout)
        elif q.device.type == "cpu" and q.dtype == torch.bfloat16:
            # scaled_dot_product_attention multiplies bfloat16 at the speed of float32 on CPUs.
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
            attended = scores.softmax(-1) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.output(attended.transpose(1, 2).flatten(2))

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, n, D) to (B, heads, n, D / heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them, D to ``feedforward_dim`` and back."""

    def __init__(self, *, hidden_dim: int, feedforward_dim: int, dropout: float = 0.0):
        super().__init__()
        self.expand = Linear(hidden_dim, feedforward_dim)
        self.contract = Linear(feedforward_dim, hidden_dim)
        self.relu = DropoutReLU(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to x (..., D)."""
        return self.contract(self.relu(self.expand(x)))
