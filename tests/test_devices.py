"""Names of devices."""

import pytest

from speaq.devices import find_device
from speaq.errors import SpeaqError


def test_devices_that_are_here_and_that_are_not():
    assert find_device("cpu").type == "cpu"
    for name in ("cuda:99", "cuda:x", "tpu", "meta", "cpu:1", ""):
        with pytest.raises(SpeaqError, match=f"device {name}: this machine has cpu.*; use one of these"):
            find_device(name)
