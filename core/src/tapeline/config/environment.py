"""Defaults that operators set as environment variables."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import attrs

from tapeline.config.problems import Problem, found
from tapeline.errors import ConfigError
from tapeline.logs import read_flag


def _doc(variable: str, description: str) -> dict[str, str]:
    return {"variable": variable, "description": description}


@attrs.frozen
class Defaults:
    """What holds where neither an argument nor the configuration says otherwise."""

    health_check_interval_s: float = attrs.field(
        default=30.0,
        metadata=_doc(
            "DEFAULT_HEALTH_CHECK_INTERVAL", "Seconds between two health checks."
        ),
    )
    max_silence_duration_s: float = attrs.field(
        default=300.0,
        metadata=_doc(
            "MAX_SILENCE_DURATION",
            "Longest silence in seconds that is not called stale data.",
        ),
    )
    max_reconnect_attempts: int = attrs.field(
        default=5,
        metadata=_doc(
            "MAX_RECONNECT_ATTEMPTS",
            "Failed connections in a row after which the status is error.",
        ),
    )
    reconnect_delay_s: float = attrs.field(
        default=5.0,
        metadata=_doc(
            "RECONNECT_DELAY", "Seconds that the first reconnect waits at most."
        ),
    )
    verbose: bool = attrs.field(
        default=False,
        metadata=_doc("VERBOSE_LOGGING", "Log every detail, on the console too."),
    )
    log_to_console: bool = attrs.field(
        default=False,
        metadata=_doc("LOG_TO_CONSOLE", "Log on the console too."),
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Defaults:
        """The defaults that *environ* (``os.environ``) sets; empty counts as unset.

        Raises:
            ConfigError: with every variable that cannot be read.
        """
        defaults, problems = read_defaults(os.environ if environ is None else environ)
        if problems:
            raise ConfigError(problems, source="environment")
        return defaults


def read_defaults(environ: Mapping[str, str]) -> tuple[Defaults, list[Problem]]:
    """What *environ* sets, and a problem for each variable that is left out."""
    values: dict[str, float | int | bool] = {}
    problems: list[Problem] = []
    for field in attrs.fields(Defaults):
        variable = field.metadata["variable"]
        text = environ.get(variable, "").strip()
        if not text:
            continue
        try:
            values[field.name] = _READERS[type(field.default)](text)
        except ValueError as error:
            problems.append((variable, str(error)))
    return attrs.evolve(Defaults(), **values), problems  # type: ignore[arg-type]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise ValueError(
            f"expected seconds greater than 0 and at most 86400, found {found(text)}"
        )
    return seconds


def _attempts(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 10**6):
        raise ValueError(
            f"expected a whole number from 1 to 1000000, found {found(text)}"
        )
    return int(text)


def _flag(text: str) -> bool:
    flag = read_flag(text)
    if flag is None:
        raise ValueError(f"expected true or false, found {found(text)}")
    return flag


_READERS = {float: _seconds, int: _attempts, bool: _flag}
