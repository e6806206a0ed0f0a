"""Small valid inputs of every reader, and changes that damage them.

`INPUTS` has a function for each kind of input: it writes valid files to a folder, and returns the files to
damage and a function that reads them.
"""

import base64
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image

from golden_dataset import TINY, open_dataset
from scene_graphs import VOCABULARY, small_graph
from speaq.checkpoints.saved_models import load_pretrained
from speaq.checkpoints.weights import load_matching
from speaq.config import load_config
from speaq.data.aliases import read_aliases
from speaq.errors import SpeaqError
from speaq.evaluation.formats.read import read_predictions
from speaq.evaluation.formats.target import Target
from speaq.evaluation.long_tail import read_long_tail
from speaq.evaluation.prediction_writer import PredictionWriter
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.zero_shot import load_zero_shot_triplets
from speaq.images import read_image
from speaq.inference.boxes_file import BoxesFile
from speaq.inference.given_boxes import check_given_boxes
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation
from speaq.tools.convert import convert_dataset
from speaq.tools.data_check.check import check_dataset
from speaq.tools.data_check.sources import find_sources
from speaq.tools.training_log.reading import read_history
from speaq.training.checkpoints import FolderCheckpoint, find_checkpoint
from tiny_model import tiny_config

Prepared = tuple[list[Path], Callable[[Path], object]]
"""The files to damage, by their place in the folder, and the reader, which is given a copy of the folder."""

VALUES: list[Any] = [None, True, -1, 0, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 0.5, 1e308, math.nan]
VALUES += [math.inf, "", ".", "/", "..", "\0", "\ud800", "\x1b[31m", "../a.jpg", "/etc/passwd", "x" * 5000]
VALUES += ["1" * 5000, "-1", "1e400", "[red]", [], [[]], {}, {"": None}, [None] * 3, [1e9, -1e9, math.nan, 0]]


def damage(file: Path, rng: random.Random) -> None:
    """Change a file: its structure, where it is JSON or HDF5, or its bytes."""
    change = damage_bytes
    if file.suffix in (".json", ".jsonl") and rng.random() < 0.7:
        change = damage_json
    elif file.suffix == ".h5" and rng.random() < 0.7:
        change = damage_hdf5
    elif file.suffix == ".parquet" and rng.random() < 0.7:
        change = damage_parquet
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        change(file, rng)


def damage_bytes(file: Path, rng: random.Random) -> None:
    """Change, remove, repeat or insert some bytes."""
    content = bytearray(file.read_bytes())
    start = rng.randrange(len(content) + 1)
    if rng.random() < 0.3:  # headers are at the start
        start = min(start, rng.randrange(64))
    end = min(len(content), start + rng.choice((1, 1, 2, 4, 8, 100, 10_000)))
    new = rng.choice(
        (
            bytes(byte ^ 1 << rng.randrange(8) for byte in content[start:end]),
            b"",
            content[start:end] * 2,
            rng.randbytes(end - start),
            rng.choice((b"\xff", b"\0", b"\x7f")) * (end - start),
            rng.choice(
                (b"[", b"{", b'"', b"&a", b"*a", b"-", b"9" * 30, b"<", b"\xed\xa0\x80", b"!!python/")
            ),
        )
    )
    content[start:end] = new
    if rng.random() < 0.1:
        del content[start:]
    file.write_bytes(content)


def damage_json(file: Path, rng: random.Random) -> None:
    """Replace, remove or repeat a value, somewhere in a JSON text or in one of its lines."""
    try:
        texts = (
            file.read_text(encoding="utf-8").splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        )
        row = rng.randrange(len(texts))
        root = [json.loads(texts[row])]
    except (ValueError, RecursionError):  # it is damaged already
        return damage_bytes(file, rng)
    place, key = root, 0
    while isinstance(place[key], list | dict) and place[key] and rng.random() < 0.85:
        place = place[key]
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
    kind = rng.randrange(8)
    if kind == 0 and place is not root:
        del place[key]
    elif kind == 1 and isinstance(place, list):
        place.insert(key, place[key])
    elif kind == 2 and isinstance(place, dict):
        place[str(rng.choice(VALUES))] = place.pop(key)
    else:
        place[key] = rng.choice(VALUES)
    texts[row] = json.dumps(root[0]) if root else ""
    if rng.random() < 0.03:
        depth = rng.choice((500, 100_000))
        texts[row] = texts[row].replace(":", ":" + "[" * depth + "]" * depth + ",", 1)
    file.write_text("\n".join(texts) + "\n")


