"""From ``--database PATH|URL`` to a sink that writes there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from tapeline.config import structure_options
from tapeline.errors import ConfigError
from tapeline.hookspecs import Sink, SinkAdapter, SinkContext
from tapeline.plugins import PluginRegistry
from tapeline.runtime import ThreadExecutor, current_seams


def sink_for_database(registry: PluginRegistry, database: str) -> Sink:
    """The sink that stores at *database*, a path or an address; not opened yet.

    Raises:
        UsageError: no installed sink stores there.
    """
    return _build(*registry.sink_for(database))


def _build(adapter: SinkAdapter, options: Mapping[str, object]) -> Sink:
    config, problems = structure_options(adapter.config, options, "database", {})
    if problems:
        raise ConfigError(problems)
    context = SinkContext(
        name="database",
        clock=current_seams().clock,
        executor=ThreadExecutor(),
        logger=logging.getLogger("tapeline.sink.database"),
        data_dir=Path("."),
    )
    return adapter.sink(config, context)
