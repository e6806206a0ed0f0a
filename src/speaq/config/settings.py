"""Settings by dotted key, read from YAML files with `_BASE_` and from `KEY VALUE` pairs of the command line.

Values remain text here; the type of the key decides later how the text is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from speaq.errors import SpeaqError
from speaq.files import CONFIGURATION_BYTES, expand, regular

_NULL = "tag:yaml.org,2002:null"
_MAX_LIST_DEPTH = 4
_MAX_VALUES = 1_000_000  # of a file; aliases of aliases can stand for any number of values


@dataclass(frozen=True, slots=True)
class Setting:
    """A key with its value and the place where it was set.

    Attributes:
        key: dotted, as written.
        value: None, text, a list of these, or {} for a mapping where a value was expected.
        origin: file and line, or position on the command line, such as "configs/speaq.yaml, line 3".
    """

    key: str
    value: object
    origin: str


def read_file(
    file: Path, is_section: Callable[[str], bool], chain: tuple[Path, ...] = ()
) -> list[list[Setting]]:
    """The settings of a YAML file, preceded by those of its `_BASE_` files.

    Args:
        file: the file.
        is_section: whether a dotted name is a section, which contains further keys.
        chain: the files whose `_BASE_` led to this one, outermost first.

    Returns:
        One list of settings per file, the innermost base first.

    Raises:
        SpeaqError: a file is missing, unreadable, not YAML or not a mapping, or is its own base.
    """
    base_of = f"; it is the _BASE_ of {chain[-1]}" if chain else ""
    try:
        text = regular(file, CONFIGURATION_BYTES).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpeaqError(f"{file}: no such configuration file{base_of}") from None
    except OSError as error:
        raise SpeaqError(f"{file}: the configuration cannot be read ({error.strerror}){base_of}") from None
    except ValueError as error:  # not UTF-8, or a file name that no system accepts
        raise SpeaqError(f"{str(file)!r}: not a readable text file ({error}){base_of}") from None
    if file.resolve() in {previous.resolve() for previous in chain}:
        circle = " -> ".join(str(step) for step in (*chain, file))
        raise SpeaqError(f"{file}: the _BASE_ files include each other: {circle}")

    settings = list(_settings(_root(text, file), file, is_section, count(1)))
    layers = []
    for base in (setting for setting in settings if setting.key == "_BASE_"):
        if not isinstance(base.value, str) or not base.value:
            raise SpeaqError(f"{base.origin}: _BASE_ expected the path of one file, relative to this one")
        layers += read_file(file.parent / expand(base.value), is_section, (*chain, file))
    return [*layers, [setting for setting in settings if setting.key != "_BASE_"]]


def _root(text: str, file: Path) -> yaml.MappingNode | None:
    """The mapping at the top of a YAML text; None where the text is empty."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}, line {mark.line + 1}" if mark else f"{file}"
        raise SpeaqError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise SpeaqError(f"{file}: not valid YAML: {error}") from None
    except RecursionError:
        raise SpeaqError(f"{file}: not a configuration: nested too deeply") from None
    if root is None or root.tag == _NULL:
        return None
    if not isinstance(root, yaml.MappingNode):
        raise SpeaqError(f"{file}: expected a mapping of keys such as `MODEL:`, found a {root.id}")
    return root


def _settings(
    mapping: yaml.MappingNode | None,
    file: Path,
    is_section: Callable[[str], bool],
    counter: Iterator[int],
    prefix: str = "",
) -> Iterator[Setting]:
    for name, value in mapping.value if mapping else ():
        origin = f"{file}, line {name.start_mark.line + 1}"
        if not isinstance(name, yaml.ScalarNode):
            raise SpeaqError(f"{origin}: expected a key, found a {name.id}")
        key = prefix + name.value
        if not is_section(key):
            yield Setting(key, _value(value, origin, counter), origin)
        elif isinstance(value, yaml.MappingNode):
            yield from _settings(value, file, is_section, counter, key + ".")
        elif value.tag != _NULL:  # an empty section has no settings
            yield Setting(key, _value(value, origin, counter), origin)


def _value(node: yaml.Node, origin: str, counter: Iterator[int], depth: int = 0) -> object:
    if next(counter) > _MAX_VALUES:
        raise SpeaqError(
            f"{origin}: more than {_MAX_VALUES:,} values in this file, with those of its aliases"
        )
    if depth > _MAX_LIST_DEPTH:
        raise SpeaqError(f"{origin}: lists nested more than {_MAX_LIST_DEPTH} deep")
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == _NULL else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, origin, counter, depth + 1) for item in node.value]
    return {}


def read_overrides(items: Sequence[object], is_key: Callable[[object], bool]) -> list[Setting]:
    """The settings of `KEY VALUE KEY VALUE ...`; of several values of a key the last one is used.

    Args:
        items: alternating keys and values, or `KEY=VALUE`. Quotes around a whole value are removed.
        is_key: whether a dotted key exists, to locate the first item that is not part of a pair.

    Raises:
        SpeaqError: there is a key without a value.
    """
    items = list(_separated(items))
    if len(items) % 2:
        first = next((i for i in range(0, len(items), 2) if not is_key(items[i])), len(items) - 1)
        problem = "has no value" if is_key(items[first]) else "is not a key"
        raise SpeaqError(
            f"command line, item {first + 1}: {items[first]!r} {problem}; expected pairs KEY VALUE, "
            f"found {len(items)} items (put a value with spaces in quotes)"
        )
    settings = {}
    for position in range(0, len(items), 2):
        key, value = str(items[position]), items[position + 1]
        if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        settings[key] = Setting(key, value, f"command line, item {position + 1}")
    return list(settings.values())


def _separated(items: Sequence[object]) -> Iterator[object]:
    """The items with `KEY=VALUE`, where a key is expected, as two of them."""
    expects_key = True
    for item in items:
        if expects_key and isinstance(item, str) and "=" in item:
            yield from item.split("=", 1)
        else:
            yield item
            expects_key = not expects_key


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings as (dotted key, value)."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def nest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings from values by dotted key: the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
    return tree
