"""Predict scene graphs of video frames, and draw them into the video.

Pillow reads and writes animated GIF, WebP and PNG files; PyAV all other videos.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice, tee
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.images import PILLOW_ERRORS, to_rgb
from speaq.inference.pipeline import Precision, Predictor

ANIMATIONS = frozenset({".gif", ".png", ".webp"})
_MILLISECONDS = Fraction(1, 1000)
_DEFAULT_DURATION = 0.1  # seconds, of a frame without a duration; as browsers do
LazyFrames = Iterator[tuple[float, Callable[[], Image.Image]]]
"""Times of frames, and functions that convert each to RGB."""


class Frame(NamedTuple):
    """A frame of a video: seconds since the beginning of the video, and the RGB image."""

    time: float
    image: Image.Image


def annotate_video(
    model: Predictor,
    path: Path,
    folder: Path,
    *,
    every: float = 1.0,
    draw: bool = True,
    top: int = 10,
    score: float = 0.0,
    batch_size: int = 8,
    dtype: Precision = "float32",
) -> int:
    """Write the scene graphs of a video as ``<name>.jsonl``, and with ``draw`` a video of the drawings.

    Each line is the JSON of a scene graph with the additional keys ``video`` (path) and ``time`` (seconds).
    There is one frame every ``every`` seconds. Drawings have the ``top`` best relations with at least
    ``score``. The drawn video is GIF, WebP or PNG if the video is, else MP4. See
    `speaq.pretrained.Speaq.predict` for the other options.

    Returns:
        Number of frames.

    Raises:
        SpeaqError: the video cannot be read, or the results cannot be written.
    """
    suffix = path.suffix.lower() if path.suffix.lower() in ANIMATIONS else ".mp4"
    target, lines = folder / f"{path.stem}{suffix}", []
    if target.resolve() == path.resolve():
        raise SpeaqError(f"{path}: would be replaced by its results; choose another output folder")

    def drawn() -> Iterator[Frame]:
        frames, copies = tee(read_frames(path, every=every))
        images = (frame.image for frame in copies)
        pairs = model.predict_each(images, batch_size=batch_size, dtype=dtype)
        for (time, _), (image, graph) in zip(frames, pairs, strict=True):
            start = json.dumps({"video": str(path), "time": round(time, 6)}, ensure_ascii=False)
            lines.append(start.removesuffix("}") + "," + graph.to_json().replace("\n", "")[1:] + "\n")
            yield Frame(time, graph.draw(top=top, score=score, panel=None) if draw else image)

    frames = drawn()
    first = list(islice(frames, 1))  # an unreadable video fails here, before the folder is created
    frames = chain(first, frames)
    if draw:
        with replacing(target) as temporary:
            write = _write_mp4 if suffix == ".mp4" else _write_animation
            write(temporary, _pad_to_first(frames), every)
    else:
        deque(frames, maxlen=0)
    with replacing(folder / f"{path.stem}.jsonl") as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def read_frames(path: Path, *, every: float) -> Iterator[Frame]:
    """The first frame at or after each multiple of ``every`` seconds, from 0.

    Raises:
        SpeaqError: the file is missing, damaged or not a video, or needs PyAV, which is not installed.
    """
    if not path.is_file():
        raise SpeaqError(f"{path}: there is no such video file")
    frames = _animation_frames(path) if path.suffix.lower() in ANIMATIONS else _video_frames(path)
    due = 0.0
    for time, to_image in frames:
        if time >= due - 1e-6:
            yield Frame(time, to_image())
            due = every * (int((time + 1e-6) / every) + 1)


def _animation_frames(path: Path) -> LazyFrames:
    time = 0.0
    try:
        with Image.open(path) as image:
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                image.load()
                yield time, lambda: to_rgb(image)
                time += image.info.get("duration", 0) / 1000 or _DEFAULT_DURATION
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        raise SpeaqError(f"{path}: the video cannot be read ({error}); replace the file") from error


def _video_frames(path: Path) -> LazyFrames:
    av = _pyav(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SpeaqError(f"{path}: this file has no video stream")
            for index, frame in enumerate(container.decode(video=0)):
                yield (index * _DEFAULT_DURATION if frame.time is None else frame.time), frame.to_image
    except (OSError, av.FFmpegError) as error:
        raise SpeaqError(f"{path}: the video cannot be read ({error}); replace the file") from error


def _pyav(path: Path) -> Any:
    try:
        import av  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise SpeaqError(
            f"{path}: videos need PyAV, which is not installed: pip install speaq[video] (animated GIF and "
            "WebP files do not need it)"
        ) from None
    return av


def _pad_to_first(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Pad or crop all frames to the size of the first one, rounded up to even numbers as H.264 needs.

    Drawings differ in height, as the text below the image does.
    """
    size = None
    for time, image in frames:
        size = size or (image.width + image.width % 2, image.height + image.height % 2)
        canvas = Image.new("RGB", size, "white")
        canvas.paste(image)
        yield Frame(time, canvas)


def _write_animation(path: Path, frames: Iterable[Frame], every: float) -> None:
    times, (first, *others) = zip(*frames, strict=True)
    ends = [*times[1:], times[-1] + every]
    durations = [round(1000 * (end - start)) for start, end in zip(times, ends, strict=True)]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)


def _write_mp4(path: Path, frames: Iterable[Frame], every: float) -> None:
    av = _pyav(path)
    with av.open(str(path), "w") as container:
        stream = None
        for time, image in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(1 / every).limit_denominator(1000))
                stream.width, stream.height = image.size
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = _MILLISECONDS
            frame = av.VideoFrame.from_image(image)
            frame.pts, frame.time_base = round(1000 * time), _MILLISECONDS
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())
