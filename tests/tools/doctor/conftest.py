from pathlib import Path

import pytest

from damaged_set import DamagedSet


@pytest.fixture
def damaged(tmp_path: Path) -> DamagedSet:
    """The golden data set of 120 images, to be damaged."""
    return DamagedSet(tmp_path / "set")
