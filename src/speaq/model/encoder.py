"""The encoder: image tokens look at each other.

B: images, T: tokens (cells of the feature map), D: hidden size.
"""

from torch import Tensor, nn

from speaq.model.attention import Attention, FeedForward


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward network, each followed by a layer norm (post-norm)."""

    def __init__(self, *, hidden_dim: int, num_heads: int, feedforward_dim: int, dropout: float):
        super().__init__()
        self.attention = Attention(hidden_dim=hidden_dim, num_heads=num_heads, dropout=dropout)
        self.feedforward = FeedForward(
            hidden_dim=hidden_dim, feedforward_dim=feedforward_dim, dropout=dropout
        )
        self.attention_norm = nn.LayerNorm(hidden_dim)
        self.feedforward_norm = nn.LayerNorm(hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, valid: Tensor | None) -> Tensor:
        """Transform tokens x (B, T, D); positions are added to queries and keys only."""
        located = x + position
        x = self.attention_norm(x + self.dropout(self.attention(located, located, x, valid)))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class Encoder(nn.Module):
    """A stack of encoder layers, without a final norm."""

    def __init__(
        self, *, num_layers: int, hidden_dim: int, num_heads: int, feedforward_dim: int, dropout: float
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(
                hidden_dim=hidden_dim, num_heads=num_heads, feedforward_dim=feedforward_dim, dropout=dropout
            )
            for _ in range(num_layers)
        )

    def forward(self, x: Tensor, position: Tensor, valid: Tensor | None) -> Tensor:
        """Memory (B, T, D) of tokens x (B, T, D) at ``position`` (B, T, D); ``valid`` (B, T) or None."""
        for layer in self.layers:
            x = layer(x, position, valid)
        return x
