"""A shortened demo, and the commands that it prints."""

import pytest

from speaq.cli import app, run
from speaq.scene_graph import SceneGraph
from speaq.tools import demo

pytestmark = pytest.mark.usefixtures("few_examples")

SHORT = (
    "SOLVER.MAX_ITER",
    "4",
    "SOLVER.WARMUP_ITERS",
    "1",
    "TEST.EVAL_PERIOD",
    "2",
    "DATALOADER.NUM_WORKERS",
    "0",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NUM_TRAIN", "NUM_VAL", "NUM_TEST"):
            patch.setattr(demo, name, 16)
        path = tmp_path_factory.mktemp("demo")
        results = demo.run_demo(path, overrides=SHORT, num_gpus=0)
    assert results["images"] == 16
    return path


def test_run_demo_writes_the_documented_files(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"dataset", "run", "unseen.png", "unseen.json", "prediction.png", "training_plots"}
    assert (folder / "run" / "best" / "model.safetensors").is_file()
    assert (folder / "run" / "report.html").stat().st_size > 10_000
    assert (folder / "training_plots" / "training_overview.png").is_file()
    graph = SceneGraph.from_json(folder / "unseen.json")
    assert graph.image_size == demo.UNSEEN_SIZE[::-1]


def test_commands_printed_by_the_demo_work(folder, capsys, tmp_path):
    picture, run_folder = str(folder / "unseen.png"), str(folder / "run")
    run(app, ["predict", picture, "--model", run_folder, "--output-dir", str(tmp_path)])
    assert " relations, " in capsys.readouterr().out
    run(
        app,
        ["evaluate", run_folder, "OUTPUT_DIR", str(tmp_path / "evaluation"), "DATALOADER.NUM_WORKERS", "0"],
    )
    assert (tmp_path / "evaluation" / "results.json").is_file()
