"""Fault scripts as files: JSON or TOML, every mistake named."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tapeline.errors import ConfigError, UsageError, did_you_mean
from tapeline.testing.faults import Fault

_TEXTS = frozenset(
    {"kind", "channel", "symbol", "market", "to", "target", "reason", "body", "path"}
)
_WHOLE = frozenset({"code", "status", "after_bytes"})


def parse_faults(document: object, source: str = "") -> Sequence[Fault]:
    """The faults in a decoded document: a list, or a table with key ``faults``.

    Raises:
        ConfigError: with a sentence for every problem.
    """
    if isinstance(document, Mapping):
        extra = sorted(set(document) - {"faults"})
        if extra:
            raise ConfigError(
                [(str(key), "expected only the key 'faults'") for key in extra], source
            )
        document = document.get("faults")
    if not isinstance(document, list):
        raise ConfigError(
            [("faults", "expected a list of faults, each a table with a kind")], source
        )
    known = [field.name for field in attrs.fields(Fault)]
    problems: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for index, entry in enumerate(document):
        where = f"faults[{index}]"
        if not isinstance(entry, Mapping) or "kind" not in entry:
            problems.append((where, "expected a table with the key 'kind'"))
            continue
        for key, value in entry.items():
            if key not in known:
                hint = did_you_mean(str(key), known)
                problems.append(
                    (
                        f"{where}.{key}",
                        f"expected a key of a fault, found {key!r}{hint}",
                    )
                )
            elif not _fits(key, value):
                problems.append(
                    (f"{where}.{key}", f"expected {_shown(key)}, found {value!r}")
                )
        if any(path.startswith(where + ".") for path, _ in problems):
            continue
        fault = Fault(**{str(key): value for key, value in entry.items()})
        problems += [(where, text) for text in fault.problems()]
        faults.append(fault)
    if problems:
        raise ConfigError(problems, source)
    return faults


def _fits(key: str, value: object) -> bool:
    if key in _TEXTS:
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if key in _WHOLE else math.isfinite(value)


def _shown(key: str) -> str:
    if key.endswith("_s"):
        return "a number of seconds"
    if key in _TEXTS:
        return "a text"
    return "a whole number" if key in _WHOLE else "a number"


def load_faults(path: str | Path) -> Sequence[Fault]:
    """The fault script in a JSON or TOML file.

    Raises:
        UsageError: the file cannot be read, or is neither JSON nor TOML.
        ConfigError: with a sentence for every problem in it.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        shown = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(
            f"expected a readable fault script, found {path} ({shown}); "
            "give the path of a JSON or TOML file"
        ) from error
    try:
        document: object = (
            tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        )
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise UsageError(f"expected {kind} in {path}, found: {error}") from error
    return parse_faults(document, str(path))
