"""Fixtures shared by all tests: the golden dataset and a configuration that trains in seconds."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from golden_dataset import TINY, open_dataset
from speaq.data.visual_genome import VisualGenome

settings.register_profile("speaq", deadline=None)  # time decides nothing
settings.load_profile("speaq")

CONFIG = f"""
DATASETS:
  TRAIN: ('VG_train',)
  TEST: ('VG_val',)
  VISUAL_GENOME:
    IMAGES: {TINY / "images"}
    IMAGE_DATA: {TINY / "image_data.json"}
    MAPPING_DICTIONARY: {TINY / "dicts.json"}
    VG_ATTRIBUTE_H5: {TINY / "VG.h5"}
    FILTER_NON_OVERLAP: False
    NUMBER_OF_VALIDATION_IMAGES: 10
INPUT:
  MIN_SIZE_TRAIN: (64, 96)
  MAX_SIZE_TRAIN: 128
  MIN_SIZE_TEST: 64
  MAX_SIZE_TEST: 128
MODEL:
  BACKBONE:
    FREEZE_AT: 1
  RESNETS:
    DEPTH: 18
    OUT_FEATURES: [res3]
    STEM_OUT_CHANNELS: 8
    WIDTH_PER_GROUP: 8
  DETR:
    HIDDEN_DIM: 16
    NHEADS: 2
    DIM_FEEDFORWARD: 16
    ENC_LAYERS: 1
    DEC_LAYERS: 2
    NUM_OBJECT_QUERIES: 12
    NUM_RELATION_QUERIES: 12
    MULTIPLY_QUERY: 2
    ONLY_PREDICATE_MULTIPLY: True
    MATCH_INDEPENDENT: True
    ONE2MANY_SCHEME: dynamic
    ONE2MANY_DYNAMIC_SCHEME: max
    ONE2MANY_K: 4
    ONE2MANY_PREDICATE_SCORE: True
    ONE2MANY_PREDICATE_WEIGHT: -0.5
    USE_GROUP_MASK: True
    NUM_GROUPS: 4
    REWEIGHT_RELATIONS: True
SOLVER:
  IMS_PER_BATCH: 4
  MAX_ITER: 6
  BASE_LR: 1e-3
  STEPS: (5,)
  WARMUP_ITERS: 2
  CHECKPOINT_PERIOD: 2
  LOG_PERIOD: 2
  CLIP_GRADIENTS:
    ENABLED: True
    CLIP_TYPE: full_model
    CLIP_VALUE: 0.1
TEST:
  EVAL_PERIOD: 3
DATALOADER:
  NUM_WORKERS: 0
SEED: 3
"""


@pytest.fixture(scope="session")
def config_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def tiny() -> Callable[..., VisualGenome]:
    """Opens the golden data set of 120 images."""

    def load(split: Any = "train", **options: Any) -> VisualGenome:
        return open_dataset(TINY, split=split, **{"number_of_validation_images": 10, **options})

    return load


@pytest.fixture(scope="module")
def few_examples() -> Iterator[None]:
    """Reports show one best and one worst image instead of four, as drawing them is slow."""
    from speaq.tools.report import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "choose_examples", partial(run.choose_examples, count=1))
        yield
