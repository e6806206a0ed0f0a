"""The command line: help, invalid arguments, and what commands print and write."""

import json
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.cli import app, main, run
from speaq.console import PlainConsole
from speaq.errors import PrintableFormatter, SpeaqError
from speaq.pretrained import Speaq
from tiny_model import tiny_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    names = {"objects": ("cat", "table"), "predicates": ("on", "under")}
    model = Speaq(tiny_config(**names, num_queries=6, query_multiplier=2, min_size=64, max_size=96))
    model.save_pretrained(folder)
    return folder


def failing(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        run(app, list(arguments))
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return captured.err + captured.out


def test_help_loads_no_heavy_library():
    start = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "speaq", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 10  # seconds on the slowest machine; what counts is the next line
    assert not {"torch", "lightning", "transformers", "numpy"} & set(result.stderr.split())
    for name in ("demo", "train", "evaluate", "predict", "bench", "data"):
        assert name in result.stdout


def test_train_refuses_a_missing_configuration(capsys):
    assert "nowhere.yaml: no such configuration file" in failing(
        capsys, "train", "--config-file", "nowhere.yaml"
    )


def test_unknown_key_suggests_the_nearest(capsys):
    message = failing(capsys, "train", "SOLVER.BASE_RL", "-0.5")
    assert "SOLVER.BASE_RL" in message
    assert "did you mean SOLVER.BASE_LR?" in message


def test_unknown_option_is_refused(capsys):
    assert "--nm-gpus" in failing(capsys, "train", "--nm-gpus", "4")


def test_predict_refuses_a_missing_model(capsys, tmp_path):
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    message = failing(capsys, "predict", str(tmp_path / "a.png"), "--model", str(tmp_path / "none"))
    assert "none: no such folder" in message


def test_predict_refuses_a_missing_image(capsys, tmp_path, model_folder):
    message = failing(capsys, "predict", str(tmp_path / "gone.jpg"), "--model", str(model_folder))
    assert "gone.jpg" in message


def test_predict_prints_a_summary_and_writes_files(capsys, tmp_path, model_folder):
    rng = np.random.default_rng(0)
    for name, size in (("a", (60, 80, 3)), ("b", (90, 70, 3))):
        Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    images = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    output = tmp_path / "out"
    run(app, ["predict", *images, "--model", str(model_folder), "--output-dir", str(output), "--top", "3"])
    printed = capsys.readouterr().out
    assert printed.count("a.png:") == printed.count("b.png:") == 1
    assert sorted(path.name for path in output.iterdir()) == ["a.json", "a.png", "b.json", "b.png"]
    graph = json.loads((output / "a.json").read_text())
    assert {"cat", "table"} >= {entity["name"] for entity in graph["entities"]}


@pytest.mark.parametrize("option", [("--top", "-3"), ("--score", "2"), ("--device", "cuda:99")])
def test_predict_refuses_options_out_of_range(capsys, tmp_path, model_folder, option):
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    output = str(tmp_path / "out")
    model = ["--model", str(model_folder), "--output-dir", output]
    assert option[1] in failing(capsys, "predict", str(tmp_path / "a.png"), *model, *option)


@pytest.mark.parametrize(
    ("output", "code"), [("| head -1", 141), ("> /dev/full", 2), ("> /dev/null", 0), (">&-", 0)]
)
def test_closed_full_or_ascii_output_gives_no_traceback(tmp_path, output, code):
    script = tmp_path / "script.py"  # writes more than a pipe holds
    lines = 'lambda: sys.stdout.writelines("\u732b on table\\n" for _ in range(100_000))'
    script.write_text(f"import sys\nfrom speaq.cli import run\nrun({lines}, [])", encoding="utf-8")
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} {script} {output}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert result.returncode == code
    assert result.stdout == ("\\u732b on table\n" if "head" in output else "")
    assert len(result.stderr.splitlines()) == (code == 2)
    assert ("cannot write the output: No space left" in result.stderr) == (code == 2)


