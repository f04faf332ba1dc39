"""How core makes PostgreSQL sinks and readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapeline.errors import UsageError
from tapeline.hookspecs import DatabaseReader, Sink, SinkContext
from tapeline.model import Secret
from tapeline_postgres.addresses import is_ours
from tapeline_postgres.config import PostgresConfig
from tapeline_postgres.reader import PostgresReader
from tapeline_postgres.sink import PostgresSink


class PostgresAdapter:
    """A database on a server."""

    name: str = "postgres"
    config: type[PostgresConfig] = PostgresConfig
    promise: str = "durable"
    accepts: Sequence[str] | None = None
    default: bool = False

    def sink(self, config: PostgresConfig, context: SinkContext) -> Sink:
        """A new sink; opens nothing yet."""
        return PostgresSink(config, context)

    def options_for(self, url: str) -> Mapping[str, object] | None:
        """Options that store at ``postgresql://…``; None for other addresses."""
        return {"dsn": url} if is_ours(url) else None

    def open_reader(self, url: str) -> DatabaseReader | None:
        """Open ``postgresql://…`` for reading; None for other addresses.

        Raises:
            UsageError: it cannot be reached, or is not a database of tapeline.
        """
        if not is_ours(url):
            return None
        try:
            config = PostgresConfig(dsn=Secret(url))
        except ValueError as error:
            raise UsageError(str(error)) from None
        return PostgresReader(config)
