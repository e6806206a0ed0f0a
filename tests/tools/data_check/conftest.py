from pathlib import Path

import pytest

from damaged_dataset import DamagedDataset


@pytest.fixture
def damaged(tmp_path: Path) -> DamagedDataset:
    """The golden data set of 120 images, to be damaged."""
    return DamagedDataset(tmp_path / "set")
