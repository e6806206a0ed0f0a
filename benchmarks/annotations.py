"""Time and memory of the annotations of a data set, without its image files.

    python benchmarks/annotations.py
    python benchmarks/annotations.py --images 100000 1000000 10000000 --versions ours parquet --rounds 1

The images have 11 boxes and 6 relations on average, 70 % of them for training. The files are generated in a
temporary folder, and opened in processes of their own; the plain version reads the same files image by image,
as code for Visual Genome used to, and the version parquet has them in Parquet. Memory in MB:

    peak         what the first opening adds to the peak of the process
    own, mapped  what the opened data set keeps: memory of the process, and pages of mapped files in it, which
                 all processes of a machine share and the system takes back when it needs them
    forked       memory of its own (not shared) that a data worker gets by reading 20,000 images at random
    spawned      what the worker's process gets by receiving the data set and reading the same
    counted      the most that counting the classes and triplets takes for its own arrays
    order        the order of an epoch

"again" is the second opening.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from measuring import peak_memory
from speaq.config.data import DatasetSection
from speaq.data.parquet_images import ParquetImages
from speaq.data.sampling import ShuffledEpochs
from speaq.data.statistics import count_dataset
from speaq.data.vg_dictionary import read_vocabulary
from speaq.data.vg_writer import write_dictionary
from speaq.data.visual_genome import VisualGenome
from speaq.structures import Vocabulary

OBJECTS, PREDICATES, BLOCK, DRAWS = 150, 50, 100_000, 20_000


def write_files(folder: Path, images: int) -> None:
    """Write the three files of the data set, a block of images at a time."""
    rng = np.random.default_rng(0)
    boxes, relations = rng.integers(2, 21, images), rng.integers(1, 12, images)
    ends = {"box": np.cumsum(boxes), "rel": np.cumsum(relations)}
    with h5py.File(folder / "VG.h5", "w") as file:
        file["split"] = np.where(np.arange(images) < 0.7 * images, 0, 2).astype(np.int32)
        for kind, count in (("box", boxes), ("rel", relations)):
            file[f"img_to_first_{kind}"] = (ends[kind] - count).astype(np.int32)
            file[f"img_to_last_{kind}"] = (ends[kind] - 1).astype(np.int32)
        sizes = {name: int(end[-1]) for name, end in ends.items()}
        arrays = {
            "boxes_1024": file.create_dataset("boxes_1024", (sizes["box"], 4), np.int32),
            "labels": file.create_dataset("labels", (sizes["box"], 1), np.int64),
            "relationships": file.create_dataset("relationships", (sizes["rel"], 2), np.int32),
            "predicates": file.create_dataset("predicates", (sizes["rel"], 1), np.int64),
        }
        box = relation = 0
        for start in range(0, images, BLOCK):
            count, related = boxes[start : start + BLOCK], relations[start : start + BLOCK]
            number, image_of = int(count.sum()), np.repeat(np.arange(len(count)), related)
            first = box + np.cumsum(count) - count
            pairs = rng.random((len(image_of), 2)) * count[image_of, None] + first[image_of, None]
            rows, owned = slice(box, box + number), slice(relation, relation + len(image_of))
            arrays["boxes_1024"][rows] = rng.integers(20, 300, (number, 4)) + np.array([300, 200, 0, 0])
            arrays["labels"][rows, 0] = rng.integers(1, OBJECTS + 1, number)
            arrays["relationships"][owned] = pairs.astype(np.int32)
            arrays["predicates"][owned, 0] = rng.integers(1, PREDICATES + 1, len(image_of))
            box, relation = rows.stop, owned.stop
    names = (tuple(f"object {i}" for i in range(OBJECTS)), tuple(f"predicate {i}" for i in range(PREDICATES)))
    write_dictionary(folder / "dicts.json", Vocabulary(*names))
    with (folder / "image_data.json").open("w") as file:
        for i in range(1, images + 1):
            entry = {"image_id": i, "width": 800, "height": 600, "file_name": f"{i}.jpg"}
            file.write(("[" if i == 1 else ", ") + json.dumps(entry))
        file.write("]")
    (folder / "images").mkdir()


def ours(folder: Path) -> VisualGenome:
    section = DatasetSection(
        images=str(folder / "images"),
        image_data=str(folder / "image_data.json"),
        mapping_dictionary=str(folder / "dicts.json"),
        vg_attribute_h5=str(folder / "VG.h5"),
        filter_non_overlap=False,
        number_of_validation_images=0,
    )
    return VisualGenome(section, "train")


def write_parquet(folder: Path) -> None:
    """Write the training images to files of 100,000 rows, 100 in a group."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    def lists(counts: np.ndarray, **columns: np.ndarray | pa.Array) -> pa.ListArray:
        items = pa.StructArray.from_arrays([pa.array(values) for values in columns.values()], list(columns))
        return pa.ListArray.from_arrays(np.append(0, np.cumsum(counts)).astype(np.int32), items)

    names = read_vocabulary(folder / "dicts.json")
    labels = {"category_id": {"names": names.objects}}, {"predicate_id": {"names": names.predicates}}
    features = {"info": {"features": dict(zip(("objects", "relations"), labels, strict=True))}}
    files = folder / "parquet"
    files.mkdir(exist_ok=True)
    with h5py.File(folder / "VG.h5") as file:
        number = int((file["split"][()] == 0).sum())
        for start in range(0, number, BLOCK):
            rows = slice(start, min(start + BLOCK, number))
            first, last, first_rel, last_rel = (
                file[f"img_to_{end}_{kind}"][rows].astype(np.int64)
                for kind in ("box", "rel")
                for end in ("first", "last")
            )
            count, related = last - first + 1, last_rel - first_rel + 1
            boxes, relations = slice(first[0], last[-1] + 1), slice(first_rel[0], last_rel[-1] + 1)
            values = file["boxes_1024"][boxes] * np.array([800 / 1024])
            values[:, :2] -= values[:, 2:] / 2
            pairs = file["relationships"][relations] - np.repeat(first, related)[:, None]
            boxes_of = np.arange(0, 4 * len(values) + 1, 4, dtype=np.int32)
            table = pa.table(
                {
                    "image_id": np.arange(rows.start + 1, rows.stop + 1),
                    "width": np.full(len(count), 800),
                    "height": np.full(len(count), 600),
                    "objects": lists(
                        count,
                        category_id=file["labels"][boxes, 0] - 1,
                        bbox=pa.ListArray.from_arrays(boxes_of, values.ravel()),
                    ),
                    "relations": lists(
                        related,
                        subject_id=pairs[:, 0].astype(np.int64),
                        object_id=pairs[:, 1].astype(np.int64),
                        predicate_id=file["predicates"][relations, 0] - 1,
                    ),
                }
            )
            table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
            parquet.write_table(table, files / f"train-{start // BLOCK:05}.parquet", row_group_size=100)


