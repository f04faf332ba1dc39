"""From ``--database PATH|URL`` to a sink that writes there."""

from __future__ import annotations

import logging
from pathlib import Path

from tapeline.config import structure_options
from tapeline.errors import ConfigError, UsageError
from tapeline.hookspecs import Sink, SinkAdapter, SinkContext
from tapeline.plugins import PluginRegistry
from tapeline.runtime import ThreadExecutor, current_seams


def sink_for_database(registry: PluginRegistry, database: str) -> Sink:
    """The sink that stores at *database*, not opened yet.

    A path, or a ``sqlite:`` URL, is the embedded database's; another scheme is the
    name of the sink that takes it as its ``dsn``.

    Raises:
        UsageError: no installed sink takes it.
    """
    scheme, found, rest = database.partition("://")
    if not found or scheme == "sqlite":
        adapter = registry.default_sink()
        if adapter is None:
            raise UsageError(
                f"expected an installed embedded database for {database!r}, found "
                "none; install one, e.g. 'pip install tapeline-sqlite'"
            )
        # sqlite:///relative and sqlite:////absolute, as elsewhere.
        path = rest[1:] if found else database
        return _build(adapter, {"path": path})
    name = "postgres" if scheme in ("postgres", "postgresql") else scheme
    return _build(registry.sink(name), {"dsn": database})


def _build(adapter: SinkAdapter, options: dict[str, str]) -> Sink:
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
