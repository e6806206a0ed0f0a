import torch
from torch import nn

from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.run import evaluate
from speaq.structures import Batch


class Recorder(nn.Module):
    """Answers every batch with its own sizes and remembers how it was called."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.modes = []

    def forward(self, images, sizes):
        self.modes.append((self.training, torch.is_grad_enabled()))
        return images[:, 0, 0, 0].tolist()


def test_every_image_is_measured_once(golden):
    """The first pixel of an image says which it is, so that graphs and ground truth must stay aligned."""

    def batch(start, stop):
        images = torch.zeros(stop - start, 3, 8, 8, dtype=torch.uint8)
        images[:, 0, 0, 0] = torch.arange(start, stop, dtype=torch.uint8)
        return Batch(images, torch.full((stop - start, 2), 8), [], golden.annotations[start:stop])

    def postprocess(output, sizes):
        graphs = [golden.graphs[index] for index in output]
        assert sizes.tolist() == [list(graph.image_size) for graph in graphs]
        return graphs

    model, done = Recorder(), []
    metric = SceneGraphMetrics(num_predicates=50)
    metric.update(golden.graphs[:3], golden.annotations[:3])  # what was there before is dropped
    results = evaluate(
        model,
        [batch(0, 33), batch(33, 64), batch(64, 80)],
        postprocess=postprocess,
        metrics=[metric],
        progress=done.append,
    )
    assert abs(results["R@50"] - golden.expected["sgdet_recall@50"]) < 1e-9
    assert done == [33, 31, 16]
    assert model.modes == [(False, False)] * 3
    assert model.training
