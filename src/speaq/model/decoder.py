"""The iterative decoder (Khandelwal and Sigal, NeurIPS 2022): subject, then object, then predicate.

B: images, L: layers, Q: entity queries, m: predicate queries per entity query, P = m * Q, T: tokens,
D: hidden size. S, O, R: subject, object and predicate queries; e_s, e_o, e_r their learnt embeddings.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from speaq.model.attention import Attention, FeedForward


class Memory(NamedTuple):
    """What the decoder looks at.

    Attributes:
        tokens: (B, T, D), the encoder's output.
        located: (B, T, D), tokens plus their position code.
        valid: (B, T) bool, or None when no cell is padding.
    """

    tokens: Tensor
    located: Tensor
    valid: Tensor | None


class DecoderLayer(nn.Module):
    """A post-norm DETR decoder layer: self-attention, cross-attention, feed-forward network."""

    def __init__(self, *, hidden_dim: int, num_heads: int, feedforward_dim: int, dropout: float):
        super().__init__()
        self.self_attention = Attention(hidden_dim=hidden_dim, num_heads=num_heads, dropout=dropout)
        self.cross_attention = Attention(hidden_dim=hidden_dim, num_heads=num_heads, dropout=dropout)
        self.feedforward = FeedForward(
            hidden_dim=hidden_dim, feedforward_dim=feedforward_dim, dropout=dropout
        )
        self.self_norm = nn.LayerNorm(hidden_dim)
        self.cross_norm = nn.LayerNorm(hidden_dim)
        self.feedforward_norm = nn.LayerNorm(hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, memory: Memory) -> Tensor:
        """Transform queries x (B, q, D) with query positions (B, q, D)."""
        located = x + position
        x = self.self_norm(x + self.dropout(self.self_attention(located, located, x)))
        attended = self.cross_attention(x + position, memory.located, memory.tokens, memory.valid)
        x = self.cross_norm(x + self.dropout(attended))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class Conditioning(nn.Module):
    """An attention whose result passes a zero-initialised linear layer: it starts as "no change"."""

    def __init__(self, *, hidden_dim: int, num_heads: int, memory_dim: int, dropout: float):
        super().__init__()
        self.attention = Attention(
            hidden_dim=hidden_dim, num_heads=num_heads, memory_dim=memory_dim, dropout=dropout
        )
        self.linear = nn.Linear(hidden_dim, hidden_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Residual (B, q, D) for queries (B, q, D) given keys and values (B, k, memory_dim)."""
        return self.dropout(self.linear(self.attention(query, key, value)))


class Decoder(nn.Module):
    """L iterations of subject, object and predicate layers, each conditioned on what came before.

    Args:
        num_layers: L.
        num_queries: Q.
        query_multiplier: m.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_queries: int,
        query_multiplier: int,
        hidden_dim: int,
        num_heads: int,
        feedforward_dim: int,
        dropout: float,
    ):
        super().__init__()
        self.query_multiplier = query_multiplier

        def layers() -> nn.ModuleList:
            return nn.ModuleList(
                DecoderLayer(
                    hidden_dim=hidden_dim,
                    num_heads=num_heads,
                    feedforward_dim=feedforward_dim,
                    dropout=dropout,
                )
                for _ in range(num_layers)
            )

        def conditionings(number: int, memory_dim: int) -> nn.ModuleList:
            return nn.ModuleList(
                Conditioning(
                    hidden_dim=hidden_dim, num_heads=num_heads, memory_dim=memory_dim, dropout=dropout
                )
                for _ in range(number)
            )

        def norms(number: int) -> nn.ModuleList:
            return nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in range(number))

        self.subject_embedding = nn.Embedding(num_queries, hidden_dim)
        self.object_embedding = nn.Embedding(num_queries, hidden_dim)
        self.relation_embedding = nn.Embedding(num_queries * query_multiplier, hidden_dim)

        self.subject_layers, self.object_layers, self.relation_layers = layers(), layers(), layers()
        self.object_position = conditionings(num_layers, hidden_dim)
        self.relation_position = conditionings(num_layers, 2 * hidden_dim)
        self.subject_graph = conditionings(num_layers - 1, 3 * hidden_dim)
        self.object_graph = conditionings(num_layers - 1, 3 * hidden_dim)
        self.relation_graph = conditionings(num_layers - 1, 3 * hidden_dim)
        self.subject_graph_norm = norms(num_layers - 1)
        self.object_graph_norm = norms(num_layers - 1)
        self.relation_graph_norm = norms(num_layers - 1)
        self.entity_norm = nn.LayerNorm(hidden_dim)
        self.relation_norm = nn.LayerNorm(hidden_dim)

    def forward(self, memory: Memory, point_code: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Decode.

        Args:
            memory: of B images.
            point_code: (Q, D), added to the query embeddings; None for the published model.

        Returns:
            Normalised subject (L, B, Q, D), object (L, B, Q, D) and predicate (L, B, P, D) states.
        """
        m = self.query_multiplier
        batch = memory.tokens.shape[0]
        e_s, e_o, e_r = (
            self.subject_embedding.weight,
            self.object_embedding.weight,
            self.relation_embedding.weight,
        )
        if point_code is not None:
            e_s, e_o, e_r = e_s + point_code, e_o + point_code, e_r + point_code.repeat_interleave(m, dim=0)
        e_s, e_o, e_r = (e.expand(batch, -1, -1) for e in (e_s, e_o, e_r))

        subject, object_, relation = torch.zeros_like(e_s), torch.zeros_like(e_o), torch.zeros_like(e_r)
        states: list[tuple[Tensor, Tensor, Tensor]] = []
        last = len(self.subject_layers) - 1
        for i in range(last + 1):
            subject = self.subject_layers[i](subject, e_s, memory)
            located_s = subject + e_s

            p_o = e_o + self.object_position[i](e_o, located_s, subject)
            object_ = self.object_layers[i](object_, p_o, memory)
            located_o = object_ + p_o

            pair, located_pair = torch.cat((subject, object_), -1), torch.cat((located_s, located_o), -1)
            p_r = e_r + self.relation_position[i](e_r, located_pair, pair)
            relation = self.relation_layers[i](relation, p_r, memory)
            states.append((subject, object_, relation))

            if i < last:
                located_r = relation + p_r
                graph = torch.cat((pair.repeat_interleave(m, dim=1), relation), -1)
                located_graph = torch.cat((located_pair.repeat_interleave(m, dim=1), located_r), -1)
                # All three updates read the states of this layer: none sees another's update.
                update_s = self.subject_graph[i](located_s, located_graph, graph)
                update_o = self.object_graph[i](located_o, located_graph, graph)
                update_r = self.relation_graph[i](located_r, located_graph, graph)
                subject = subject + self.subject_graph_norm[i](update_s)
                object_ = object_ + self.object_graph_norm[i](update_o)
                relation = relation + self.relation_graph_norm[i](update_r)

        subjects, objects, relations = (torch.stack(layers) for layers in zip(*states, strict=True))
        return self.entity_norm(subjects), self.entity_norm(objects), self.relation_norm(relations)
