"""The reference of all keys that act, for docs/configuration.md.

python -m speaq.config.reference > docs/configuration.md
"""

import sys
from collections.abc import Iterator

from speaq.config.data import MixedSource
from speaq.config.schema import Config
from speaq.config.values import Section

_HEAD = """# Configuration

Every acting key with its default. A configuration is a YAML file of nested upper-case keys; `_BASE_` names
a file to build on, relative to the file itself. `KEY VALUE` pairs on the command line win over files:
`SOLVER.IMS_PER_BATCH 20 DATASETS.TEST "('VG_test',)"`. All other keys of the former code are accepted; those
that were set and change nothing are reported once.

`configs/` has the published settings.
"""


def reference() -> str:
    """The page."""
    return _HEAD + "".join(_tables(Config(), ""))


def _tables(section: Section, prefix: str) -> Iterator[str]:
    """A table of the section's own keys, then those of the sections below it."""
    rows, below = [], []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        key = (field.alias or name).upper()
        if isinstance(value, Section):
            below.append((value, f"{prefix}{key}."))
        elif value == {} and key == "SOURCES":
            below.append((MixedSource(), f"{prefix}{key}.<NAME>."))
        elif not field.exclude:
            shown = " ".join(repr(value).split())
            rows.append(f"| `{key}` | `{shown}` | {field.description} |\n")
    if rows:
        yield f"\n## {prefix.rstrip('.') or 'Top level'}\n\n| key | default | what |\n| --- | --- | --- |\n"
        yield from rows
    for value, longer in below:
        yield from _tables(value, longer)


if __name__ == "__main__":
    sys.stdout.write(reference())
