"""Defaults that an environment variable may change; explicit arguments win."""

from __future__ import annotations

from tapeline.config import Defaults


class FromEnvironment(float):
    """The default of a parameter: a number unless a variable says otherwise.

    It is told apart from the same number given by a caller.
    """

    __slots__ = ()


DEFAULT_HEALTH_CHECK_INTERVAL = FromEnvironment(30.0)
"""Seconds, unless variable ``DEFAULT_HEALTH_CHECK_INTERVAL`` says otherwise."""


def health_check_interval_s(given: float, defaults: Defaults) -> float:
    """*given*, or what the environment says when nobody gave it."""
    if isinstance(given, FromEnvironment):
        return defaults.health_check_interval_s
    return float(given)
