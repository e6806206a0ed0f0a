"""`speaq predict`: input types, output names, formats, unreadable files, resuming."""

import importlib.util
import json
import os
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.cli import app, run
from speaq.config import load_config
from speaq.data.build import load_statistics
from speaq.metrics import FrequencyBias, adjust_logits
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from tiny_model import tiny_config


def small_model(**options) -> Speaq:
    torch.manual_seed(0)
    model = Speaq(tiny_config(**options, num_queries=6, query_multiplier=2, min_size=64, max_size=96))
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.mul_(4)  # so that queries differ, and an image has several relations
    return model.eval()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small_model(objects=("cat", "table"), predicates=("on", "under")).save_pretrained(folder)
    return folder


@pytest.fixture
def predict(model_folder, tmp_path, capsys):
    """Runs the command; the exit code, what was printed, and what is in the output folder."""

    def command(
        *arguments: object, code: int = 0, output: Path = tmp_path / "out"
    ) -> tuple[str, str, list[str]]:
        words = ["predict", *map(str, arguments), "--model", str(model_folder), "--output-dir", str(output)]
        if code:
            with pytest.raises(SystemExit) as stop:
                run(app, words)
            assert stop.value.code == code
        else:
            run(app, words)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        files = [path for path in output.rglob("*") if path.is_file()] if output.exists() else []
        return printed.out, printed.err, sorted(path.relative_to(output).as_posix() for path in files)

    return command


