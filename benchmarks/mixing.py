"""Does synthetic data that cover the tail help a model of real data that lack it?

    python benchmarks/mixing.py --folder mixing --processes 3

Generated data stand for both. The "real" set are textured, shaded, noisy scenes in which six of the nine
predicates are rare: the head predicates have thousands of relations, the tail ones a dozen each. The
"synthetic" set are clean flat scenes, chosen because they hold a tail predicate. All models are tested on
scenes like the real ones, with the predicates as often as the generator draws them.

Every run has the same number of steps and of images per step; the arms differ in where the images come from
and in the weight of the synthetic ones. A run that is already in the folder is not repeated.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from shutil import copyfile

import h5py
import numpy as np
from scipy.stats import t as student

from speaq.config import load_config
from speaq.tools.demo import CONFIG
from speaq.tools.scenes import generate_dataset

HEAD, BODY, TAIL = (
    ("on", "left of", "right of"),
    ("above", "in front of", "in"),
    ("under", "holding", "behind"),
)
KEPT = {"head": 1.0, "body": 0.1, "tail": 0.02}  # of the pool's images that hold such a predicate
POOL, IMAGES, TEST_IMAGES = 6000, 1500, 400

MIX = "DATASETS.MULTI_DATASET."
ARMS = {
    "real alone": ["DATASETS.TRAIN", "('VG_train',)"],
    "synthetic alone": ["DATASETS.TRAIN", "('SYNTHETIC_train',)"],
    "mix 0.7 : 0.3": (0.7, 0.3, 1.0),
    "mix 0.5 : 0.5": (0.5, 0.5, 1.0),
    "mix 0.7 : 0.3, weight 0.5": (0.7, 0.3, 0.5),
}
MODELS = {
    "baseline": [
        *(
            "MODEL.DETR.MULTIPLY_QUERY",
            "1",
            "MODEL.DETR.ONE2MANY_SCHEME",
            "static",
            "MODEL.DETR.ONE2MANY_K",
            "1",
        ),
        *("MODEL.DETR.MATCH_INDEPENDENT", "False", "MODEL.DETR.USE_GROUP_MASK", "False"),
    ],
    "SpeaQ": [],
}


def make_data(folder: Path) -> None:
    """The two sets, and a copy of their annotations in which only the chosen images are for training."""
    rng = np.random.default_rng(0)
    for style, name in (("photo", "real"), ("flat", "synthetic")):
        data = generate_dataset(
            folder / name, num_images=POOL, num_val=0, num_test=TEST_IMAGES, style=style, seed=1, workers=3
        )
        names = json.loads(data.mapping_dictionary.read_text())["idx_to_predicate"]
        chosen = folder / f"{name}.h5"
        copyfile(data.attribute_h5, chosen)
        with h5py.File(chosen, "r+") as file:
            split, first, last = (file[key][:] for key in ("split", "img_to_first_rel", "img_to_last_rel"))
            predicates = [names[str(number)] for number in file["predicates"][:, 0]]
            held = [set(predicates[a : b + 1]) for a, b in zip(first, last, strict=True)]
            tail = np.array([bool(image & {*TAIL}) for image in held])
            body = np.array([bool(image & {*BODY}) for image in held])
            if name == "real":
                chance = np.where(tail, KEPT["tail"], np.where(body, KEPT["body"], KEPT["head"]))
                usable = (split == 0) & (rng.random(len(split)) < chance)
            else:
                usable = (split == 0) & tail
            rows = np.flatnonzero(usable)
            assert len(rows) >= IMAGES, len(rows)
            kept = np.zeros(len(split), dtype=bool)
            kept[rng.choice(rows, IMAGES, replace=False)] = True
            file["split"][...] = np.where((split == 0) & ~kept, 3, split)  # 3 is no split


def overrides(folder: Path, arm: str, model: str, seed: int, steps: int) -> list[str]:
    """The configuration of a run as KEY VALUE pairs."""
    items = [*MODELS[model], "SEED", str(seed), "OUTPUT_DIR", str(run_folder(folder, arm, model, seed))]
    for section, name in (
        ("VISUAL_GENOME", "real"),
        ("SYNTHETIC_GENOME", "synthetic"),
        ("VISUAL_GENOME_SYNTHETIC", "synthetic"),
    ):
        images, listed = ("VG_100K", "") if name == "real" else ("synthetic_images", "synthetic_")
        mapping = "VG-SGG-dicts" if name == "real" else "synthetic-SGG-dicts"
        for key, path in (
            ("IMAGES", folder / name / images),
            ("IMAGE_DATA", folder / name / f"{listed}image_data.json"),
            ("MAPPING_DICTIONARY", folder / name / f"{mapping}-with-attri.json"),
            ("VG_ATTRIBUTE_H5", folder / f"{name}.h5"),
        ):
            items += [f"DATASETS.{section}.{key}", str(path)]
        items += [f"DATASETS.{section}.NUMBER_OF_VALIDATION_IMAGES", "0"]
        items += [f"DATASETS.{section}.FILTER_NON_OVERLAP", "False"]
        items += [f"DATASETS.{section}.FILTER_DUPLICATE_RELATIONS", "False"]
    match ARMS[arm]:
        case (real, synthetic, weight):
            items += ["DATASETS.TYPE", "MULTI_DATASET", "DATASETS.TRAIN", "('MULTI_train',)"]
            items += [f"{MIX}ENABLED", "True", f"{MIX}SYNTHETIC_LOSS_WEIGHT", str(weight)]
            items += [
                f"{MIX}REAL_SAMPLING_RATIO",
                str(real),
                f"{MIX}SYNTHETIC_SAMPLING_RATIO",
                str(synthetic),
            ]
        case keys:
            items += ["DATASETS.TYPE", "", *keys]
    items += ["DATASETS.TEST", "('VG_test',)", "TEST.EVAL_PERIOD", "0", "DATALOADER.NUM_WORKERS", "0"]
    return [*items, "SOLVER.MAX_ITER", str(steps), "SOLVER.CHECKPOINT_PERIOD", str(steps)]


def run_folder(folder: Path, arm: str, model: str, seed: int) -> Path:
    return folder / "runs" / f"{arm} {model} {seed}".replace(" ", "_").replace(":", "to").replace(",", "")


def run(folder: Path, arm: str, model: str, seed: int, steps: int) -> None:
    """Train and test one model."""
    import torch

    from speaq.training import launch
    from speaq.training.cluster import Cluster

    torch.set_num_threads(1)
    output = run_folder(folder, arm, model, seed)
    if (output / "results.json").is_file():
        return
    config = load_config(CONFIG, overrides(folder, arm, model, seed, steps))
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stderr(nothing),
        contextlib.redirect_stdout(nothing),
    ):
        launch.train(config, cluster=Cluster(num_gpus=0), resume=True)


def figures(folder: Path, arm: str, model: str, seed: int) -> dict[str, float]:
    """The figures of a run in percent; head, body and tail are those of the real set for every arm."""
    result = json.loads((run_folder(folder, arm, model, seed) / "results.json").read_text())["VG_test"]
    found = {name: result["scene_graph"][name] for name in ("R@20", "mR@20")}
    for name, members in (("head", HEAD), ("body", BODY), ("tail", TAIL)):
        found[name] = float(np.mean([result["predicates"][member]["R@20"] for member in members]))
    found["AP50"] = result["boxes"]["AP50"]
    return {name: 100 * value for name, value in found.items()}


def interval(values: Sequence[float]) -> str:
    """Mean and half width of its 95 % confidence interval (Student's t, over the seeds)."""
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.1f} ± {half:.1f}"


