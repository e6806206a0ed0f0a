import inspect

from PIL import Image

from speaq.inference.predictor import predict_each
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from tiny_model import tiny_config


def test_predict_has_the_options_of_the_predictor():
    ours, theirs = (
        {
            name: (parameter.kind, parameter.default)
            for name, parameter in inspect.signature(function).parameters.items()
        }
        for function in (Speaq.predict, predict_each)
    )
    assert [name for name in ours if name not in theirs] == ["self", "score", "top"]
    assert [name for name in theirs if name not in ours] == ["model", "on_unreadable"]
    assert all(ours[name] == theirs[name] for name in ours if name in theirs)


def test_predict_passes_its_options_on(monkeypatch):
    given = {}

    def predict_each(model, images, **options):
        given.update(options)
        return iter(())

    monkeypatch.setattr("speaq.inference.predictor.predict_each", predict_each)
    options = {
        "boxes": [],
        "labels": [],
        "batch_size": 2,
        "postprocess": lambda output, sizes: [],
        "min_size": 32,
        "max_size": 64,
        "device": "cpu",
        "dtype": "bfloat16",
    }
    assert Speaq(tiny_config()).predict([], **options) == []
    assert given == options


def test_predict_gives_a_graph_for_an_image_and_a_list_for_several():
    model, image = Speaq(tiny_config()).eval(), Image.new("RGB", (40, 30))
    graph = model.predict(image, min_size=32, max_size=64)
    assert isinstance(graph, SceneGraph)
    assert graph == model.predict(image, min_size=32, max_size=64)
    graphs = model.predict([image, image], batch_size=1, min_size=32, max_size=64)
    assert graphs == [graph, graph]
    assert len(model.predict(image, top=0, min_size=32, max_size=64)) == 0
