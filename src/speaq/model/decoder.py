"""The iterative decoder: subject, then object, then predicate (Khandelwal and Sigal, NeurIPS 2022).

Shape letters: see `speaq.structures`; q is the queries of one kind, Q or P. e_s, e_o and e_r are the learnt
query embeddings of subjects, objects and predicates, p_o and p_r the conditioned query positions.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from speaq.model.attention import Attention, FeedForward
from speaq.model.checkpointing import run
from speaq.model.dropout import Dropout
from speaq.model.linear import Linear, linear


class Memory(NamedTuple):
    """The encoder's output, as the decoder attends to it.

    Attributes:
        value: (B, T, D), the encoded tokens.
        key: (B, T, D), the encoded tokens plus their position embedding.
        valid: (B, T) bool, False in the padding; None if there is no padding.
    """

    value: Tensor
    key: Tensor
    valid: Tensor | None


class Graph(NamedTuple):
    """Keys or values of the graph [S^m ; O^m ; R], where every entity query stands for its m relations.

    Attributes:
        pair: (B, Q, 2 D), subject and object states.
        relation: (B, P, D), predicate states.
    """

    pair: Tensor
    relation: Tensor

    def project(self, layer: nn.Linear) -> Tensor:
        """A linear layer of the graph (B, P, 3 D), as (B, P, D); pairs are projected before they repeat."""
        weight = layer.weight.tensor_split([self.pair.shape[-1]], dim=1)
        pair = linear(self.pair, weight[0])[:, :, None]
        relation = linear(self.relation, weight[1], layer.bias)
        return (pair + relation.unflatten(1, (pair.shape[1], -1))).flatten(1, 2)


States = tuple[Tensor, Tensor, Tensor]
"""Subject (B, Q, D), object (B, Q, D) and predicate (B, P, D) states."""


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
        self.dropout = Dropout(dropout)

    def forward(self, states: Tensor | None, position: Tensor, memory: Memory) -> Tensor:
        """Next states (B, q, D) of queries (B, q, D), None for zeros, with query positions (B, q, D)."""
        x = torch.zeros_like(position) if states is None else states
        with_position = x + position
        if states is None and not self.training:
            # Attention probabilities sum to 1 without dropout, and the value of a zero is the bias.
            attended = self.self_attention.output(self.self_attention.value.bias)
        else:
            attended = self.self_attention(with_position, with_position, x)
        x = self.self_norm(x + self.dropout(attended))
        attended = self.cross_attention(x + position, memory.key, memory.value, memory.valid)
        x = self.cross_norm(x + self.dropout(attended))
        return self.feedforward_norm(x + self.dropout(self.feedforward(x)))


class Conditioning(nn.Module):
    """Attention followed by a zero-initialized linear layer, so that training starts without conditioning."""

    def __init__(self, *, hidden_dim: int, num_heads: int, key_dim: int, dropout: float):
        super().__init__()
        self.attention = Attention(
            hidden_dim=hidden_dim, num_heads=num_heads, key_dim=key_dim, dropout=dropout
        )
        self.linear = Linear(hidden_dim, hidden_dim)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Residual (B, q, D) for queries (B, q, D) given keys and values (B, k, key_dim)."""
        return self.dropout(self.linear(self.attention(query, key, value)))


class GraphConditioning(Conditioning):
    """Conditioning on subject, object and predicate states."""

    def forward(self, query: Tensor, key: Graph, value: Graph) -> Tensor:  # type: ignore[override]
        """Residual (B, q, D) for queries (B, q, D)."""
        attention = self.attention
        k, v = key.project(attention.key), value.project(attention.value)
        return self.dropout(self.linear(attention.attend(attention.query(query), k, v)))


