"""Videos: scene graphs of frames, with their times, and a video with the graphs drawn into it.

Animated GIF, WebP and PNG files are read and written by Pillow, all other videos by PyAV.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.images import to_rgb
from speaq.inference.predictor import Network, Precision, predict_each
from speaq.scene_graph import SceneGraph

ANIMATIONS = frozenset({".gif", ".png", ".webp"})
_MILLISECONDS = Fraction(1, 1000)
Lazy = Iterator[tuple[float, Callable[[], Image.Image]]]
_USUAL_DURATION = 0.1  # seconds, of a frame that does not say; as browsers do


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of a video.

    Attributes:
        time: when it is shown, in seconds from the beginning.
        picture: RGB.
    """

    time: float
    picture: Image.Image


def read_frames(path: Path, *, every: float) -> Iterator[Frame]:
    """The first frame, and then the first one at or after each multiple of ``every`` seconds.

    Raises:
        SpeaqError: the file is missing, damaged or no video, or PyAV is needed and not installed.
    """
    _check(path)
    frames = _animation_frames(path) if path.suffix.lower() in ANIMATIONS else _video_frames(path)
    due = 0.0
    for time, picture in frames:
        if time >= due - 1e-6:
            yield Frame(time, picture())
            due = every * (int((time + 1e-6) / every) + 1)


def _animation_frames(path: Path) -> Lazy:
    time = 0.0
    try:
        with Image.open(path) as image:
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                image.load()
                yield time, lambda: to_rgb(image)
                time += image.info.get("duration", 0) / 1000 or _USUAL_DURATION
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise SpeaqError(f"{path}: the video cannot be read ({error}); replace the file") from error


def _video_frames(path: Path) -> Lazy:
    av = _pyav(path)
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SpeaqError(f"{path}: there is no video in this file")
            for index, frame in enumerate(container.decode(video=0)):
                yield (index * _USUAL_DURATION if frame.time is None else frame.time), frame.to_image
    except (OSError, av.FFmpegError) as error:
        raise SpeaqError(f"{path}: the video cannot be read ({error}); replace the file") from error


def _check(path: Path) -> None:
    if not path.is_file():
        raise SpeaqError(f"{path}: there is no such video file")
    if path.suffix.lower() not in ANIMATIONS:
        _pyav(path)


def _pyav(path: Path) -> Any:
    try:
        import av  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise SpeaqError(
            f"{path}: videos need PyAV, which is not installed: pip install speaq[video] (animated GIF and "
            "WebP files do not need it)"
        ) from None
    return av


def predict_video(
    model: Network, path: Path, *, every: float = 1.0, batch_size: int = 8, dtype: Precision = "float32"
) -> Iterator[tuple[Frame, SceneGraph]]:
    """Frames of a video and their scene graphs.

    Args:
        model: the trained network.
        path: the file.
        every: seconds from one frame to the next.
        batch_size: frames that are computed at once.
        dtype: see :func:`speaq.inference.predictor.predict`.

    Raises:
        SpeaqError: see ``read_frames``.
    """
    waiting: deque[Frame] = deque()

    def pictures() -> Iterator[Image.Image]:
        for frame in read_frames(path, every=every):
            waiting.append(frame)
            yield frame.picture

    for _, graph in predict_each(model, pictures(), batch_size=batch_size, dtype=dtype):
        yield waiting.popleft(), graph


def annotate_video(
    model: Network,
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
    """Write the scene graphs of a video as ``<name>.jsonl``, and the video with the graphs drawn into it.

    A line of the JSON is a scene graph with ``video`` (the file) and ``time`` (in seconds) before it.

    Args:
        model: the trained network.
        path: the video.
        folder: where to write.
        every: seconds from one frame to the next.
        draw: also write the video: a GIF, WebP or PNG as what it was, any other one as MP4.
        top: how many relations are drawn at most.
        score: the least score of what is drawn.
        batch_size: frames that are computed at once.
        dtype: see :func:`speaq.inference.predictor.predict`.

    Returns:
        The number of frames.

    Raises:
        SpeaqError: the video cannot be read, or the results cannot be written.
    """
    _check(path)
    ending = path.suffix.lower() if path.suffix.lower() in ANIMATIONS else ".mp4"
    target, lines = folder / f"{path.stem}{ending}", []
    if target.resolve() == path.resolve():
        raise SpeaqError(f"{path}: would be replaced by its results; choose another output folder")

    def drawn() -> Iterator[Frame]:
        for frame, graph in predict_video(model, path, every=every, batch_size=batch_size, dtype=dtype):
            start = json.dumps({"video": str(path), "time": round(frame.time, 6)}, ensure_ascii=False)
            lines.append(start.removesuffix("}") + "," + graph.to_json().replace("\n", "")[1:] + "\n")
            shown = graph.draw(top=top, score=score, panel=None) if draw else frame.picture
            yield Frame(frame.time, shown)

    if draw:
        with replacing(target) as temporary:
            (_write_mp4 if ending == ".mp4" else _write_animation)(temporary, _of_one_size(drawn()), every)
    else:
        deque(drawn(), maxlen=0)
    with replacing(folder / f"{path.stem}.jsonl") as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _of_one_size(frames: Iterable[Frame]) -> Iterator[Frame]:
    """All on white of the size of the first one, made even; the notes below the pictures differ in height."""
    size = None
    for frame in frames:
        size = size or (
            frame.picture.width + frame.picture.width % 2,
            frame.picture.height + frame.picture.height % 2,
        )
        canvas = Image.new("RGB", size, "white")
        canvas.paste(frame.picture)
        yield Frame(frame.time, canvas)


def _write_animation(path: Path, frames: Iterable[Frame], every: float) -> None:
    first, *others = frames
    times = [frame.time for frame in (first, *others)]
    ends = [*times[1:], times[-1] + every]
    first.picture.save(
        path,
        save_all=True,
        append_images=[frame.picture for frame in others],
        duration=[round(1000 * (end - start)) for start, end in zip(times, ends, strict=True)],
        loop=0,
    )


def _write_mp4(path: Path, frames: Iterable[Frame], every: float) -> None:
    av = _pyav(path)
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(1 / every).limit_denominator(1000))
                stream.width, stream.height = frame.picture.size
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = _MILLISECONDS
            picture = av.VideoFrame.from_image(frame.picture)
            picture.pts, picture.time_base = round(1000 * frame.time), _MILLISECONDS
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode())
