"""From files and overrides to a `Config`, or to one message with everything that is wrong with them."""

import logging
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from speaq.config.nesting import nest
from speaq.config.schema import (
    Config,
    acting_defaults,
    chief_key,
    general_key,
    key_defaults,
    section_names,
)
from speaq.config.sources import Setting, read_file, read_overrides
from speaq.config.without_effect import read_like, reported_defaults, silent_defaults
from speaq.errors import SpeaqError

logger = logging.getLogger(__name__)

_EXPECTED = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "too_short": "{min_length} or more values",
    "too_long": "{max_length} or fewer values",
    "string_too_short": "some text",
    "string_pattern_mismatch": "text of the form {pattern}",
}


def load_config(file: Path | str | None = None, overrides: Sequence[object] = ()) -> Config:
    """Read a configuration.

    Args:
        file: YAML file; the files named by its `_BASE_` are read first. None: the defaults alone.
        overrides: `KEY VALUE` pairs, such as ["SOLVER.BASE_LR", "1e-4"], which win over the file.

    Raises:
        SpeaqError: a file or the pairs cannot be read, or keys are unknown or set to what they cannot be.
            The message names every such key, where it was set, what was expected and what was found.
    """
    layers = read_file(Path(file), _is_section) if file is not None else []
    layers.append(read_overrides(overrides, _is_key))
    problems: list[str] = []
    settings: dict[str, Setting] = {}
    for layer in layers:
        settings.update(_accepted(layer, problems))
    unacting = {**reported_defaults(), **silent_defaults()}
    acting = {key: setting.value for key, setting in settings.items() if key not in unacting}
    unused = _read_unused(settings, problems)
    config = None
    try:
        config = Config.model_validate({**nest(acting), "unused": unused})
    except ValidationError as error:
        problems += _explain(error, settings)
    if config is None or problems:
        title = f"The configuration has {len(problems)} mistakes:\n  " if len(problems) > 1 else ""
        raise SpeaqError(title + "\n  ".join(problems))
    return config


def log_without_effect(config: Config) -> None:
    """Tell the user once, in one message, which of the keys that were set change nothing."""
    if config.without_effect:
        logger.warning("accepted, but without effect here: %s", ", ".join(config.without_effect))


def _is_key(key: object) -> bool:
    return isinstance(key, str) and general_key(key) in key_defaults()


def _is_section(name: str) -> bool:
    return general_key(name) in section_names()


def _accepted(layer: Sequence[Setting], problems: list[str]) -> dict[str, Setting]:
    """The settings of one source by key, under the chief name of each key."""
    accepted: dict[str, Setting] = {}
    for setting in layer:
        if not _is_key(setting.key):
            problems.append(_unknown(setting))
            continue
        key = chief_key(setting.key)
        former = accepted.setdefault(key, setting)
        if former.value != setting.value:
            first, second = (f"{one.key} {_shown(one.value)} ({one.origin})" for one in (former, setting))
            problems.append(f"{first} and {second}: one key with two values; keep one")
    return accepted


def _unknown(setting: Setting) -> str:
    key = setting.key
    if _is_section(key):
        section = general_key(key)
        member = next(known for known in key_defaults() if known.startswith(section + "."))
        found = _shown(setting.value)
        return f"{key} ({setting.origin}): expected keys below it, such as {member}, found {found}"
    nearest = _nearest(key)
    hint = f"; did you mean {nearest}?" if nearest else ""
    if nearest and "<NAME>" in nearest:
        hint += " A name is letters, digits, _ and -, a letter first."
    return f"{_shown(key)} ({setting.origin}): no such key{hint}"


def _nearest(key: str) -> str | None:
    """The known key or section that is most like the given one, as a whole or in its last part."""
    key = key.upper()[:200]
    name = key.rpartition(".")[2]
    known = [*key_defaults(), *section_names()]
    names = {other.rpartition(".")[2] for other in known}
    near_names = set(get_close_matches(name, names, n=3))
    candidates = {other for other in known if other.rpartition(".")[2] in near_names}
    candidates.update(get_close_matches(key, known, n=3))

    def likeness(other: str) -> tuple[float, bool, str]:
        whole = SequenceMatcher(None, key, other).ratio()
        last = SequenceMatcher(None, name, other.rpartition(".")[2]).ratio()
        return whole + last, other in acting_defaults(), other

    return max(candidates, key=likeness, default=None)


def _read_unused(settings: dict[str, Setting], problems: list[str]) -> dict[str, Any]:
    """The values of the keys without effect, read as the type of their defaults."""
    defaults = {**reported_defaults(), **silent_defaults()}
    unused = {}
    for key, setting in settings.items():
        if key not in defaults:
            continue
        try:
            unused[key] = read_like(defaults[key], setting.value)
        except ValueError as error:
            problems.append(f"{key} ({setting.origin}): {error}, found {_shown(setting.value)}")
    return unused


def _explain(error: ValidationError, settings: dict[str, Setting]) -> Iterator[str]:
    """One line for each key, or group of keys, that was refused."""
    explained = set()
    for details in error.errors(include_url=False):
        if details["type"] == "conflict":
            for keys, reason in details.get("ctx", {})["conflicts"]:
                yield " and ".join(_stated(key, settings) for key in keys) + f": {reason}"
            continue
        key = ".".join(part for part in details["loc"] if isinstance(part, str))
        if key not in explained:  # one bad element of a list is enough
            explained.add(key)
            setting = settings[key]
            yield f"{setting.key} ({setting.origin}): {_expectation(details)}, found {_shown(setting.value)}"


def _expectation(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "error" in context:  # raised by one of our readers
        return str(context["error"])
    phrase = _EXPECTED.get(details["type"])
    return f"expected {phrase.format(**context)}" if phrase else details["msg"]


def _stated(key: str, settings: dict[str, Setting]) -> str:
    """A key with its value and where that was set."""
    if key in settings:
        return f"{key} {_shown(settings[key].value)} ({settings[key].origin})"
    return f"{key} {_shown(acting_defaults()[key])} (the default)"


def _shown(value: object) -> str:
    """A value in a message, short and in one line."""
    if isinstance(value, dict):
        return "a mapping"
    text = value if isinstance(value, str) and value.isprintable() and value.strip() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
