"""The transformer encoder of DETR (Carion et al., ECCV 2020), over the T tokens of the feature map."""

from torch import Tensor, nn

from speaq.model.attention import Attention, FeedForward
from speaq.model.checkpointing import run
from speaq.model.dropout import Dropout


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
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, valid: Tensor | None) -> Tensor:
        """Encode tokens x (B, T, D); positions are added to queries and keys only."""
        with_position = x + position
        attended = self.attention(with_position, with_position, x, valid)
        x = self.attention_norm(x + self.dropout(attended))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class Encoder(nn.Module):
    """A stack of encoder layers, without a final norm."""

    def __init__(
        self, *, num_layers: int, hidden_dim: int, num_heads: int, feedforward_dim: int, dropout: float
    ):
        super().__init__()
        self.gradient_checkpointing = False
        self.layers = nn.ModuleList(
            EncoderLayer(
                hidden_dim=hidden_dim, num_heads=num_heads, feedforward_dim=feedforward_dim, dropout=dropout
            )
            for _ in range(num_layers)
        )

    def forward(self, x: Tensor, position: Tensor, valid: Tensor | None) -> Tensor:
        """Encode tokens x (B, T, D) with position embeddings (B, T, D); ``valid`` (B, T) bool or None."""
        for layer in self.layers:
            x = run(self, layer, x, position, valid)
        return x
