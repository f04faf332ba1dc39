"""``custom_params``: the runtime's own words, the rest is the adapter's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tapeline.config import account_problem, audit_problem, structure_options
from tapeline.errors import ConfigError, UnknownTimeframe
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import TIMEFRAMES

_ALIASES = {"ping_interval": "ping_interval_s"}


@attrs.frozen
class CustomParams:
    """What ``custom_params`` said."""

    config: Any
    market: str = "spot"
    timeframes: Sequence[str] = ()
    venue_timeframes: Sequence[str] = ()
    audit: bool = False
    max_reconnect_attempts: int | None = None
    reconnect_delay_s: float | None = None
    max_restarts: int | None = None
    redundancy: int = 1
    account: str = ""


def split_custom_params(
    adapter: ExchangeAdapter, params: Mapping[str, Any], config: object | None = None
) -> CustomParams:
    """Sort *params* and structure the adapter's part.

    Args:
        config: the adapter's config object when it exists already; then *params*
            may only hold the runtime's own words.

    Raises:
        ConfigError: every problem, with its key.
    """
    rest = dict(params)
    problems: list[tuple[str, str]] = []
    market = rest.pop("market", "spot")
    if market not in adapter.capabilities.markets:
        offered = ", ".join(adapter.capabilities.markets)
        problems.append(("market", f"expected one of {offered}, found {market!r}"))
    timeframes = _timeframes(rest, "timeframes", problems)
    venue_timeframes = _timeframes(rest, "venue_timeframes", problems)
    audit = rest.pop("audit", False)
    if not isinstance(audit, bool):
        problems.append(("audit", f"expected True or False, found {audit!r}"))
    elif audit and audit_problem(adapter):
        problems.append(("audit", audit_problem(adapter)))
    attempts = _number(rest, "max_reconnect_attempts", problems)
    delay = _number(rest, "reconnect_delay", problems)
    restarts = _number(rest, "max_restarts", problems)
    redundancy = rest.pop("redundancy", 1)
    if type(redundancy) is not int or redundancy not in (1, 2):
        problems.append(("redundancy", f"expected 1 or 2, found {redundancy!r}"))
        redundancy = 1
    account = rest.pop("account", "")
    if account_problem(account):
        problems.append(("account", account_problem(account)))
    for name, real in _ALIASES.items():
        if name in rest:
            rest[real] = rest.pop(name)
    if config is None:
        config, found = structure_options(
            adapter.config, rest, "custom_params", os.environ
        )
        problems += found
    if problems:
        raise ConfigError(problems, f"collector of {adapter.name}")
    return CustomParams(
        config,
        str(market),
        timeframes,
        venue_timeframes,
        audit,
        None if attempts is None else int(attempts),
        delay,
        None if restarts is None else int(restarts),
        redundancy,
        account,
    )


def _timeframes(
    rest: dict[str, Any], key: str, problems: list[tuple[str, str]]
) -> list[str]:
    value = rest.pop(key, ())
    if isinstance(value, str):
        value = [value]
    problems += [
        (key, str(UnknownTimeframe(timeframe, tuple(TIMEFRAMES))))
        for timeframe in value
        if timeframe not in TIMEFRAMES
    ]
    return list(value)


def _number(
    rest: dict[str, Any], key: str, problems: list[tuple[str, str]]
) -> float | None:
    value = rest.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        problems.append((key, f"expected a positive number, found {value!r}"))
        return None
    return float(value)