def parquet(folder: Path) -> VisualGenome:
    (folder / "images").mkdir(exist_ok=True)
    section = DatasetSection(
        parquet=str(folder / "parquet"),
        images=str(folder / "images"),
        filter_non_overlap=False,
        number_of_validation_images=0,
    )
    return ParquetImages(section, "train")


def plain(folder: Path) -> list[dict[str, object]]:
    listed = json.loads((folder / "image_data.json").read_text())
    with h5py.File(folder / "VG.h5") as file:
        arrays = {name: np.asarray(values) for name, values in file.items()}
    found = []
    for row in np.flatnonzero(arrays["split"] == 0):
        first, last = arrays["img_to_first_box"][row], arrays["img_to_last_box"][row]
        boxes = arrays["boxes_1024"][first : last + 1]
        centre, size = boxes[:, :2], boxes[:, 2:]
        start, end = arrays["img_to_first_rel"][row], arrays["img_to_last_rel"][row]
        pairs = arrays["relationships"][start : end + 1] - first
        predicates = arrays["predicates"][start : end + 1] - 1
        found.append(
            {
                "image": listed[row],
                "boxes": np.hstack((centre - size / 2, centre + size / 2)),
                "labels": arrays["labels"][first : last + 1, 0] - 1,
                "relations": np.hstack((pairs, predicates)),
            }
        )
    return found


