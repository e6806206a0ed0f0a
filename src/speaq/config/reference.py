"""The reference of all configuration keys with an effect, docs/configuration.md.

python -m speaq.config.reference > docs/configuration.md
"""

import sys

from speaq.config.schema import effective_keys, section_names

_HEAD = """# Configuration

Every key that has an effect, with its default. A configuration is a YAML file of nested upper-case keys;
`_BASE_` names a file whose settings are read first, relative to the file itself. `KEY VALUE` pairs on the
command line take precedence over files: `SOLVER.IMS_PER_BATCH 20 DATASETS.TEST "('VG_test',)"`. All other
keys of the published implementation are accepted without effect; one warning names those that were set.

`configs/` has the published settings.
"""
_TABLE = "| key | default | description |\n| --- | --- | --- |\n"


def reference() -> str:
    """The page as Markdown: a table of the keys of each section."""
    tables: dict[str, list[str]] = {section: [] for section in ("", *section_names())}
    for key in effective_keys():
        section, _, name = key.name.rpartition(".")
        shown = " ".join(repr(key.default).split())
        tables[section].append(f"| `{name}` | `{shown}` | {_escaped(key.description)} |\n")
    return _HEAD + "".join(
        f"\n## {_escaped(section) or 'Top level'}\n\n{_TABLE}{''.join(rows)}"
        for section, rows in tables.items()
        if rows
    )


def _escaped(text: str) -> str:
    """Escape angle brackets, which Markdown would read as HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    sys.stdout.write(reference())
