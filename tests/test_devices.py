"""Names of devices."""

import pytest

from speaq.devices import find_device
from speaq.errors import SpeaqError


def test_find_device_lists_the_devices_of_this_machine():
    assert find_device("cpu").type == "cpu"
    for name in ("cuda:99", "cuda:x", "tpu", "meta", "cpu:1", ""):
        with pytest.raises(SpeaqError, match=f"device {name}: this machine has cpu.*; use one of these"):
            find_device(name)
