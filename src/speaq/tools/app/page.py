"""The page of the app, made with gradio: the tabs Use and Browse."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from html import escape
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from speaq.errors import SpeaqError, printable
from speaq.tools.app import browse
from speaq.tools.app.index import DataIndex
from speaq.tools.app.shots import Model, Shot, classes, predict_photo, predict_video, shot_html, write_files
from speaq.tools.app.view import MAX_RELATIONS, page_head

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
import gradio as gr  # pyright: ignore[reportMissingImports]  # an optional package

_CARD = """element.addEventListener("click", (event) => {
  const card = event.target.closest(".sg-card");
  if (card) trigger("click", {image: card.dataset.image});
});"""
_SCROLL = "() => document.getElementById('sg-image').scrollIntoView({behavior: 'smooth'})"
_DRAW = "(on) => { document.body.classList.toggle('sg-drawing', on); }"
_FONTS = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # none from another host


def build(models: Mapping[str, Model], index: DataIndex | None = None) -> gr.Blocks:
    """The page for some models by name, and for a data set; at least one of the two."""
    with gr.Blocks(title="speaq", analytics_enabled=False) as page:
        if models:
            with gr.Tab("Use"):
                _use_tab(models)
        if index is not None:
            with gr.Tab("Browse"):
                _browse_tab(index, page)
    return page


def launch(page: gr.Blocks, *, host: str | None = None, port: int | None = None) -> str:
    """Start to serve the page, by default where GRADIO_SERVER_NAME and _PORT say, and return its address."""
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        run_history=False,
        footer_links=[],
        head=page_head(),
        theme=gr.themes.Default(font=_FONTS[0], font_mono=_FONTS[1]),
        quiet=True,
        prevent_thread_lock=True,
    )
    return address


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with errors of users as messages on the page."""

    @wraps(function)
    def wrapper(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except SpeaqError as error:
            raise gr.Error(escape(printable(str(error))), print_exception=False) from error

    return wrapper


def _use_tab(models: Mapping[str, Model]) -> None:
    objects, predicates = classes(list(models.values()))
    shots = gr.State([])
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            photo = gr.Image(
                label="Image", type="filepath", sources=["upload", "clipboard", "webcam"], elem_id="sg-input"
            )
            with gr.Accordion("Video", open=False):
                video = gr.File(label="Video file", file_types=["video", ".gif", ".webp"], type="filepath")
                every = gr.Slider(0.2, 10, value=1, step=0.2, label="Seconds between frames")
            with gr.Accordion("Given boxes", open=False):
                draw = gr.Checkbox(label="Draw by dragging over the image with the graph")
                boxes = gr.Textbox(
                    label="A line for each box, in pixels",
                    placeholder="x1, y1, x2, y2, class (or none)",
                    lines=3,
                    elem_id="sg-boxes",
                )
                again = gr.Button("Predict between these boxes")
        with gr.Column(scale=3, min_width=320):
            with gr.Row():
                score = gr.Slider(0, 1, value=0.05, step=0.01, label="Minimum score", min_width=150)
                top = gr.Slider(1, MAX_RELATIONS, value=10, step=1, label="Relations at most", min_width=150)
            with gr.Row():
                object_ = gr.Dropdown(objects, multiselect=True, label="Objects", min_width=150)
                predicate = gr.Dropdown(predicates, multiselect=True, label="Predicates", min_width=150)
            frame = gr.Slider(1, 2, value=1, step=1, label="Frame", visible=False)
            view = gr.HTML(
                '<p class="sg-note">Drop, paste or take a photo.</p>',
                elem_id="sg-result",
                apply_default_css=False,
            )
            make = gr.Button("Make files of this graph", elem_id="sg-make")
            files = gr.Files(
                label="JSON, GraphML and SVG", visible=False, elem_id="sg-files", interactive=False
            )

    def predicted(found: list[Shot]) -> tuple[list[Shot], Any]:
        several = len(found) > 1
        return found, gr.Slider(maximum=max(2, len(found)), value=1, visible=several)

    @_told
    def on_photo(path: str | None, text: str) -> tuple[list[Shot], Any]:
        return predicted([] if path is None else predict_photo(models, Path(path), text))

    @_told
    def on_boxes(path: str | None, text: str) -> tuple[list[Shot], Any]:
        if path is None:
            raise SpeaqError("there is no photo to predict: drop, paste or take one first")
        return on_photo(path, text)

    @_told
    def on_video(path: str | None, seconds: float) -> tuple[Any, Any]:
        if path is None:
            return gr.skip(), gr.skip()
        return predicted(predict_video(models, Path(path), seconds))

    def filters(minimum: float, number: float, names: list[str], verbs: list[str]) -> dict[str, Any]:
        return {"score": minimum, "top": int(number), "objects": names or (), "predicates": verbs or ()}

    @_told
    def show(found: list[Shot], position: float, *settings: Any) -> tuple[str, Any]:
        if not found:
            return '<p class="sg-note">Drop, paste or take a photo.</p>', gr.Files(visible=False)
        shot = found[min(int(position), len(found)) - 1]
        time = f'<p class="sg-note">{shot.time:.1f} s</p>' if len(found) > 1 else ""
        return time + shot_html(shot, **filters(*settings)), gr.Files(visible=False)

    @_told
    def write(found: list[Shot], position: float, *settings: Any) -> Any:
        if not found:
            raise SpeaqError("there is no graph yet: drop, paste or take a photo first")
        shot = found[min(int(position), len(found)) - 1]
        folder = Path(mkdtemp(prefix="speaq"))
        return gr.Files([str(path) for path in write_files(shot, folder, **filters(*settings))], visible=True)

    settings = [shots, frame, score, top, object_, predicate]
    shown: dict[str, Any] = {
        "fn": show,
        "inputs": settings,
        "outputs": [view, files],
        "show_progress": "hidden",
    }
    result = [shots, frame]
    photo.change(lambda: "", outputs=boxes).then(on_photo, [photo, boxes], result).success(**shown)
    again.click(on_boxes, [photo, boxes], result).success(**shown)
    gr.on([video.change, every.release], on_video, [video, every], result).success(**shown)
    for control in (frame, score, top, object_, predicate):
        control.change(**shown, trigger_mode="always_last")
    draw.change(None, draw, js=_DRAW)
    make.click(write, settings, files)


def _browse_tab(index: DataIndex, page: gr.Blocks) -> None:
    images = gr.State(np.arange(len(index)))
    with gr.Row():
        text = gr.Textbox(
            label="Search", placeholder="person holding *, cup", scale=2, min_width=200, elem_id="sg-search"
        )
        parts = gr.Dropdown(
            [part.name for part in index.parts], multiselect=True, label="Sources and splits", min_width=160
        )
        orders = [
            ("as listed", ""),
            *((f"lowest R@100: {each.name}", each.name) for each in index.compared),
        ]
        worst = gr.Dropdown(orders, value="", label="Order", min_width=250, visible=len(orders) > 1)
        finding = gr.Dropdown([("any", "")], value="", label="Findings", min_width=200)
        check = gr.Button("Check the dataset", min_width=120, elem_id="sg-check")
    count = gr.HTML(elem_id="sg-count", apply_default_css=False)
    wall = gr.HTML(elem_id="sg-images", js_on_load=_CARD, apply_default_css=False)
    with gr.Row():
        back = gr.Button("Previous page", min_width=100)
        number = gr.Number(1, label="Page", precision=0, minimum=1, min_width=100)
        forward = gr.Button("Next page", min_width=100, elem_id="sg-next")
    view = gr.HTML(elem_id="sg-image", apply_default_css=False)

    @_told
    def search(query: str, names: list[str], order: str, code: str) -> tuple[np.ndarray, int]:
        return index.search(query, parts=names, worst=order, finding=code), 1

    @_told
    def show(found: np.ndarray, position: float | None, order: str) -> tuple[str, str]:
        pages = browse.number_of_pages(found)
        position = min(max(int(position or 1), 1), pages)
        line = (
            f'<p class="sg-note">{len(found):,} of {len(index):,} images, page {position:,} of {pages:,}</p>'
        )
        return line, browse.wall_page(index, found, position, order)

    def turn(step: int) -> Callable[..., int]:
        return lambda found, position: min(max(int(position or 1) + step, 1), browse.number_of_pages(found))

    @_told
    def check_data() -> Any:
        found = [(f"{code} ({len(rows):,})", code) for code, rows in index.findings.items()]
        return gr.Dropdown([("any", ""), *found], label=f"Findings ({len(found)} kinds)")

    @_told
    def choose(event: gr.EventData) -> str:
        return browse.image_html(index, int(event.image))  # of the card, see _CARD

    shown: dict[str, Any] = {"fn": show, "inputs": [images, number, worst], "outputs": [count, wall]}
    asked = [text, parts, worst, finding]
    events = [text.submit, parts.change, worst.change, finding.change]
    gr.on(events, search, asked, [images, number]).success(**shown)
    for button, step in ((back, -1), (forward, 1)):
        button.click(turn(step), [images, number], number).then(**shown)
    number.submit(**shown)
    check.click(check_data, None, finding)
    wall.click(choose, None, view).success(None, js=_SCROLL)
    page.load(**shown)


def serve(
    models: Mapping[str, Model],
    *,
    data: Path | None = None,
    predictions: Sequence[Path] = (),
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Load a data set, and serve the page until it is stopped.

    Args:
        models: by name.
        data: configuration or folder of a data set.
        predictions: of the data set.
        host: address to listen at; by default GRADIO_SERVER_NAME, or else this machine alone.
        port: by default GRADIO_SERVER_PORT, or else the first free one from 7860.

    Raises:
        SpeaqError: the data set cannot be read, or the address cannot be used.
    """
    index = None if data is None else DataIndex(data, predictions)
    page = build(models, index)
    try:
        address = launch(page, host=host, port=port)
    except OSError as error:
        raise SpeaqError(
            f"cannot serve at {host or 'this machine'}, port {port or 'any'}: {error}"
        ) from error
    sys.stdout.write(f"open {address} in a browser; Ctrl+C stops the server\n")
    sys.stdout.flush()
    page.block_thread()
