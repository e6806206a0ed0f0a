"""Frames of animations, at their times."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.errors import SpeaqError
from speaq.inference.video import annotate_video, read_frames
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from tiny_model import tiny_config

SHADES = [10, 60, 110, 160, 210]


@pytest.fixture(scope="module")
def model() -> Speaq:
    torch.manual_seed(0)
    return Speaq(tiny_config(min_size=64, max_size=96)).eval()


def animation(path, durations, mode="RGB"):
    frames = [Image.new("RGB", (40, 30), (shade, shade, shade)).convert(mode) for shade in SHADES]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return path


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (0.1, {0.0: 10, 0.5: 60, 1.0: 110, 1.5: 160, 3.5: 210}),
        (1.0, {0.0: 10, 1.0: 110, 3.5: 210}),
        (1.25, {0.0: 10, 1.5: 160, 3.5: 210}),
        (9.0, {0.0: 10}),
    ],
)
def test_read_frames_takes_the_first_frame_of_each_interval(tmp_path, suffix, every, expected):
    path = animation(tmp_path / f"a.{suffix}", [500, 500, 500, 2000, 500])
    frames = list(read_frames(path, every=every))
    shades = {round(frame.time, 6): np.asarray(frame.image).mean() for frame in frames}
    assert shades == pytest.approx(expected, abs=1)
    assert {frame.image.mode for frame in frames} == {"RGB"}


def test_annotate_video_agrees_with_predict(tmp_path, model):
    path = animation(tmp_path / "a.webp", 1000)
    annotate_video(model, path, tmp_path / "out", every=2.0, draw=False, batch_size=2)
    rows = (tmp_path / "out" / "a.jsonl").read_text().splitlines()
    for frame, row in zip(read_frames(path, every=2.0), rows, strict=True):
        graph, alone = SceneGraph.from_json(row), model.predict(frame.image)
        np.testing.assert_allclose(graph.boxes, alone.boxes, atol=1e-3)
        np.testing.assert_array_equal(graph.pairs, alone.pairs)


def test_annotate_video_draws_on_the_frames(tmp_path, model):
    path = animation(tmp_path / "a.webp", 1000)
    annotate_video(model, path, tmp_path / "out", every=2.0, top=0)
    drawn = list(read_frames(tmp_path / "out" / "a.webp", every=2.0))
    assert [frame.time for frame in drawn] == [0.0, 2.0, 4.0]
    for (_, image), (_, given) in zip(drawn, read_frames(path, every=2.0), strict=True):
        assert image.width >= given.width
        np.testing.assert_allclose(np.asarray(image)[3, 3], np.asarray(given)[3, 3], atol=8)


def test_annotate_video_without_drawing(tmp_path, model):
    path = animation(tmp_path / "a.gif", 1000)
    assert annotate_video(model, path, tmp_path / "out", every=2.0, draw=False) == 3
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.jsonl"]
    rows = (tmp_path / "out" / "a.jsonl").read_text().splitlines()
    assert [json.loads(row)["time"] for row in rows] == [0.0, 2.0, 4.0]
    assert SceneGraph.from_json(rows[0]).image_size == (30, 40)


def test_read_frames_and_annotate_video_reject_other_files(tmp_path, model):
    (tmp_path / "a.gif").write_bytes(b"GIF89a nothing more")
    with pytest.raises(SpeaqError, match=r"a\.gif: the video cannot be read"):
        list(read_frames(tmp_path / "a.gif", every=1))
    with pytest.raises(SpeaqError, match=r"a\.gif: would be replaced by its results"):
        annotate_video(model, tmp_path / "a.gif", tmp_path)
    with pytest.raises(SpeaqError, match="no such video file"):
        list(read_frames(tmp_path / "b.mp4", every=1))


@pytest.mark.skipif(importlib.util.find_spec("av") is not None, reason="PyAV is installed")
def test_annotate_video_needs_pyav_for_mp4(tmp_path, model):
    (tmp_path / "b.mp4").write_bytes(b"video")
    with pytest.raises(SpeaqError, match=r"b\.mp4: videos need PyAV.*pip install speaq\[video\]"):
        annotate_video(model, tmp_path / "b.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="needs PyAV")
def test_annotate_video_reads_and_writes_mp4(tmp_path, model):
    import av  # pyright: ignore[reportMissingImports]

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in SHADES:
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 48), (shade, shade, shade)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    frames = list(read_frames(tmp_path / "a.mp4", every=1.0))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 1.0, 2.0])
    assert [np.asarray(frame.image).mean() for frame in frames] == pytest.approx([10, 110, 210], abs=6)
    assert annotate_video(model, tmp_path / "a.mp4", tmp_path / "out", every=1.0) == 3
    drawn = list(read_frames(tmp_path / "out" / "a.mp4", every=0.1))
    assert [frame.time for frame in drawn] == pytest.approx([0.0, 1.0, 2.0], abs=0.01)
