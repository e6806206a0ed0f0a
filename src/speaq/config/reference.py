"""The reference of all configuration keys with an effect, docs/configuration.md.

python -m speaq.config.reference > docs/configuration.md
"""

import sys
from collections.abc import Iterator

from speaq.config.data import MixedSource
from speaq.config.field_types import Section
from speaq.config.schema import Config

_HEAD = """# Configuration

Every key that has an effect, with its default. A configuration is a YAML file of nested upper-case keys;
`_BASE_` names a file whose settings are read first, relative to the file itself. `KEY VALUE` pairs on the
command line take precedence over files: `SOLVER.IMS_PER_BATCH 20 DATASETS.TEST "('VG_test',)"`. All other
keys of the published implementation are accepted without effect; one warning names those that were set.

`configs/` has the published settings.
"""


def reference() -> str:
    """The page as Markdown."""
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
            rows.append(f"| `{key}` | `{shown}` | {_escaped(str(field.description))} |\n")
    if rows:
        yield f"\n## {_escaped(prefix.rstrip('.')) or 'Top level'}\n"
        yield "\n| key | default | description |\n| --- | --- | --- |\n"
        yield from rows
    for value, longer in below:
        yield from _tables(value, longer)


def _escaped(text: str) -> str:
    """Escape angle brackets, which Markdown would read as HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    sys.stdout.write(reference())