def table(folder: Path, arms: Sequence[str], seeds: Sequence[int]) -> str:
    """The results as a Markdown table."""
    columns = ("R@20", "mR@20", "head", "body", "tail", "AP50")
    lines = [f"| model | training data | {' | '.join(columns)} |", "| --- " * (2 + len(columns)) + "|"]
    for model, arm in product(MODELS, arms):
        runs = [figures(folder, arm, model, seed) for seed in seeds]
        cells = [interval([one[name] for one in runs]) for name in columns]
        lines.append(f"| {model} | {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def counts_table(folder: Path) -> str:
    """Relations of every predicate in the two training sets."""
    lines = ["| training set | images | " + " | ".join((*HEAD, *BODY, *TAIL)) + " |", "| --- " * 11 + "|"]
    for name in ("real", "synthetic"):
        mapping = next((folder / name).glob("*dicts-with-attri.json"))
        numbers = json.loads(mapping.read_text())["predicate_to_idx"]
        with h5py.File(folder / f"{name}.h5") as file:
            train = file["split"][:] == 0
            ranges = zip(file["img_to_first_rel"][:][train], file["img_to_last_rel"][:][train], strict=True)
            rows = np.concatenate([np.arange(a, b + 1) for a, b in ranges if a >= 0])
            counts = np.bincount(file["predicates"][:, 0][rows], minlength=10)
        cells = [f"{counts[numbers[predicate]]:,}" for predicate in (*HEAD, *BODY, *TAIL)]
        lines.append(f"| {name} | {train.sum():,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("mixing"), help="data, runs and results")
    parser.add_argument("--steps", type=int, default=900, help="optimiser steps of a run, of 16 images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, help="training data")
    parser.add_argument("--processes", type=int, default=3, help="runs at a time, one thread each")
    options = parser.parse_args()
    make_data(options.folder)
    work = list(product(options.seeds, options.arms, MODELS))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=spawn, max_tasks_per_child=1) as pool:
        futures = [
            pool.submit(run, options.folder, arm, model, seed, options.steps) for seed, arm, model in work
        ]
        for done, future in enumerate(futures, 1):
            future.result()
            print(f"{done} of {len(futures)} runs", file=sys.stderr)
    print(f"{counts_table(options.folder)}\n{table(options.folder, options.arms, options.seeds)}")


if __name__ == "__main__":
    main()
