"""Sources of a mix, which have names of their own."""

import pytest

from speaq.config import load_config
from speaq.errors import SpeaqError

KEY = "DATASETS.MULTI_DATASET."
FILE = """\
DATASETS:
  MULTI_DATASET:
    SYNTHETIC_SAMPLING_RATIO_END: 0.1
    SOURCES:
      rendered:
        SAMPLING_RATIO: 0.2
        SYNTHETIC_ATTRIBUTE_H5: rendered.h5
      web-2:
"""


def test_named_sources_come_from_files_and_the_command_line(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(FILE)
    config = load_config(file, [f"{KEY}SOURCES.rendered.LOSS_WEIGHT", "0.25", f"{KEY}SOURCES.b.IMAGES", "b"])
    mix = config.datasets.multi_dataset
    assert mix.shares == {
        "real": (0.7, 0.7, 1.0),
        "synthetic": (0.3, 0.1, 0.5),
        "rendered": (0.2, 0.2, 0.25),
        "b": (0.0, 0.0, 1.0),
    }
    assert mix.sources["rendered"].vg_attribute_h5 == "rendered.h5"
    config.save(tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["SOURCES.<NAME>.IMAGES", "x"], "no such key"),
        (["SOURCES.2nd.IMAGES", "x"], "no such key; did you mean .*SOURCES.<NAME>.IMAGES"),
        (["SOURCES.a.b.IMAGES", "x"], "no such key"),
        (["SOURCES.a.IMAGE", "x"], "did you mean .*SOURCES.<NAME>.IMAGES"),
        (["SOURCES.a", "x"], "expected keys below it, such as"),
        (["SOURCES", "x"], "expected keys below it, such as"),
        (
            ["SOURCES.a.SAMPLING_RATIO", "-1"],
            r"SOURCES.a.SAMPLING_RATIO \(command line, item 1\): expected at",
        ),
        (["SYNTHETIC_SAMPLING_RATIO", "inf"], "expected a number, found inf"),
        (["SYNTHETIC_LOSS_WEIGHT", "inf"], "expected a number, found inf"),
        (["REAL_SAMPLING_RATIO_END", "-0.5"], "expected at least 0"),
        (["STATISTICS", "rendered"], "expected mix, or one of the sources real, synthetic"),
        (["SOURCES.real.SAMPLING_RATIO", "1"], "choose another name"),
        (["SOURCES.Mix.SAMPLING_RATIO", "1"], "the name Mix is already used"),
        (["SOURCES.a.SAMPLING_RATIO", "1", "SOURCES.A.SAMPLING_RATIO", "1"], "the name a is already used"),
        (["SOURCES.real.IMAGES", "x"], r"SAMPLING_RATIO 0.0 \(the default\): the name real is already used"),
        (["SOURCES.2nd.IMAGES", "x"], "A name consists of letters, digits"),
        (["SYNTHETIC_LOSS_WEIGHT", "1e39"], "expected at most 1000000"),
        (["REAL_SAMPLING_RATIO", "0", "SYNTHETIC_SAMPLING_RATIO", "0"], "at least one ratio must be above 0"),
        (
            ["REAL_SAMPLING_RATIO_END", "0", "SYNTHETIC_SAMPLING_RATIO_END", "0"],
            "all sampling ratios are 0 at the end",
        ),
        (["REAL_LOSS_WEIGHT", "0", "SYNTHETIC_LOSS_WEIGHT", "0"], "one weight must be above 0"),
    ],
)
def test_invalid_mix_is_refused_with_the_key(items, message):
    pairs = [item if i % 2 else KEY + item for i, item in enumerate([*items, "ENABLED", "True"])]
    with pytest.raises(SpeaqError, match=message):
        load_config(None, pairs)
