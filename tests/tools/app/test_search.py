from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from golden_dataset import TINY
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.app.browse import PAGE, image_html, number_of_pages, wall_page
from speaq.tools.app.index import DataIndex
from speaq.tools.app.search import parse_query

NAMES = Vocabulary(("person", "traffic light", "cup", "cupboard"), ("holding", "standing on", "on"))


def classes(condition: object) -> tuple[list[int] | None, ...]:
    return tuple(None if mask is None else np.flatnonzero(mask).tolist() for mask in condition)  # pyright: ignore


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("person holding *", ([0, 1, 2, 3], [0], [0])),
        ("Person standing on traffic light", ([1], [1], [0])),
        ("* *on cup*", ([2, 3], [1, 2], [0, 1, 2, 3])),
        ("cup*", ([2, 3], None, None)),
        ("on", (None, [2], None)),
    ],
)
def test_query(text: str, expected: tuple) -> None:
    (condition,) = parse_query(text, NAMES)
    assert classes(condition) == expected


def test_query_with_unknown_name_names_similar_ones() -> None:
    with pytest.raises(SpeaqError, match=r"persn holding \*: expected .* Similar names: holding, person"):
        parse_query("cup, persn holding *", NAMES)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataIndex]:
    config = tmp_path_factory.mktemp("app") / "config.yaml"
    config.write_text(
        f"""
DATASETS:
  VISUAL_GENOME: &paths
    IMAGES: {TINY / "images"}
    IMAGE_DATA: {TINY / "image_data.json"}
    MAPPING_DICTIONARY: {TINY / "dicts.json"}
    VG_ATTRIBUTE_H5: {TINY / "VG.h5"}
    NUMBER_OF_VALIDATION_IMAGES: 10
  SYNTHETIC_GENOME: *paths
""",
        encoding="utf-8",
    )
    yield DataIndex(config)


def test_search_agrees_with_annotations(index: DataIndex) -> None:
    graphs = [index.truth(image) for image in range(len(index))]
    triplet = next(graph[0] for graph in graphs if len(graph))
    wanted = (triplet.subject, triplet.predicate)
    expected = [i for i, graph in enumerate(graphs) if any((t.subject, t.predicate) == wanted for t in graph)]
    assert index.search(f"{triplet.subject} {triplet.predicate} *").tolist() == expected
    having = [i for i, graph in enumerate(graphs) if any(e.name == triplet.object for e in graph.entities)]
    assert index.search(triplet.object).tolist() == having


def test_search_in_sources(index: DataIndex) -> None:
    names = [part.name for part in index.parts]
    assert {name.split()[0] for name in names} == {"real", "synthetic"}
    real = index.search(parts=[name for name in names if name.startswith("real")])
    assert len(real) * 2 == len(index)


def test_findings_lead_to_their_images(index: DataIndex) -> None:
    for code, images in index.findings.items():
        assert index.search(finding=code).tolist() == images.tolist()
        assert index.findings_of(int(images[0]))


def test_wall_and_image(index: DataIndex) -> None:
    images = index.search()
    html = wall_page(index, images, 1)
    assert html.count("data-image=") == min(PAGE, len(images))
    assert number_of_pages(images) == -(-len(images) // PAGE)
    assert "Ground truth" in image_html(index, 0)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SpeaqError, match=r"nowhere\.yaml"):
        DataIndex(tmp_path / "nowhere.yaml")
