"""Time and memory to load the annotations of a data set of the size of Visual Genome.

    python benchmarks/annotations.py

The files have 108,000 images with 11 boxes and 6 relations on average. They are generated in a temporary
folder, and loaded in a process of its own. The memory is what loading adds to the peak of the process, and
the plain version reads the same files image by image, as code for Visual Genome used to.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from speaq.data.vg_ranges import Ranges
from speaq.data.vg_writer import write_annotations, write_dictionary
from speaq.data.visual_genome import VisualGenome
from speaq.structures import Vocabulary

OBJECTS, PREDICATES = 150, 50


def write_files(folder: Path, images: int) -> None:
    """Write the three files of the data set."""
    rng = np.random.default_rng(0)
    boxes = Ranges.of_counts(rng.integers(2, 21, images))
    relations = Ranges.of_counts(rng.integers(1, 12, images))
    image_of = np.repeat(np.arange(images), relations.count)
    pairs = rng.random((len(image_of), 2)) * boxes.count[image_of, None] + boxes.first[image_of, None]
    number = int(boxes.count.sum())
    write_annotations(
        folder / "VG.h5",
        split=np.where(np.arange(images) < 0.7 * images, 0, 2),
        box_ranges=boxes,
        relation_ranges=relations,
        boxes={1024: rng.integers(20, 300, (number, 4)) + np.array([300, 200, 0, 0])},
        labels=rng.integers(0, OBJECTS, number),
        pairs=pairs.astype(np.int64),
        predicates=rng.integers(0, PREDICATES, len(image_of)),
    )
    names = (tuple(f"object {i}" for i in range(OBJECTS)), tuple(f"predicate {i}" for i in range(PREDICATES)))
    write_dictionary(folder / "dicts.json", Vocabulary(*names))
    listed = [{"image_id": i, "width": 800, "height": 600, "coco_id": None} for i in range(1, images + 1)]
    (folder / "image_data.json").write_text(json.dumps(listed))
    (folder / "images").mkdir()


def ours(folder: Path) -> None:
    files = {"annotations_h5": "VG.h5", "image_data": "image_data.json", "dictionary": "dicts.json"}
    paths = {name: folder / file for name, file in files.items()}
    VisualGenome(images=folder / "images", split="train", **paths)


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


def measure(version: str, folder: Path) -> tuple[float, float]:
    """Seconds and MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    kept = {"ours": ours, "plain": plain}[version](folder)  # noqa: F841
    seconds = time.perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=108_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        what, folder = options.run
        if what == "write":
            write_files(Path(folder), options.images)
        else:
            print(json.dumps(measure(what, Path(folder))))
        return
    with tempfile.TemporaryDirectory() as folder:
        # Not in this process: its peak memory would be the first peak of those that it starts.
        command = [sys.executable, __file__, "--images", str(options.images), "--run"]
        subprocess.run([*command, "write", folder], check=True)
        for version in ("plain", "ours"):
            runs = [
                json.loads(
                    subprocess.run(
                        [*command, version, folder], check=True, capture_output=True, text=True
                    ).stdout
                )
                for _ in range(options.rounds)
            ]
            seconds, memory = min(run[0] for run in runs), max(run[1] for run in runs)
            print(f"{version}: {options.images} images in {seconds:.2f} s, {memory:.0f} MB")


if __name__ == "__main__":
    main()