class Decoder(nn.Module):
    """L iterations of subject, object and predicate layers, each conditioned on the previous ones.

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
        self.gradient_checkpointing = False

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

        def conditionings(
            number: int, key_dim: int, kind: type[Conditioning] = Conditioning
        ) -> nn.ModuleList:
            return nn.ModuleList(
                kind(hidden_dim=hidden_dim, num_heads=num_heads, key_dim=key_dim, dropout=dropout)
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
        self.subject_graph = conditionings(num_layers - 1, 3 * hidden_dim, GraphConditioning)
        self.object_graph = conditionings(num_layers - 1, 3 * hidden_dim, GraphConditioning)
        self.relation_graph = conditionings(num_layers - 1, 3 * hidden_dim, GraphConditioning)
        self.subject_graph_norm = norms(num_layers - 1)
        self.object_graph_norm = norms(num_layers - 1)
        self.relation_graph_norm = norms(num_layers - 1)
        self.entity_norm = nn.LayerNorm(hidden_dim)
        self.relation_norm = nn.LayerNorm(hidden_dim)

    def forward(self, memory: Memory, point_embedding: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Decode.

        Args:
            memory: encoded tokens of B images.
            point_embedding: (Q, D) embedding of the reference points, added to the query embeddings; None for
                the published model.

        Returns:
            Normalised subject (L, B, Q, D), object (L, B, Q, D) and predicate (L, B, P, D) states.
        """
        m = self.query_multiplier
        batch = memory.value.shape[0]
        e_s, e_o, e_r = (
            self.subject_embedding.weight,
            self.object_embedding.weight,
            self.relation_embedding.weight,
        )
        if point_embedding is not None:
            e_s, e_o, e_r = (
                e_s + point_embedding,
                e_o + point_embedding,
                e_r + point_embedding.repeat_interleave(m, dim=0),
            )
        e_s, e_o, e_r = (e.expand(batch, -1, -1) for e in (e_s, e_o, e_r))

        states: States | tuple[None, None, None] = (None, None, None)  # zeros
        decoded: list[States] = []
        for i in range(len(self.subject_layers)):
            layer, states = run(self, self._iteration, i, states, (e_s, e_o, e_r), memory)
            decoded.append(layer)
        subjects, objects, relations = (torch.stack(layers) for layers in zip(*decoded, strict=True))
        return self.entity_norm(subjects), self.entity_norm(objects), self.relation_norm(relations)

    def _iteration(self, i: int, states: States, embeddings: States, memory: Memory) -> tuple[States, States]:
        """The states that iteration i decodes, and those that the next one starts from.

        Args:
            i: iteration.
            states: subject (B, Q, D), object (B, Q, D) and predicate (B, P, D) states to start from.
            embeddings: e_s, e_o and e_r, of the same sizes.
            memory: encoded tokens of B images.
        """
        subject, object_, relation = states
        e_s, e_o, e_r = embeddings
        subject = self.subject_layers[i](subject, e_s, memory)
        subject_key = subject + e_s

        p_o = e_o + self.object_position[i](e_o, subject_key, subject)
        object_ = self.object_layers[i](object_, p_o, memory)
        object_key = object_ + p_o

        pair = torch.cat((subject, object_), -1)
        pair_key = torch.cat((subject_key, object_key), -1)
        p_r = e_r + self.relation_position[i](e_r, pair_key, pair)
        relation = self.relation_layers[i](relation, p_r, memory)
        decoded = (subject, object_, relation)
        if i == len(self.subject_graph):  # the last iteration
            return decoded, decoded

        relation_key = relation + p_r
        graph, graph_key = Graph(pair, relation), Graph(pair_key, relation_key)
        # All three updates are computed from the states of this layer, before any is applied.
        update_s = self.subject_graph[i](subject_key, graph_key, graph)
        update_o = self.object_graph[i](object_key, graph_key, graph)
        update_r = self.relation_graph[i](relation_key, graph_key, graph)
        return decoded, (
            subject + self.subject_graph_norm[i](update_s),
            object_ + self.object_graph_norm[i](update_o),
            relation + self.relation_graph_norm[i](update_r),
        )