def make_image(seed: int = 0, size: tuple[int, int] = (80, 60), mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def save(path: Path, image: Image.Image | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or make_image()).save(path, **options)
    return path


def damage(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_predict_mirrors_subfolders_and_separates_equal_names(predict, tmp_path):
    photos = tmp_path / "photos"
    for name in ("x.png", "x.jpg", "a/x.png", "a/b/x.png", "y.png", ".hidden/x.png", "a/._x.png"):
        save(photos / name)
    names = ["a/b/x.json", "a/x.json", "x.jpg.json", "x.png.json", "y.json"]
    assert predict(photos, "--no-draw")[2] == names
    assert SceneGraph.from_json(tmp_path / "out" / "a" / "x.json").image == photos / "a" / "x.png"
    assert predict(f"{photos}/**/x.png", "--no-draw", output=tmp_path / "two")[2] == [
        "a/b/x.json",
        "a/x.json",
        "x.json",
    ]
    files = [photos / "a" / "x.png", photos / "a" / "b" / "x.png"]
    assert predict(*files, "--no-draw", output=tmp_path / "three")[2] == ["b/x.json", "x.json"]
    two = [photos / "a" / "b", photos / "y.png", photos / "y.png"]
    assert predict(*two, "--no-draw", output=tmp_path / "four")[2] == ["a/b/x.json", "y.json"]


def test_predict_skips_its_own_results(predict, tmp_path):
    save(tmp_path / "in" / "a.jpg")
    inside = tmp_path / "in" / "results"
    assert predict(tmp_path / "in", output=inside)[2] == ["a.json", "a.png"]
    out, _, files = predict(tmp_path / "in", output=inside)
    assert (out.splitlines()[-2], files) == ("1 of 1 images", ["a.json", "a.png"])
    for images in (tmp_path / "in", tmp_path / "in" / "a.jpg"):
        before = sorted((tmp_path / "in").iterdir())
        assert "is in this folder" in predict(images, output=tmp_path / "in", code=2)[1]
        assert sorted((tmp_path / "in").iterdir()) == before


def test_predict_skips_unreadable_images_of_a_folder(predict, tmp_path):
    folder = tmp_path / "mixed"
    modes = ("RGB", "L", "P", "RGBA", "1", "LA", "I;16", "F", "CMYK")
    for index in range(25):
        mode = modes[index % len(modes)]
        image = make_image(index, (60 + 3 * (index % 4), 50))
        image = (
            Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
            if mode == "I;16"
            else image.convert(mode)
        )
        save(folder / f"{index:02}.{'tif' if mode in ('CMYK', 'F') else 'png'}", image)
    frames = [make_image(i) for i in range(3)]
    save(folder / "animated.gif", frames[0], save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "turned.jpg", exif=exif)
    damage(save(folder / "cut.png"))
    damage(save(folder / "cut.jpg"))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "notes.txt").write_text("no image, and no ending of one")
    out, err, files = predict(folder, "--quiet", "--no-draw", code=1)
    assert out.splitlines()[0].startswith("27 of 32 images; 5 could not be read: ")
    assert len(err.splitlines()) == 5
    for name, reason in {
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "empty.png": "not an image",
        "text.jpg": "not an image",
        "gone.png": "no such image file",
    }.items():
        assert any(name in line and reason in line for line in err.splitlines()), name
    assert len(files) == 27
    assert SceneGraph.from_json(tmp_path / "out" / "turned.json").image_size == (80, 60)
    assert SceneGraph.from_json(tmp_path / "out" / "animated.json").image_size == (60, 80)


def test_control_characters_of_names_are_escaped(predict, tmp_path):
    save(tmp_path / "in" / "a\x1b[31m.png")
    (tmp_path / "in" / "b\x1b]0;\x07.png").write_bytes(b"no image")
    out, err, _ = predict(tmp_path / "in", "--no-draw", code=1)
    assert "\x1b" not in out + err
    assert "a\\x1b[31m.png: " in out
    assert "b\\x1b]0;\\x07.png: the image cannot be read" in err
    assert "b\\x1b]0;\\x07.png" in out
    _, err, _ = predict(tmp_path / "gone\x1b.png", code=2)
    assert "gone\\x1b.png: there is no such image file" in err


def test_names_of_249_bytes_do_not_end_a_prediction(predict, tmp_path):
    name = "사" * 81 + "ab"  # 245 bytes, with the suffix 249
    save(tmp_path / "in" / f"{name}.png")
    save(tmp_path / "in" / "b.png")
    written = predict(tmp_path / "in")[2]
    assert written == sorted(["b.json", "b.png", f"{name}.json", f"{name}.png"])
    video = tmp_path / f"{name}.gif"
    make_image(0).save(video, save_all=True, append_images=[make_image(1)], duration=1000)
    written = predict(video, "--every", "1", output=tmp_path / "video")[2]
    assert written == [f"{name}.gif", f"{name}.jsonl"]


def test_predict_fails_without_readable_images(predict, tmp_path):
    out, err, files = predict(damage(save(tmp_path / "cut.png")), code=1)
    assert out.startswith("0 of 1 images; 1 could not be read: ") and "truncated" in err and files == []
    for images in ([tmp_path / "gone.png"], [f"{tmp_path}/*.webp"], [], [tmp_path / "empty"]):
        (tmp_path / "empty").mkdir(exist_ok=True)
        _, err, _ = predict(*images, code=2)
        assert err.startswith("speaq: ") and len(err.splitlines()) == 1


def test_predict_reads_a_list_of_paths(predict, tmp_path):
    save(tmp_path / "a" / "x y.png")
    save(tmp_path / "b" / "z[1].png")
    lines = tmp_path / "list.txt"
    lines.write_text(f"\ufeff{tmp_path}/a/x y.png\r\n\n {tmp_path}/b/z[1].png\n{tmp_path}/b/gone[2].png\n")
    out, err, files = predict("--list", lines, "--no-draw", code=1)
    assert out.splitlines()[-2].startswith("2 of 3 images; 1 could not be read:")
    assert "gone[2].png: there is no such image file" in err
    assert files == ["a/x y.json", "b/z[1].json"]
    lines.write_text("\n")
    assert "no path in this list" in predict("--list", lines, code=2)[1]
    assert "cannot read this list" in predict("--list", tmp_path / "none.txt", code=2)[1]


@pytest.mark.parametrize("kind", ["png", "svg", "jpg"])
def test_picture_sets_the_format_of_drawings(predict, tmp_path, kind):
    save(tmp_path / "a.bmp")
    assert predict(tmp_path / "a.bmp", "--picture", kind)[2] == sorted(["a.json", f"a.{kind}"])
    content = (tmp_path / "out" / f"a.{kind}").read_bytes()
    assert content.lstrip().startswith({"png": b"\x89PNG", "jpg": b"\xff\xd8", "svg": b"<?xml"}[kind])


def test_keep_and_top_limit_the_relations(predict, tmp_path):
    save(tmp_path / "a.png")
    out, _, _ = predict(tmp_path / "a.png", "--no-draw", "--keep", "2", "--top", "1", "--score", "0")
    graph = SceneGraph.from_json(tmp_path / "out" / "a.json")
    assert len(graph) == 2
    assert [line.strip() for line in out.splitlines() if line.startswith("  ")] == [str(graph.triplets[0])]
    out, _, _ = predict(tmp_path / "a.png", "--no-draw", "--quiet")
    assert out.splitlines() == ["1 of 1 images", f"written to {tmp_path}/out"]


def test_resume_predicts_only_missing_results(predict, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for index in range(4):
        save(folder / f"{index}.png", make_image(index))
    options = (folder, "--picture", "jpg", "--top", 1, "--batch-size", 1)
    predict(*options)
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "0.json").unlink()
    (out / "1.jpg").unlink()
    future = (out / "2.json").stat().st_mtime + 10
    os.utime(folder / "2.png", (future, future))
    text, _, _ = predict(*options, "--resume")
    assert [Path(line.split(":")[0]).name for line in text.splitlines() if "relations" in line] == [
        "0.png",
        "1.png",
        "2.png",
    ]
    assert "4 of 4 images (1 had results already)" in text
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_jsonl_is_resumed_after_its_last_complete_line(predict, tmp_path):
    folder, lines = tmp_path / "in", tmp_path / "out" / "predictions.jsonl"
    for index in range(4):
        save(folder / f'{index} "ä\u2028".png', make_image(index))
    damage(folder / '2 "ä\u2028".png')
    options = (folder, "--format", "jsonl", "--no-draw", "--quiet", "--batch-size", 1)
    assert predict(*options, code=1)[2] == ["predictions.jsonl"]
    whole = lines.read_bytes()
    rows = whole.decode().split("\n")[:-1]
    assert [SceneGraph.from_json(row).image.name[0] for row in rows] == ["0", "1", "3"]  # type: ignore[union-attr]
    assert all(json.loads(row)["width"] == 80 for row in rows)
    for size in (len(whole) - 1, len(whole) - 300, len(rows[0].encode()) + 1, 20, 0):
        lines.write_bytes(whole[:size])
        out, _, _ = predict(*options, "--resume", code=1)
        assert lines.read_bytes() == whole
        assert out.startswith("3 of 4 images")
    assert "(3 had results already)" in predict(*options, "--resume", code=1)[0]
    predict(*options, code=1)
    assert lines.read_bytes() == whole  # without --resume from the beginning


def test_shards_have_the_lines_of_one_machine(predict, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "shards"
    for index in range(10):
        save(folder / f'{index} "ä".png', make_image(index))
    damage(folder / '5 "ä".png')
    options = (folder, "--keep", 3, "--batch-size", 1)
    assert predict(*options, "--format", "jsonl", "--no-draw", code=1)[2] == ["predictions.jsonl"]
    whole = (tmp_path / "out" / "predictions.jsonl").read_bytes()
    text, err, files = predict(*options, "--shard-size", 4, output=out, code=1)
    assert files == ["failed-000001.jsonl", *(f"graphs-{k:06}.jsonl" for k in range(3)), "shards.json"]
    parts = {path.name: path.read_bytes() for path in sorted(out.glob("graphs-*"))}
    assert b"".join(parts.values()) == whole
    assert [part.count(b"\n") for part in parts.values()] == [4, 3, 2]
    failed = json.loads((out / "failed-000001.jsonl").read_text())
    assert failed["image"] == str(folder / '5 "ä".png') and "truncated" in failed["error"]
    assert err == f"speaq: 1 image could not be read, see {out}/failed-*.jsonl\n"
    assert "9 of 10 images; 1 could not be read: " in text
    (out / "graphs-000002.jsonl").unlink()
    (out / ".writing-killed").mkdir()
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    text, _, files = predict(*options, "--shard-size", 4, "--resume", output=out, code=1)
    assert {path.name: path.read_bytes() for path in sorted(out.glob("graphs-*"))} == parts
    assert "(8 had results already); 1 could not be read" in text and not (out / ".writing-killed").exists()
    assert (out / "graphs-000000.jsonl").stat().st_mtime_ns == times["graphs-000000.jsonl"]
    _, err, _ = predict(*options, "--shard-size", 5, "--resume", output=out, code=2)
    assert "were written with shard_size 4, now it is 5" in err
    (folder / '5 "ä".png').unlink()
    assert "images 10, now it is 9" in predict(*options, "--shard-size", 4, "--resume", output=out, code=2)[1]
    assert predict(*options, "--shard-size", 9, output=out)[2] == ["graphs-000000.jsonl", "shards.json"]
    assert (out / "graphs-000000.jsonl").read_bytes() == whole


def test_shards_of_parquet_files(predict, tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import Table
    from pyarrow.parquet import read_table, write_table

    files = [save(tmp_path / "in" / f"{index}.png", make_image(index)) for index in range(7)]
    files[4].write_bytes(b"no image")
    contents = [path.read_bytes() for path in files]
    (tmp_path / "set" / "data").mkdir(parents=True)
    rows = [{"image": {"bytes": content, "path": f"{k}.png"}} for k, content in enumerate(contents)]
    write_table(Table.from_pylist(rows[:5]), tmp_path / "set" / "data" / "train-0.parquet", row_group_size=2)
    write_table(Table.from_pylist(rows[5:]), tmp_path / "set" / "data" / "train-1.parquet")
    numbers = [{"id": 10 + k, "picture": content} for k, content in enumerate(contents)]
    write_table(Table.from_pylist(numbers), tmp_path / "plain.parquet", row_group_size=3)
    write_table(Table.from_pylist([{"id": 1}]), tmp_path / "none.parquet")

    def graphs(source: Path, *options: str) -> list[dict]:
        predict(source, "--shard-size", 3, "--batch-size", 1, *options, code=1)
        shards = [path.read_text() for path in sorted((tmp_path / "out").glob("graphs-*.jsonl"))]
        return [json.loads(line) for shard in shards for line in shard.splitlines()]

    expected = graphs(tmp_path / "in")
    places = [graph.pop("image") for graph in expected]
    for source, names in (
        (tmp_path / "set", [Path(place).name for place in places]),
        (tmp_path / "plain.parquet", [str(10 + int(Path(place).stem)) for place in places]),
    ):
        found = graphs(source)
        assert [graph.pop("image") for graph in found] == names and found == expected
    assert graphs(tmp_path / "plain.parquet", "--format", "parquet") == []
    parts = sorted((tmp_path / "out").glob("graphs-*.parquet"))
    rows = [row for part in parts for row in read_table(part).to_pylist()]
    assert [row["image"] for row in rows] == names
    for row, graph in zip(rows, expected, strict=True):
        found = SceneGraph.from_json(json.dumps(row)).to_dict()
        assert found == graph | {"image": row["image"]}
    assert "expected --shard-size" in predict(tmp_path / "in", "--format", "parquet", code=2)[1]
    _, err, _ = predict(tmp_path / "none.parquet", "--shard-size", 3, code=2)
    assert "expected a column of images, found id" in err


def test_options_of_shards(predict, tmp_path, monkeypatch):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{save(tmp_path / 'in' / 'a.png')}\n")
    assert predict(listed, "--no-draw")[2] == ["a.json"]
    assert "--engine ray" in predict(listed, "--workers", 2, code=2)[1]
    for option in (("--every", 1), ("--boxes", listed)):
        assert "neither --shard-size nor" in predict(listed, "--shard-size", 3, *option, code=2)[1]
    monkeypatch.setitem(sys.modules, "ray", None)
    _, err, _ = predict(listed, "--engine", "ray", code=2)
    assert err == 'speaq: --engine ray needs the package ray: pip install "speaq[ray]"\n'


def test_predictions_do_not_depend_on_the_batch_size(predict, tmp_path):
    for index in range(5):
        save(tmp_path / "in" / f"{index}.png", make_image(index, ((80, 60), (60, 80))[index % 2]))
    graphs = []
    for size in (1, 4):
        predict(tmp_path / "in", "--no-draw", "--batch-size", size)
        graphs.append([SceneGraph.from_json(path) for path in sorted((tmp_path / "out").iterdir())])
    for one, four in zip(*graphs, strict=True):
        np.testing.assert_array_equal(one.pairs, four.pairs)
        np.testing.assert_allclose(one.boxes, four.boxes, atol=1e-3)
        np.testing.assert_allclose(one.predicate_probs, four.predicate_probs, atol=1e-5)


def test_max_pixels_limits_the_size_of_images(predict, tmp_path):
    path = save(tmp_path / "large.png", Image.new("1", (400, 300)))
    limit = Image.MAX_IMAGE_PIXELS
    _, err, _ = predict(path, "--no-draw", "--max-pixels", 119_999, code=1)
    assert "too large to be safe" in err and "120000 pixels" in err and "--max-pixels" in err
    assert predict(path, "--no-draw", "--max-pixels", 120_000)[2] == ["large.json"]
    assert limit == Image.MAX_IMAGE_PIXELS
    content = bytearray(save(tmp_path / "bomb.png", Image.new("1", (8, 8))).read_bytes())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(content)
    _, err, _ = predict(tmp_path / "bomb.png", code=1)
    assert "900000000 pixels" in err and "--max-pixels" in err


def test_every_predicts_frames_of_a_video(predict, tmp_path):
    frames = [make_image(i, (96, 64)) for i in range(4)]
    path = save(
        tmp_path / "clip.gif", frames[0], save_all=True, append_images=frames[1:], duration=400, loop=0
    )
    out, _, files = predict(path, "--every", "1", "--top", "1")
    assert files == ["clip.gif", "clip.jsonl"] and "clip.gif: 2 frames" in out
    rows = [json.loads(line) for line in (tmp_path / "out" / "clip.jsonl").read_text().splitlines()]
    assert [row["time"] for row in rows] == [0.0, 1.2]
    assert {row["video"] for row in rows} == {str(path)}
    assert SceneGraph.from_json(json.dumps(rows[0])).image_size == (64, 96)
    with Image.open(tmp_path / "out" / "clip.gif") as drawn:
        assert drawn.n_frames == 2 and drawn.width > 96
    assert predict(tmp_path / "none.mp4", "--every", "1", code=2)[1].endswith("no such video file\n")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    _, err, _ = predict(tmp_path / "a.mp4", "--every", "1", output=tmp_path / "none", code=2)
    assert err.startswith(f"speaq: {tmp_path}/a.mp4: ") and not (tmp_path / "none").exists()
    if importlib.util.find_spec("av") is None:
        assert "pip install speaq[video]" in err


def test_no_progress_bar_without_a_terminal(predict, tmp_path):
    _, err, _ = predict(save(tmp_path / "a.png"), "--no-draw")
    assert err == ""


def test_predict_relates_given_boxes(predict, tmp_path):
    image, output = save(tmp_path / "photos" / "a.png"), tmp_path / "out"
    save(tmp_path / "photos" / "sub" / "a.png")
    file, records = (
        tmp_path / "boxes.json",
        [{"box": [5, 5, 30, 40], "label": "cat"}, {"box": [0, 20, 80, 60]}],
    )
    file.write_text(json.dumps({"a.png": records, "sub/a.png": []}))
    assert predict(tmp_path / "photos", "--boxes", file, "--no-draw")[2] == ["a.json", "sub/a.json"]
    graph = SceneGraph.from_json(output / "a.json")
    assert graph.boxes.tolist() == [record["box"] for record in records]
    assert (graph.labels[0], graph.scores[0]) == (0, 1)
    assert len(graph) > 0
    assert len(SceneGraph.from_json(output / "sub" / "a.json").boxes) == 0
    predict(image, "--boxes", output / "a.json", "--no-draw", output=tmp_path / "again")
    again = SceneGraph.from_json(tmp_path / "again" / "a.json")
    assert again.boxes.tolist() == graph.boxes.tolist()
    assert again.labels.tolist() == graph.labels.tolist()
    predict(image, "--boxes", file, "--format", "jsonl", "--no-draw", output=tmp_path / "lines")
    lines = tmp_path / "lines" / "predictions.jsonl"
    predict(image, "--boxes", lines, "--no-draw", output=tmp_path / "third")
    assert SceneGraph.from_json(tmp_path / "third" / "a.json").labels.tolist() == graph.labels.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "boxes.json: cannot read these boxes"),
        ("[]", 'boxes.json: expected {"image.jpg": [{"box"'),
        ('{"a.png": 3}', "boxes.json: a.png: expected"),
        ('{"a.png": [{"bbox": [1, 2, 3, 4]}]}', "a.png[0]: expected an object with box and optionally label"),
        ('{"b.png": []}', "boxes.json: no boxes for"),
        ('{"a.png": [], "b.png": [], "a.png": []}', "'a.png' is named more than once"),
        ('{"a.png": [{"box": [1, 2, 3]}]}', "a.png: boxes: expected an array (N, 4)"),
        ('{"a.png": [{"box": [1, 2, 3, 4], "label": "cut"}]}', "such as 'cat'; found 'cut'"),
    ],
)
def test_mistakes_in_boxes_end_with_a_message(predict, tmp_path, content, message):
    image, file = save(tmp_path / "a.png"), tmp_path / "boxes.json"
    file.write_text(content)
    assert message in predict(image, "--boxes", file, code=2)[1]
    assert "not for videos" in predict(image, "--boxes", file, "--every", "1", code=2)[1]


