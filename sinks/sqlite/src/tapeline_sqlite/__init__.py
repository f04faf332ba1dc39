"""SQLite sink for Tapeline."""

from tapeline_sqlite.adapter import SqliteAdapter
from tapeline_sqlite.config import SqliteConfig
from tapeline_sqlite.reader import SqliteReader
from tapeline_sqlite.sink import SqliteSink

__all__ = ["SqliteAdapter", "SqliteConfig", "SqliteReader", "SqliteSink"]