def memory() -> dict[str, float]:
    """MB of this process in Linux: its own (also if forks share it), private, and of mapped files."""
    found = dict.fromkeys(("own", "private", "mapped"), 0.0)
    is_file = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *fields = line.split()
        if not name.endswith(":"):
            is_file = len(fields) > 4 and fields[3] != "0"  # an inode
        elif name in ("Anonymous:", "Rss:"):
            found["own" if name == "Anonymous:" else "mapped"] += int(fields[0]) / 1000
        elif name == "Private_Dirty:" and not is_file:
            found["private"] += int(fields[0]) / 1000
    return found | {"mapped": found["mapped"] - found["own"]}


def read_at_random(dataset: Any) -> float:
    """Read the annotations of images at random, and return the private memory afterwards in MB."""
    before = memory()["private"]
    for index in np.random.default_rng(1).integers(len(dataset), size=DRAWS).tolist():
        if isinstance(dataset, VisualGenome):
            dataset._annotation(index, Path(), 800, 600)
        else:
            dataset[index]["boxes"].sum()
    return memory()["private"] - before


def receive(pipe: Connection) -> None:
    before = memory()["private"]
    dataset = pipe.recv()
    read_at_random(dataset)
    pipe.send(memory()["private"] - before)


def measure(version: str, folder: Path) -> dict[str, float]:
    """Seconds and MB."""
    before, peak = memory(), peak_memory()
    start = time.perf_counter()
    dataset = {"ours": ours, "plain": plain, "parquet": parquet}[version](folder)
    found = {"seconds": time.perf_counter() - start}
    found["peak"] = (peak_memory() - peak) / 1e6
    after = memory()
    found |= {key: after[key] - before[key] for key in ("own", "mapped")}
    ours_end, end = multiprocessing.Pipe()
    if not (worker := os.fork()):
        end.send(read_at_random(dataset))
        os._exit(0)
    found["forked"] = ours_end.recv()
    os.waitpid(worker, 0)
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(end,))
    process.start()
    ours_end.send(dataset)
    found["spawned"] = ours_end.recv()
    process.join()
    if isinstance(dataset, VisualGenome):
        tracemalloc.start()
        count_dataset(dataset)
        found["counted"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        found["order"] = ShuffledEpochs(num_images=len(dataset), seed=0)(0).nbytes / 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[108_000])
    parser.add_argument(
        "--versions", nargs="+", default=["plain", "ours"], choices=["plain", "ours", "parquet"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        what, folder = options.run
        if what == "write":
            write_files(Path(folder), options.images[0])
        elif what == "write parquet":
            write_parquet(Path(folder))
        else:
            print(json.dumps(measure(what, Path(folder))))
        return
    for images in options.images:
        with tempfile.TemporaryDirectory() as folder:
            # Not in this process: its peak memory would be the first peak of those that it starts.
            command = [sys.executable, __file__, "--images", str(images), "--run"]
            subprocess.run([*command, "write", folder], check=True)
            if "parquet" in options.versions:
                subprocess.run([*command, "write parquet", folder], check=True)
            for version in options.versions:
                runs = []
                for _ in range(options.rounds + 1):
                    run = subprocess.run([*command, version, folder], capture_output=True, text=True)
                    if run.returncode:
                        print(f"{version}: {images} images: {run.stderr.splitlines()[-1]}")
                        break
                    runs.append(json.loads(run.stdout))
                if len(runs) > 1:
                    first, again = runs[0]["seconds"], min(run["seconds"] for run in runs[1:])
                    rest = {key: max(run[key] for run in runs[1:]) for key in runs[0] if key != "seconds"}
                    rest["peak"] = runs[0]["peak"]
                    shown = ", ".join(f"{key} {value:.0f}" for key, value in rest.items())
                    times = f"{first:.2f} s, again {again:.2f} s"
                    print(f"{version}: {images} images in {times}; MB: {shown}", flush=True)


if __name__ == "__main__":
    main()
