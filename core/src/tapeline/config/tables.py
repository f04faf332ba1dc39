"""Tables of named tables: ``[collectors.NAME]`` and ``[sinks.NAME]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tapeline.config.problems import Problem, found, under

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WITHOUT: Final = {
    "collectors": "add one, e.g. [collectors.majors] with exchange and symbols",
    "consolidate": "leave [consolidate] out for none",
    "services": "leave [services] out for none",
    "sinks": "leave [sinks] out for the embedded database",
}


def table_of(
    value: object, path: str, problems: list[Problem]
) -> Mapping[str, object] | None:
    """*value* as a table; None, and a problem, when it is none."""
    if isinstance(value, Mapping):
        return value
    problems.append((path, f"expected a table, found {found(value)}"))
    return None


def read_named_tables(
    document: Mapping[str, object], key: str, problems: list[Problem]
) -> dict[str, Mapping[str, object]]:
    """Name → table of all tables under *key* that are tables with a usable name."""
    outer = table_of(document.get(key, {}), key, problems)
    if outer is None:
        return {}
    if not outer:
        problems.append(
            (key, f"expected a [{key}.NAME] table, found none; {_WITHOUT[key]}")
        )
    tables: dict[str, Mapping[str, object]] = {}
    for name, value in outer.items():
        path = under(key, name)
        if not _NAME.fullmatch(name):
            sentence = (
                "expected a name of at most 64 letters, digits, '.', '_' or '-', "
                f"found {found(name)}"
            )
            problems.append((path, sentence))
        if isinstance(value, Mapping):
            tables[name] = value
        else:
            sentence = f"expected a [{key}.NAME] table, found {found(value)}"
            problems.append((path, sentence))
    return tables
