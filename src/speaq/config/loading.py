"""`load_config` reads files and overrides into a `Config`; one error lists all of their mistakes."""

import logging
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from speaq.config.ignored_keys import ignored_defaults, read_like
from speaq.config.schema import (
    Config,
    canonical_key,
    effective_keys,
    general_key,
    key_defaults,
    section_names,
)
from speaq.config.settings import Setting, nest, read_file, read_overrides
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
        file: YAML file; the files named by its `_BASE_` are read first. None: only the defaults.
        overrides: `KEY VALUE` pairs, such as ["SOLVER.BASE_LR", "1e-4"], which take precedence over the file.

    Raises:
        SpeaqError: a file or the pairs cannot be read, or keys are unknown or have invalid values. The
            message lists every such key with the place where it was set, the expected and the found value.
    """
    layers = read_file(Path(file), _is_section) if file is not None else []
    layers.append(read_overrides(overrides, _is_key))
    problems: list[str] = []
    settings: dict[str, Setting] = {}
    for layer in layers:
        settings.update(_known_settings(layer, problems))
    ignored = ignored_defaults()
    unused: dict[str, Any] = {}
    for key, setting in settings.items():
        if key in ignored:
            try:
                unused[key] = read_like(ignored[key], setting.value)
            except ValueError as error:
                problems.append(f"{key} ({setting.origin}): {error}, found {_shorten(setting.value)}")
    effective = {key: setting.value for key, setting in settings.items() if key not in ignored}
    config = None
    try:
        config = Config.model_validate({**nest(effective), "unused": unused})
    except ValidationError as error:
        problems += _explain(error, settings)
    if config is None or problems:
        title = f"The configuration has {len(problems)} mistakes:\n  " if len(problems) > 1 else ""
        raise SpeaqError(title + "\n  ".join(problems))
    return config


def log_without_effect(config: Config) -> None:
    """Log one warning that names the keys that were set and have no effect, if there are any."""
    if config.without_effect:
        logger.warning("these keys are accepted but have no effect: %s", ", ".join(config.without_effect))


def _is_key(key: object) -> bool:
    return isinstance(key, str) and general_key(key) in key_defaults()


def _is_section(name: str) -> bool:
    return general_key(name) in section_names()


def _known_settings(layer: Sequence[Setting], problems: list[str]) -> dict[str, Setting]:
    """The settings of one file, or of the overrides, by the canonical name of each key."""
    known: dict[str, Setting] = {}
    for setting in layer:
        if not _is_key(setting.key):
            problems.append(_unknown(setting))
            continue
        first = known.setdefault(canonical_key(setting.key), setting)
        if first.value != setting.value:
            one, other = (f"{each.key} {_shorten(each.value)} ({each.origin})" for each in (first, setting))
            problems.append(f"{one} and {other}: the same key with two values; keep one of them")
    return known


def _unknown(setting: Setting) -> str:
    key = setting.key
    if _is_section(key):
        section = general_key(key)
        member = next(known for known in key_defaults() if known.startswith(section + "."))
        found = _shorten(setting.value)
        return f"{key} ({setting.origin}): expected keys below it, such as {member}, found {found}"
    nearest = _nearest(key)
    hint = f"; did you mean {nearest}?" if nearest else ""
    if nearest and "<NAME>" in nearest:
        hint += " A name consists of letters, digits, _ and -, and starts with a letter."
    return f"{_shorten(key)} ({setting.origin}): no such key{hint}"


def _nearest(key: str) -> str | None:
    """The known key or section most similar to the given one, compared as a whole and by its last part."""
    key = key.upper()[:200]
    name = key.rpartition(".")[2]
    known, effective = [*key_defaults(), *section_names()], {known.name for known in effective_keys()}
    near_names = set(get_close_matches(name, {other.rpartition(".")[2] for other in known}, n=3))
    candidates = {other for other in known if other.rpartition(".")[2] in near_names}
    candidates.update(get_close_matches(key, known, n=3))

    def similarity(other: str) -> tuple[float, bool, str]:
        whole = SequenceMatcher(None, key, other).ratio()
        last = SequenceMatcher(None, name, other.rpartition(".")[2]).ratio()
        return whole + last, other in effective, other

    return max(candidates, key=similarity, default=None)


def _explain(error: ValidationError, settings: dict[str, Setting]) -> Iterator[str]:
    """One line for each invalid key, or group of keys that cannot be combined."""
    explained = set()
    for details in error.errors(include_url=False):
        if details["type"] == "conflict":
            for keys, reason in details.get("ctx", {})["conflicts"]:
                yield " and ".join(_with_value(key, settings) for key in keys) + f": {reason}"
            continue
        key = ".".join(part for part in details["loc"] if isinstance(part, str))
        if key not in explained:  # report a list once, whatever the number of invalid elements
            explained.add(key)
            setting, expectation = settings[key], _expectation(details)
            yield f"{setting.key} ({setting.origin}): {expectation}, found {_shorten(setting.value)}"


def _expectation(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "error" in context:  # the ValueError of a reader in field_types
        return str(context["error"])
    phrase = _EXPECTED.get(details["type"])
    return f"expected {phrase.format(**context)}" if phrase else details["msg"]


def _with_value(key: str, settings: dict[str, Setting]) -> str:
    """A key with its value and the place where it was set."""
    if key in settings:
        return f"{key} {_shorten(settings[key].value)} ({settings[key].origin})"
    return f"{key} {_shorten(key_defaults()[general_key(key)])} (the default)"


def _shorten(value: object) -> str:
    """A value for a message, on one line of at most 80 characters."""
    if isinstance(value, dict):
        return "a mapping"
    text = value if isinstance(value, str) and value.isprintable() and value.strip() else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
