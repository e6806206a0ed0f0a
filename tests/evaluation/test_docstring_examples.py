"""The examples in the docstrings run and print what they say."""

import doctest
from pathlib import Path

import pytest

from speaq.evaluation import adjustment, long_tail, metrics, zero_shot

NAMES = {"Path": Path, "SceneGraphMetrics": metrics.SceneGraphMetrics}


@pytest.mark.parametrize("module", [adjustment, long_tail, metrics, zero_shot])
def test_docstring_examples(module):
    results = doctest.testmod(module, extraglobs=NAMES)
    assert results.attempted and not results.failed