def test_predict_by_the_frequencies_in_training(tiny, config_file, tmp_path):
    names, image, folder = tiny().vocabulary, save(tmp_path / "a.png"), tmp_path / "run"
    counts = tuple(range(1, len(names.predicates) + 1))
    model = small_model(objects=names.objects, predicates=names.predicates, predicate_counts=counts)
    model.save_pretrained(folder / "best")
    shutil.copy(config_file, folder / "config.yaml")
    statistics = load_statistics(load_config(config_file))
    bias = FrequencyBias(statistics.triplets, statistics.triplet_counts, statistics.predicate_counts)
    plain = model.predict(image)
    options = {
        "--adjust=2": adjust_logits(plain, counts, 2.0),
        f"--adjust=2 --config-file={config_file}": adjust_logits(plain, statistics.predicate_counts, 2.0),
        "--frequency-bias=1": bias.apply(plain, 1.0),
    }
    for option, expected in options.items():
        words = ["predict", image, "--model", folder / "best", "--output-dir", folder, "--no-draw"]
        run(app, [*map(str, words), *option.split()])
        found = SceneGraph.from_json(folder / "a.json")
        assert expected != plain
        assert found.predicates.tolist() == expected.predicates.tolist()
        assert found.pairs.tolist() == expected.pairs.tolist()
        np.testing.assert_allclose(found.predicate_probs, expected.predicate_probs, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--adjust -1", "--adjust: expected a number in 0..20, found -1"),
        ("--adjust 1 --frequency-bias 1", "expected at most one of the two"),
        ("--frequency-bias 1", "the numbers of training relations are not known; give the configuration"),
        ("--frequency-bias 1 --config-file CONFIG", "expected training data with the classes of"),
        ("--config-file CONFIG", "--config-file names the training data for --frequency-bias or --adjust"),
    ],
)
def test_mistakes_in_frequencies_end_with_a_message(predict, config_file, tmp_path, options, message):
    words = [str(config_file) if word == "CONFIG" else word for word in options.split()]
    assert message in predict(save(tmp_path / "a.png"), *words, code=2)[1]