def test_a_pipe_that_closes_ends_tables_as_other_output():
    class ClosedPipe(StringIO):
        def write(self, text):
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        PlainConsole(file=ClosedPipe()).print("a table")


@pytest.mark.parametrize(
    "error", [MemoryError(), ImportError("a.so: failed to map segment from shared object")]
)
def test_too_little_memory_is_said(error, capsys):
    def fail():
        raise error

    with pytest.raises(SystemExit):
        run(fail, [])
    assert re.fullmatch(r"speaq: out of memory.* raise the limit .*\n", capsys.readouterr().err)


def test_an_error_that_cannot_be_written_has_its_exit_code(monkeypatch):
    class FullDisk(StringIO):
        def write(self, text):
            raise OSError("no space")

    def fail():
        raise SpeaqError("no such file")

    monkeypatch.setattr("sys.stderr", FullDisk())
    with pytest.raises(SystemExit) as stop:
        run(fail, [])
    assert stop.value.code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit virtual memory")
def test_a_limit_of_memory_with_which_no_library_loads_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda limit: (500_000 * 1024, -1))
    assert "memory (ulimit -v) is 500000 kB; expected at least 1048576 kB" in failing(capsys, "doctor")
    run(app, ["--help"])


def test_ctrl_c_ends_without_a_message(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["speaq"])
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as stop:
            main(interrupted)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL  # for another one
    finally:
        signal.signal(signal.SIGINT, handler)
    assert stop.value.code == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_while_libraries_are_imported_ends_without_a_message(capsys, monkeypatch, tmp_path):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("speaq.__main__.resolve_name", interrupted)
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "vis_train_log.py"), run_name="__main__")
    assert (stop.value.code, capsys.readouterr().err) == (130, "")

    def importing():
        import interrupted_module  # noqa: F401

    (tmp_path / "interrupted_module.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)")
    monkeypatch.syspath_prepend(tmp_path)
    ended = []
    monkeypatch.setattr("os._exit", ended.append)  # which modules cannot catch
    monkeypatch.setattr("sys.argv", ["speaq"])
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit):
            main(importing)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert ended == [130]


def test_help_in_a_closed_pipe_ends_as_other_output():
    command = f"{sys.executable} -m speaq --help | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Path.resolve accepts loops")
def test_a_loop_of_links_is_said(capsys, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SystemExit) as stop:
        run((tmp_path / "loop").resolve, [])
    assert stop.value.code == 2
    assert f"speaq: Symlink loop from '{tmp_path / 'loop'}'" in capsys.readouterr().err


def test_a_deleted_folder_is_refused(capsys, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "the current folder has been deleted" in failing(capsys, "doctor")


def test_generate_writes_a_dataset(capsys, tmp_path):
    arguments = ["data", "generate", str(tmp_path / "set"), "--num-images", "4", "--num-val", "1"]
    run(app, [*arguments, "--num-test", "1", "--image-size", "96", "80", "--workers", "1"])
    assert "6 images" in capsys.readouterr().out
    assert len(list((tmp_path / "set" / "VG_100K").iterdir())) == 6


def test_train_script_is_the_train_command(capsys, monkeypatch, tmp_path):
    script = str(ROOT / "train_iterative_model.py")
    monkeypatch.setattr(sys, "argv", [script, "--config-file", str(tmp_path / "x.yaml")])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(script, run_name="__main__")
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert "x.yaml: no such configuration file" in printed.err
    assert "Traceback" not in printed.err


def test_control_characters_in_logs_are_escaped():
    record = logging.LogRecord(
        "speaq", logging.WARNING, "file", 1, "%s\nis damaged", ("a\x1b[31m\r\u202egpj.png",), None
    )
    assert PrintableFormatter().format(record) == "a\\x1b[31m\\r\\u202egpj.png\nis damaged"
