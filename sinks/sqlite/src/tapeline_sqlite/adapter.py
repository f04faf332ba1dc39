"""How core makes SQLite sinks and readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapeline.hookspecs import DatabaseReader, Sink, SinkContext
from tapeline_sqlite.config import SqliteConfig
from tapeline_sqlite.paths import path_problem
from tapeline_sqlite.reader import SqliteReader, path_of
from tapeline_sqlite.sink import SqliteSink


class SqliteAdapter:
    """The embedded database; used when no sink is named."""

    name: str = "sqlite"
    config: type[SqliteConfig] = SqliteConfig
    promise: str = "durable"
    accepts: Sequence[str] | None = None
    default: bool = True

    def sink(self, config: SqliteConfig, context: SinkContext) -> Sink:
        """A new sink; opens nothing yet."""
        return SqliteSink(config, context)

    def check(self, config: SqliteConfig) -> str | None:
        """What is wrong with the path, seen without writing; None if nothing."""
        return None if config.path is None else path_problem(config.path)

    def options_for(self, url: str) -> Mapping[str, object] | None:
        """Options that store at a path or ``sqlite:///PATH``; None for other URLs.

        Raises:
            UsageError: a SQLite URL without a file.
        """
        path = path_of(url)
        return None if path is None else {"path": path}

    def open_reader(self, url: str) -> DatabaseReader | None:
        """Open a path or ``sqlite:///PATH`` for reading; None for other URLs.

        Raises:
            UsageError: there is no such file, or it is not a database of tapeline.
        """
        path = path_of(url)
        return None if path is None else SqliteReader(path)
