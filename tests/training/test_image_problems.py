"""Images that are read in spite of a problem: one warning for a run, and a count at its end."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from damaged_dataset import DamagedDataset
from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.training.cluster import Cluster
from speaq.training.launch import _check_images, _log_problems, evaluate


@pytest.fixture
def trainer() -> Any:
    """A Trainer on the CPU with one more process, which read the first image and found it damaged."""

    def reduce(problems: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "max"
        problems[2, 0] = 1
        return problems

    return SimpleNamespace(strategy=SimpleNamespace(root_device="cpu", reduce=reduce))


def test_problems_are_counted_over_data_sets_and_processes(tiny, trainer, caplog):
    datasets = [tiny("train"), tiny("test")]
    _check_images(datasets)
    with caplog.at_level(logging.WARNING):
        for dataset, rows in zip(datasets, ((3, 5), (0, 2, 2)), strict=True):
            for row in rows:
                dataset.sizes[row] = 1, 2
                dataset.read(row)
        assert len(caplog.messages) == 1 and "the image list says 2 x 1" in caplog.messages[0]
        _log_problems(datasets, trainer)
    first = datasets[0].image_ids
    assert caplog.messages[1:] == [
        f"images were read in spite of problems: 4 of another size than listed (first image {first[3]}), "
        f"2 truncated or damaged (first image {first[0]})"
    ]


def test_nothing_is_said_without_problems(tiny, caplog):
    strategy = SimpleNamespace(root_device="cpu", reduce=lambda problems, reduce_op: problems)
    with caplog.at_level(logging.WARNING):
        _log_problems([tiny("test")], SimpleNamespace(strategy=strategy))  # pyright: ignore[reportArgumentType]
    assert caplog.messages == []


def test_predictions_of_repeated_ids_are_refused_before_the_evaluation(config_file, tmp_path):
    dataset = DamagedDataset(tmp_path / "set")
    dataset.entries[1]["image_id"] = dataset.entries[0]["image_id"]
    dataset.write()
    options = ["OUTPUT_DIR", str(tmp_path), "DATASETS.VISUAL_GENOME.IMAGE_DATA", dataset.source.image_data]
    with pytest.raises(SpeaqError, match=r"VG_val: 1 image ids occur more than once \(1\), and predictions"):
        evaluate(
            load_config(config_file, list(map(str, options))),
            cluster=Cluster(num_gpus=0),
            save_predictions=True,
        )