def damage_hdf5(file: Path, rng: random.Random) -> None:
    """Replace an array by one of another type, shape or extreme values, or remove it."""
    try:
        with h5py.File(file, "a") as content:
            name = rng.choice(sorted(content))
            old = content[name]
            if not isinstance(old, h5py.Dataset) or old.size > 10**6:
                return damage_bytes(file, rng)
            values, shape = np.asarray(old[()]), old.shape
            del content[name]
            kind = rng.randrange(8)
            if kind == 0:
                content.create_dataset(name, (10 ** rng.randrange(9, 15), *shape[1:]), old.dtype, chunks=True)
            elif kind == 1:
                content[name] = np.full(shape, rng.choice(("", "x", "[", "\x1b[0m")), object)
            elif kind == 2:
                content[name] = values[: len(values) // 2]
            elif kind == 3:
                content[name] = values[None]
            elif kind == 4:
                content.create_group(name)
            elif kind == 5:
                content[name] = h5py.SoftLink("/nowhere")
            elif values.dtype.kind in "iuf" and values.size:
                values = values.astype(rng.choice(("i8", "f8", "u8", "i4", "f4")))
                extremes = (-1, 0, 1, len(values), 2**31 - 1, 2**62)
                values.flat[rng.randrange(values.size)] = rng.choice(
                    extremes if kind == 6 else (-1, 0, 10**6)
                )
                content[name] = values
    except (OSError, RuntimeError, KeyError, ValueError, OverflowError, TypeError):  # it is damaged already
        damage_bytes(file, rng)


def damage_parquet(file: Path, rng: random.Random) -> None:
    """Replace a column by one of another type or of null, or remove it."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(file)
        column = rng.randrange(table.num_columns)
    except (OSError, ValueError, pa.ArrowException):  # it is damaged already, or has no column left
        return damage_bytes(file, rng)
    if rng.random() < 0.2:
        table = table.remove_column(column)
    else:
        value = rng.choice(
            [None, "../a.jpg", "", -1, 2**40, math.nan, b"\xff\xd8", [], [None], [{"id": 1}], {"a": 1}]
        )
        values = pa.array([value] * len(table))
        if rng.random() < 0.2:
            values = pa.array([b"\xed\xa0\x80"] * len(table), pa.binary()).view(pa.string())
        table = table.set_column(column, table.column_names[column], values)
    parquet.write_table(table, file)


def outcome(read: Callable[[Path], object], folder: Path) -> str:
    """The message of a refusal, or "" if the files were read; other exceptions are raised."""
    try:
        read(folder)
    except SpeaqError as error:
        return str(error) or "no message"
    return ""


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def _files(folder: Path, *suffixes: str) -> list[Path]:
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return [file for file in files if not suffixes or file.suffix in suffixes]


def visual_genome(folder: Path) -> Prepared:
    """The three files of a Visual Genome data set, as training reads them."""
    rows = json.loads((TINY / "image_data.json").read_text())
    _write(folder / "image_data.json", rows)
    _write(folder / "dicts.json", (TINY / "dicts.json").read_text())
    (folder / "VG.h5").write_bytes((TINY / "VG.h5").read_bytes())

    def read(copy: Path) -> object:
        data = open_dataset(copy, images=TINY / "images")
        try:
            return data.read(0)
        finally:
            data.check_images()

    return _files(folder), read


def checked_dataset(folder: Path) -> Prepared:
    """The same files, as ``speaq data check`` reads them."""
    files, _ = visual_genome(folder)

    def read(copy: Path) -> object:
        paths = {
            "images": TINY / "images",
            "image_data": copy / "image_data.json",
            "mapping_dictionary": copy / "dicts.json",
            "vg_attribute_h5": copy / "VG.h5",
        }
        return [check_dataset(source, limit=3) for source in find_sources((), None, paths)]

    return files, read


def configuration(folder: Path) -> Prepared:
    """A configuration with a base."""
    _write(folder / "base.yaml", "SOLVER:\n  STEPS: [3, 4]\n  BASE_LR: 1e-4\n  AMP: {ENABLED: yes}\n")
    _write(
        folder / "run.yaml",
        "_BASE_: base.yaml\nSEED: &a 3\nDATASETS:\n  TRAIN: ('VG_train',)\n  VISUAL_GENOME: {IMAGES: x y}\n"
        "INPUT:\n  MIN_SIZE_TRAIN: [*a, 5]\n  CROP: {SIZE: [384, 600], TYPE: 'absolute_range'}\n",
    )
    return _files(folder), lambda copy: load_config(copy / "run.yaml")


def model(folder: Path) -> Prepared:
    """The folder of a saved model."""
    torch.manual_seed(0)
    Speaq(tiny_config()).save_pretrained(folder)
    return _files(folder, ".json", ".safetensors"), lambda copy: load_pretrained(Speaq, copy)


def initial_weights(folder: Path) -> Prepared:
    """Weights for the start of a training: the folder of a model, and a checkpoint of torch.save."""
    target = Speaq(tiny_config())
    target.save_pretrained(folder)
    torch.save({"model": target.state_dict()}, folder / "weights.pth")
    (folder / "README.md").unlink()

    def read(copy: Path) -> object:
        try:
            load_matching(target, copy)
        finally:
            load_matching(target, copy / "weights.pth")

    return _files(folder), read


def saved_predictions(folder: Path) -> Prepared:
    """Predictions as an evaluation saves them."""
    with PredictionWriter(
        folder / "predictions.h5", vocabulary=VOCABULARY, dataset="VG_test", predicate_counts=np.array([3, 4])
    ) as writer:
        for number in range(3):
            writer.add(small_graph(), image_id=number, source="real")

    def read(copy: Path) -> object:
        with Predictions(copy / "predictions.h5") as predictions:
            return [graph.triplets for graph in predictions]

    return _files(folder), read


def text_predictions(folder: Path) -> Prepared:
    """Predictions in the three text formats."""
    graph = {**json.loads(small_graph().to_json()), "image": "1.jpg"}
    _write(folder / "graphs.jsonl", json.dumps(graph) + "\n" + json.dumps({**graph, "image": "2.jpg"}) + "\n")
    triplet = {"subject": "cup", "predicate": "on", "object": "table", "score": 0.5}
    triplet |= {"subject_box": [1, 2, 3, 4], "object_box": [5, 2, 15, 9]}
    _write(folder / "triplets.json", [{"image_id": 1, "triplets": [triplet, triplet]}])
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 2, 2], "score": 0.5}
    relation = {"image_id": 1, "subject": 1, "object": 0, "predicate_id": 2, "score": 0.25}
    _write(folder / "coco.json", {"detections": [box, {**box, "category_id": 3}], "relations": [relation]})
    arrays = {
        "boxes": np.zeros((0, 4), np.float32),
        "labels": np.zeros(0, int),
        "relations": np.zeros((0, 3), int),
    }
    images = [
        Annotation(image_id=number, path=Path(f"{number}.jpg"), width=50, height=30, **arrays)
        for number in (1, 2)
    ]

    def read(copy: Path) -> object:
        refusals = []
        for file in sorted(copy.iterdir()):
            try:
                found = read_predictions(file, Target("VG_test", VOCABULARY, images))
                [found[index] for index in range(len(found))]
            except SpeaqError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return None

    return _files(folder), read


def scene_graph(folder: Path) -> Prepared:
    """A scene graph as JSON."""
    small_graph().to_json(folder / "graph.json")

    def read(copy: Path) -> object:
        graph = SceneGraph.from_json(copy / "graph.json")
        return graph.to_json(), graph.filter(score=0.1).triplets

    return _files(folder), read


def given_boxes(folder: Path) -> Prepared:
    """Boxes between which relations are predicted: by names of images, and of scene graphs."""
    boxes = [
        {"box": [1, 2, 30, 20], "label": "cup"},
        {"box": [5, 2, 20.5, 20]},
        {"box": [0, 0, 9, 9], "label": 1},
    ]
    _write(folder / "boxes.json", {"a.jpg": boxes, "b/c.jpg": []})
    graph = {**json.loads(small_graph().to_json()), "image": "a.jpg"}
    _write(
        folder / "graphs.jsonl", json.dumps(graph) + "\n" + json.dumps({**graph, "image": "b/c.jpg"}) + "\n"
    )

    def read(copy: Path) -> object:
        refusals = []
        for file in sorted(copy.iterdir()):
            try:
                images = [Path("photos/a.jpg"), Path("b/c.jpg")]
                listed = [BoxesFile(file).of(image) for image in images]
                boxes, labels = [each.boxes for each in listed], [each.labels for each in listed]
                for given in check_given_boxes(images, boxes, labels, VOCABULARY) or ():
                    given.check_inside((30, 50), "image")
            except SpeaqError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return None

    return _files(folder), read


def checkpoint(folder: Path) -> Prepared:
    """A checkpoint of a training, with its hashes."""
    state = {
        "global_step": 1,
        "lr_schedulers": [],
        "optimizer_states": [],
        "seed": 0,
        "skipped_steps": 0,
        "samples": {},
    }
    state |= {"state_dict": {"model.w": torch.ones(3)}, "model_config": tiny_config().to_json()}
    FolderCheckpoint().save_checkpoint(state, folder / "checkpoints" / "iter_0000001")

    def read(copy: Path) -> object:
        if find_checkpoint(copy) is not None:
            (copy / "checkpoints" / "iter_0000001" / "sha256.json").unlink(missing_ok=True)
        return FolderCheckpoint().load_checkpoint(copy / "checkpoints" / "iter_0000001")

    files = _files(folder)
    return [*files, *[file for file in files if file.name == "sha256.json"] * 3], read


def training_log(folder: Path) -> Prepared:
    """The files of a run that ``speaq plot log`` reads."""
    rows = [
        {"iteration": 19, "total_loss": 2.5, "lr": 1e-4},
        {"iteration": 39, "total_loss": 1.5, "VG_val/R@20": 0.2, "VG_val/mR@20": 0.1},
    ]
    _write(folder / "metrics.json", "\n".join(map(json.dumps, rows)) + "\n")
    line = "[11/26 14:00:00] d2.utils.events INFO: eta: 0:00:41  iter: 19  total_loss: 278.9  lr: 1e-4\n"
    _write(folder / "log.txt", line + line.replace("19", "39") + "VG_val: recall@20 on: 0.5\n")
    results = {"iteration": 39, "VG_val": {"R@20": 0.2, "predicates": {"on": {"R@20": 0.5, "images": 3}}}}
    _write(folder / "results.json", results)
    return _files(folder), read_history


def images(folder: Path) -> Prepared:
    """An image in every format."""
    rng = np.random.default_rng(0)
    for mode, suffixes in (("RGB", "jpg png bmp webp ppm tif"), ("P", "gif png bmp"), ("RGBA", "png webp")):
        for suffix in suffixes.split():
            pixels = rng.integers(0, 256, (24, 32, 4), np.uint8)
            exif = Image.Exif()
            exif[0x0112] = 6
            options = {"exif": exif} if suffix in ("jpg", "png", "webp") else {}
            Image.fromarray(pixels).convert(mode).save(folder / f"{mode}.{suffix}", **options)

    def read(copy: Path) -> object:
        refusals = []
        for file in sorted(copy.iterdir()):
            try:
                read_image(file)
            except SpeaqError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return None

    return _files(folder), read


def requests(folder: Path) -> Prepared:
    """Requests to the prediction server: a JSON document, forms and their content types."""
    import asyncio

    import httpx

    from speaq.tools.serve import create_app

    Image.new("RGB", (40, 30), "red").save(folder / "image.png")
    content = (folder / "image.png").read_bytes()
    options = {"score": 0.1, "relations": 3, "boxes": [[0, 0, 9, 9], [5, 5, 40, 30]], "labels": ["cup", None]}
    _write(folder / "document.json", {"image": base64.b64encode(content).decode(), **options})
    _write(folder / "options.json", options)
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    (folder / "form.bin").write_bytes(head + content + b"\r\n--b--\r\n")
    (folder / "type.txt").write_bytes(b"multipart/form-data; boundary=b")
    torch.manual_seed(0)
    server_model = Speaq(tiny_config(min_size=32, max_size=64)).eval()

    def bodies(copy: Path) -> list[dict[str, Any]]:
        """The arguments of a request for each."""
        document, form = (copy / "document.json").read_bytes(), (copy / "form.bin").read_bytes()
        try:
            fields = json.loads((copy / "options.json").read_bytes())
        except (ValueError, RecursionError):
            fields = {}
        values = {
            str(name).encode(errors="replace").decode(): json.dumps(value)
            for name, value in (fields.items() if isinstance(fields, dict) else ())
        }
        image = (copy / "image.png").read_bytes()
        return [
            {"content": document, "headers": {"Content-Type": "application/json"}},
            {"content": form, "headers": {"Content-Type": (copy / "type.txt").read_bytes()}},
            {"data": values, "files": {"image": image}},
        ]

    async def send(copy: Path) -> list[Any]:
        app = create_app(server_model)
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
        async with app.router.lifespan_context(app), client:
            return [await client.post("/predict", **body) for body in bodies(copy)]

    def read(copy: Path) -> object:
        answers = asyncio.run(send(copy))
        refused = [answer.json()["detail"] for answer in answers if answer.status_code != 200]
        assert all(answer.status_code in (200, 400, 413, 415, 422) for answer in answers)
        assert all(isinstance(detail, str) and 0 < len(detail) < 1000 for detail in refused)
        if refused:
            raise SpeaqError(refused[0])
        return None

    return _files(folder), read


def small_files(folder: Path) -> Prepared:
    """Lists of names and of triplets."""
    _write(folder / "aliases.txt", "man, men, guy\nhat, cap\n")
    _write(folder / "tail.json", {"head": ["on"], "body": ["near"], "tail": []})
    torch.save(torch.tensor([[1, 1, 2], [2, 2, 3]]), folder / "zero_shot.pt")

    def read(copy: Path) -> object:
        try:
            read_aliases(copy / "aliases.txt")
        finally:
            try:
                read_long_tail(copy / "tail.json", VOCABULARY.predicates)
            finally:
                load_zero_shot_triplets(copy / "zero_shot.pt", num_objects=3, num_predicates=3)

    return _files(folder), read


LINES = [
    {
        "image": f"{name}.jpg",
        "id": name,
        "width": 40,
        "height": 30,
        "split": split,
        "objects": [{"name": "man", "box": [1, 2, 20, 20]}, {"name": "hat", "box": [5, 2, 30.5, 20]}],
        "relations": [[1, "on", 0], [0, "has", 1]],
    }
    for name, split in (("a", "train"), ("b", "val"), ("c", "test"))
]


def _converted(name: str) -> Callable[[Path], Prepared]:
    """The files of a format that can be written."""

    def prepare(folder: Path) -> Prepared:
        _write(folder / "lines.jsonl", "\n".join(map(json.dumps, LINES)) + "\n")
        convert_dataset(folder / "lines.jsonl", folder / "set", target_format=name)
        (folder / "lines.jsonl").unlink()
        return _prepared(folder, name)

    return prepare


def parquet(folder: Path) -> Prepared:
    """A data set in Parquet, with its images."""
    _write_images(folder / "images")
    _write(folder / "lines.jsonl", "\n".join(map(json.dumps, LINES)) + "\n")
    convert_dataset(folder / "lines.jsonl", folder / "set", target_format="parquet")
    shutil.rmtree(folder / "images")

    def read(copy: Path) -> object:
        return convert_dataset(copy / "set", copy / "out", source_format="parquet")

    return [file for file in _files(folder) if file.parts[0] == "set"], read


def _written(name: str) -> Callable[[Path], Prepared]:
    """The files of a format that can only be read."""

    def prepare(folder: Path) -> Prepared:
        for file, content in FILES[name].items():
            _write(folder / "set" / file, content)
        return _prepared(folder, name)

    return prepare


def _write_images(folder: Path) -> None:
    folder.mkdir()
    for line in LINES:
        Image.new("RGB", (40, 30)).save(folder / line["image"])


def _prepared(folder: Path, name: str) -> Prepared:
    _write_images(folder / "images")

    def read(copy: Path) -> object:
        options = {"images": copy / "images", "link": True}
        return convert_dataset(
            copy / "set", copy / "out", source_format=name, target_format="jsonl", **options
        )

    return [file for file in _files(folder) if file.parts[0] == "set"], read


_MAN, _HAT = ({"category": kind, "bbox": box} for kind, box in ((1, [5, 25, 10, 30]), (0, [0, 9, 20, 30])))
_BOX = {"type": "rectanglelabels", "original_width": 40, "original_height": 30}
_THING = {
    "color": "red",
    "material": "metal",
    "shape": "cube",
    "size": "large",
    "pixel_coords": [20, 15, 10.5],
}
FILES: dict[str, dict[str, Any]] = {
    "vrd": {
        "objects.json": ["hat", "man"],
        "predicates.json": ["on", "wear"],
        "annotations_train.json": {"a.jpg": [{"subject": _MAN, "predicate": 1, "object": _HAT}]},
        "annotations_test.json": {"b.jpg": [{"subject": _HAT, "predicate": 0, "object": _MAN}]},
    },
    "gqa": {
        "train_sceneGraphs.json": {
            "a": {
                "width": 40,
                "height": 30,
                "objects": {
                    "1": {
                        "name": "man", "x": 1, "y": 2, "w": 9, "h": 8,
                        "relations": [{"name": "near", "object": "2"}],
                    },
                    "2": {"name": "hat", "x": 3, "y": 2, "w": 9, "h": 8, "relations": []},
                },
            }
        }
    },
    "clevr": {
        "CLEVR_val_scenes.json": {
            "scenes": [
                {
                    "image_filename": "a.jpg",
                    "objects": [_THING, {**_THING, "color": "blue", "pixel_coords": [30, 15, 9]}],
                    "relationships": {"left": [[], [0]], "right": [[1], []]},
                }
            ]
        }
    },
    "hoi": {
        "test_hico.json": [
            {
                "file_name": "a.jpg",
                "annotations": [
                    {"bbox": [1, 2, 30, 20], "category_id": 1},
                    {"bbox": [9, 2, 20, 20], "category_id": "4"},
                ],
                "hoi_annotation": [{"subject_id": 0, "object_id": 1, "category_id": 7, "hoi_category_id": 3}],
            }
        ],
        "objects.txt": "id name\n1 person\n4 motorcycle\n",
        "verbs.txt": "7 ride\n8 hold\n",
    },
    "label-studio": {
        "export.json": [
            {
                "id": 1,
                "data": {"image": "/data/upload/1/0123abcd-a.jpg"},
                "annotations": [
                    {
                        "result": [
                            {**_BOX, "id": name, "value": {
                                "x": 1, "y": 2, "width": 30, "height": 20, "rectanglelabels": [name]
                            }}
                            for name in ("man", "hat")
                        ]
                        + [
                            {
                                "type": "relation", "from_id": "man", "to_id": "hat",
                                "direction": "right", "labels": ["has"],
                            }
                        ]
                    }
                ],
            }
        ]
    },
    "cvat": {
        "annotations.xml": "<?xml version='1.0'?>\n<annotations>\n"
        "<image id='0' name='a.jpg' width='40' height='30'>"
        "<box label='man' xtl='1' ytl='2' xbr='20' ybr='20'>"
        "<attribute name='relations'>has 2</attribute></box>"
        "<box label='hat' xtl='5' ytl='2' xbr='20' ybr='20'></box></image></annotations>\n"
    },
    "openimages": {
        "class-descriptions.csv": "/m/1,man\n/m/2,hat\n",
        "train-vrd.csv": "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,"
        "RelationshipLabel\na,/m/1,/m/2,0.1,0.5,0.1,0.5,0.2,0.6,0.2,0.6,on\n",
    },
    "triplets": {
        "triplets.json": [
            {
                "image_id": "a",
                "source": "vlm",
                "triplets": [
                    {"subject": "man", "predicate": "has", "object": "hat", "score": 0.5,
                     "subject_box": [1, 2, 30, 20], "object_box": [5, 2, 20.5, 20]},
                ],
            }
        ]
    },
    "vg-raw": {
        "image_data.json": [{"image_id": 1, "width": 40, "height": 30, "url": "https://x/VG_100K/1.jpg"}],
        "objects.json": [
            {
                "image_id": 1,
                "objects": [
                    {"object_id": number, "names": [name], "x": 1, "y": 2, "w": 9, "h": 8}
                    for number, name in ((1, "man"), (2, "hat"))
                ],
            }
        ],
        "relationships.json": [
            {
                "image_id": 1,
                "relationships": [
                    {
                        "predicate": "has", "relationship_id": 1,
                        "subject": {"object_id": 1, "name": "man", "x": 1, "y": 2, "w": 9, "h": 8},
                        "object": {"object_id": 2, "name": "hat", "x": 1, "y": 2, "w": 9, "h": 8},
                    }
                ],
            }
        ],
    },
}  # fmt: skip

INPUTS: dict[str, Callable[[Path], Prepared]] = {
    "visual-genome": visual_genome,
    "checked-dataset": checked_dataset,
    "configuration": configuration,
    "model": model,
    "initial-weights": initial_weights,
    "saved-predictions": saved_predictions,
    "text-predictions": text_predictions,
    "scene-graph": scene_graph,
    "given-boxes": given_boxes,
    "checkpoint": checkpoint,
    "training-log": training_log,
    "images": images,
    "small-files": small_files,
    "requests": requests,
    **{name: _converted(name) for name in ("vg", "jsonl", "coco", "sgg-benchmark", "psg", "layout")},
    "parquet": parquet,
    **{name: _written(name) for name in FILES},
}
