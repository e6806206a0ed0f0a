import torch

from speaq.model.decoder import DecoderLayer, Graph, Memory


def test_graph_is_projected_as_the_concatenation_of_its_states():
    pair, relation, layer = torch.randn(2, 5, 16), torch.randn(2, 15, 8), torch.nn.Linear(24, 8)
    concatenated = torch.cat((pair.repeat_interleave(3, dim=1), relation), -1)
    torch.testing.assert_close(Graph(pair, relation).project(layer), layer(concatenated))


def test_no_states_are_zeros_in_the_first_layer():
    layer = DecoderLayer(hidden_dim=8, num_heads=2, feedforward_dim=16, dropout=0.5)
    torch.nn.init.normal_(layer.self_attention.value.bias)
    position, tokens = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    memory = Memory(tokens, tokens, None)
    for mode in (False, True):
        outputs = []
        for x in (None, torch.zeros_like(position)):
            torch.manual_seed(0)
            outputs.append(layer.train(mode)(x, position, memory))
        torch.testing.assert_close(*outputs)
