"""Sinks without a configuration file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tapeline.collectors.registry import plugins
from tapeline.config import structure_options
from tapeline.errors import ConfigError, UsageError
from tapeline.runtime import SinkSettings

SinkLike = SinkSettings | Mapping[str, Any] | object
"""A sink's config object, a mapping with ``use``, or ``SinkSettings``."""


def resolve_sink(sink: SinkLike, number: int = 0) -> SinkSettings:
    """The settings that *sink* means.

    Raises:
        UsageError: it is none of the forms.
        UnknownSink: its plugin is not installed.
        ConfigError: the options cannot be used.
    """
    if isinstance(sink, SinkSettings):
        return sink
    if isinstance(sink, Mapping):
        return _from_mapping(sink, number)
    for name, adapter in plugins().sinks().items():
        if isinstance(sink, adapter.config):
            return SinkSettings(f"{name}-{number}" if number else name, adapter, sink)
    raise UsageError(
        "expected a sink's configuration, a mapping with 'use' or SinkSettings, "
        f"found {type(sink).__name__}"
    )


def default_sink() -> SinkSettings | None:
    """The embedded database in ``data/market.db``; None when not installed."""
    adapter = plugins().default_sink()
    if adapter is None:
        return None
    config, problems = structure_options(
        adapter.config, {"path": "data/market.db"}, "sinks.local", os.environ
    )
    if problems:
        raise ConfigError(problems)
    return SinkSettings("local", adapter, config)


def _from_mapping(sink: Mapping[str, Any], number: int) -> SinkSettings:
    options = dict(sink)
    use = options.pop("use", None)
    if not isinstance(use, str):
        raise UsageError(f"expected 'use' to name a sink, found {use!r}")
    name = str(options.pop("name", f"{use}-{number}" if number else use))
    adapter = plugins().sink(use)
    config, problems = structure_options(
        adapter.config, options, f"sinks.{name}", os.environ
    )
    if problems:
        raise ConfigError(problems)
    return SinkSettings(name, adapter, config)
