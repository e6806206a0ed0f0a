"""The doctor against the strict reader, on data sets damaged at random."""

import dataclasses
import json
import random

import numpy as np
import pytest

from damaged_set import found, open_strictly
from speaq.errors import SpeaqError
from speaq.tools.doctor import check_dataset, write_repaired

_VALUES = [None, True, -1, 0, 1, 3, 7, 2.5, 119, 633, 634, 10**6, 2**40, "", "7", "cat", "../x", [], [1], {}]


def _damage_array(files, chance):
    key = chance.choice(list(files.arrays))
    values = files.arrays[key]
    kind = chance.random()
    if kind < 0.1:
        del files.arrays[key]
    elif kind < 0.2:
        files.arrays[key] = values[: chance.randrange(len(values))]
    elif kind < 0.3:
        files.arrays[key] = values.astype(chance.choice([np.float32, np.uint16, np.int16, bool, "S4"]))
    else:
        flat = values.reshape(-1)
        for _ in range(chance.randrange(1, 5)):
            row = chance.randrange(len(flat))
            value = chance.choice([-2, -1, 0, 1, 2, 150, 151, 633, 634, 2000, int(flat[row]) + 1])
            flat[row] = np.int64(value).astype(flat.dtype)


def _damage_json(value, chance):
    """Replace, remove or add something somewhere in a JSON value."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = chance.choice(keys)
    if isinstance(value[key], dict) and chance.random() < 0.85:
        _damage_json(value[key], chance)
    elif chance.random() < 0.2:
        del value[key]
    elif isinstance(value, dict) and chance.random() < 0.1:
        value["new"] = chance.choice(_VALUES)
    else:
        value[key] = chance.choice([*_VALUES, value[chance.choice(keys)]])


def _strictly(source):
    """Why training would refuse the set, None where it would not."""
    try:
        for split in ("train", "test"):
            open_strictly(source, split)
    except SpeaqError as error:
        return str(error)
    return None


@pytest.mark.parametrize("seed", range(60))
def test_what_the_reader_refuses_is_an_error_and_the_copy_is_sound(damaged, tmp_path, seed):
    chance = random.Random(seed)
    for _ in range(chance.choice([1, 1, 2, 6])):
        kind = chance.random()
        if kind < 0.5 and damaged.arrays:
            _damage_array(damaged, chance)
        else:
            _damage_json(damaged.entries if kind < 0.75 else damaged.names, chance)
    check = damaged.check(open_unsized=True)
    errors = [finding.code for finding in check.findings if finding.severity == "error"]
    reason = _strictly(damaged.source)
    assert errors or reason is None, reason
    assert bool(check.salvaged) != bool(check.obstacles)
    assert errors or not check.obstacles
    if check.salvaged is not None:
        copy = write_repaired(check, tmp_path / "repaired")
        after = check_dataset(copy, limit=3)
        assert "error" not in {finding.severity for finding in after.findings}, found(after)
        assert after.counts.keys() == check.counts.keys()
        for split in after.counts:
            usable = (after.counts[split].boxes_per_image > 0).sum()
            assert not usable or len(open_strictly(copy, split)) == usable
    json.dumps([dataclasses.asdict(finding) for finding in check.findings], allow_nan=False)
