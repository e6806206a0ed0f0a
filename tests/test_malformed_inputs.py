"""Damaged inputs of every reader are read or refused with a message, whatever the damage is.

MALFORMED_INPUTS=500 in the environment draws that many new ones for each kind of input.
"""

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malformed_inputs import INPUTS, damage, outcome

COUNT = os.environ.get("MALFORMED_INPUTS")


@pytest.mark.parametrize("kind", INPUTS)
def test_malformed_inputs_are_read_or_refused(kind, tmp_path):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    if kind == "requests":
        pytest.importorskip("fastapi_offline")
        pytest.importorskip("httpx")
    (tmp_path / "valid").mkdir()
    files, read = INPUTS[kind](tmp_path / "valid")

    def copied() -> Path:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        return Path(shutil.copytree(tmp_path / "valid", tmp_path / "copy"))

    assert outcome(read, copied()) == ""

    @settings(
        max_examples=int(COUNT or 10),
        derandomize=COUNT is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64))
    def check(seed: int) -> None:
        rng, folder = random.Random(seed), copied()
        damage(folder / rng.choice(files), rng)
        outcome(read, folder)

    check()
