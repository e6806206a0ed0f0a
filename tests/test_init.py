import importlib.metadata
import subprocess
import sys
from importlib.resources import files

import pytest

import speaq

LIGHT = """
import sys
import speaq
dir(speaq), speaq.__version__
assert not {"torch", "matplotlib", "numpy", "pydantic"} & set(sys.modules)
"""


def test_import_loads_no_heavy_library():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


@pytest.mark.parametrize("name", speaq.__all__)
def test_public_names_can_be_used_and_are_listed(name):
    assert getattr(speaq, name)
    assert name in dir(speaq)


def test_version_is_that_of_the_package():
    assert speaq.__version__ == importlib.metadata.version("speaq")


def test_unknown_names_raise_attribute_error():
    with pytest.raises(AttributeError, match="module 'speaq' has no attribute 'Spaeq'"):
        _ = speaq.Spaeq


def test_types_are_marked_as_public():
    assert files("speaq").joinpath("py.typed").is_file()


@pytest.mark.parametrize("module", ["metrics", "plot"])
def test_names_of_public_modules(module):
    content = getattr(speaq, module)
    assert all(callable(getattr(content, name)) for name in content.__all__)
