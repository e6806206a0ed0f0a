"""The app in headless Chromium; skipped where gradio, playwright or Chromium is missing."""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from PIL import Image

from golden_dataset import TINY
from scene_graphs import small_graph
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.tools.app.index import DataIndex

pytest.importorskip("gradio")
sync_api = pytest.importorskip("playwright.sync_api")

HOSTILE = '<img src=x onerror="document.title=1">${document.title=2}{{7*7}}'
OF_GRADIO = "Method not implemented."  # its client warns so whenever it closes a stream of events
PHOTO = TINY / "images" / "1.jpg"


class Known:
    """A model that finds the same graph in every image; an untrained network often finds one relation."""

    vocabulary = Vocabulary(("cup", "table", HOSTILE), ("on", "near"))

    def predict_each(self, images: list[Any], **given: Any) -> Iterator[tuple[Any, SceneGraph]]:
        graph = small_graph(vocabulary=self.vocabulary)
        return ((image, graph[:1] if given else graph) for image in images)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from speaq.tools.app.page import build, launch

    folder = tmp_path_factory.mktemp("app")
    shutil.copytree(TINY / "images", folder / "images")
    (folder / "images" / "2.jpg").unlink()
    config = folder / "config.yaml"
    paths = {"IMAGES": folder / "images", "IMAGE_DATA": "image_data.json", "MAPPING_DICTIONARY": "dicts.json"}
    lines = [f"    {key}: {TINY / name}" for key, name in {**paths, "VG_ATTRIBUTE_H5": "VG.h5"}.items()]
    config.write_text("\n".join(["DATASETS:", "  VISUAL_GENOME:", *lines]), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = build({"model": Known()}, DataIndex(config))
    yield launch(page, host="127.0.0.1", port=port)
    page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        # The Chromium of the system, or the one of `playwright install chromium`.
        path = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("needs Chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    messages, hosts = [], set()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda sent: hosts.add(sent.url.partition("?")[0]))
    page.goto(address)
    yield page
    assert [text for text in messages if text != OF_GRADIO] == []
    assert [url for url in hosts if not url.startswith((address, "data:", "blob:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.close()


def test_use(page: Any, tmp_path: Path) -> None:
    page.set_input_files("#sg-input input[type=file]", PHOTO)
    page.get_by_label("number input for Minimum score").fill("0")
    page.get_by_label("number input for Minimum score").press("Enter")
    triplets = page.locator("#sg-result .sg-triplets button")
    triplets.nth(1).wait_for()
    assert HOSTILE in page.inner_text("#sg-result .sg-triplets")
    assert page.title() == "speaq"

    triplets.first.focus()
    lit = "#sg-result .sg-photo .lit"
    assert page.locator(lit).count() == len(set(triplets.first.get_attribute("data-lit").split()) - {"r0"})
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.key") == "r1"
    page.keyboard.press("Enter")
    assert triplets.nth(1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    page.hover("#sg-result .sg-node >> nth=0")
    assert page.locator("#sg-result .sg-photo [data-key=e0].lit").count() == 1

    page.click("#sg-make")
    paths = []
    for number in range(3):
        with page.expect_download() as download:
            page.click(f"#sg-files a[download] >> nth={number}")
        paths.append(tmp_path / download.value.suggested_filename)
        download.value.save_as(paths[-1])
    json, graphml, svg = paths
    assert len(SceneGraph.from_json(json)) == nx.read_graphml(graphml).number_of_edges() == 3
    assert svg.read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_given_boxes(page: Any) -> None:
    page.set_input_files("#sg-input input[type=file]", PHOTO)
    page.wait_for_selector("#sg-result .sg-triplets button")
    page.get_by_role("button", name="Given boxes").click()
    page.get_by_label("Draw by dragging").check()
    photo = page.locator("#sg-result .sg-photo")
    photo.scroll_into_view_if_needed()
    area = photo.bounding_box()
    page.mouse.move(area["x"] + 0.5 * area["width"], area["y"] + 0.25 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.75 * area["height"])
    page.mouse.up()
    height, width = small_graph().image_size
    corners = [float(corner) for corner in page.input_value("#sg-boxes textarea").split(",")]
    expected = [0.5 * width, 0.25 * height, 0.75 * width, 0.75 * height]
    assert corners == pytest.approx(expected, abs=1)
    page.get_by_role("button", name="Predict between these boxes").click()
    page.get_by_text("1 of 1 relations").wait_for()


def test_video(page: Any, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (50, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "video.gif", save_all=True, append_images=frames[1:], duration=1000)
    page.get_by_role("button", name="Video").click()
    page.set_input_files("input[type=file] >> nth=1", tmp_path / "video.gif")
    number = page.get_by_label("number input for Frame")
    number.fill("2")
    number.press("Enter")
    page.get_by_text("1.0 s").wait_for()


def test_browse(page: Any) -> None:
    page.get_by_role("tab", name="Browse").click()
    page.wait_for_selector(".sg-card")
    before = page.inner_text("#sg-count")
    page.fill("#sg-search textarea, #sg-search input", "* * *")
    page.press("#sg-search textarea, #sg-search input", "Enter")
    page.wait_for_function("(old) => document.querySelector('#sg-count').innerText !== old", arg=before)
    page.click(".sg-card >> nth=0")
    page.wait_for_selector("#sg-image .sg-triplets button")

    page.fill("#sg-search textarea, #sg-search input", "")
    page.click("#sg-check")
    page.get_by_text(re.compile(r"Findings \(\d")).wait_for()
    page.get_by_label("Findings").first.click()
    page.get_by_role("option", name="image-missing (1)").click()
    page.get_by_text("no image file").wait_for()
    page.click(".sg-card")
    page.get_by_text("error: An image has no file").wait_for()
