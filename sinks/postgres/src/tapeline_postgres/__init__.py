"""PostgreSQL sink for Tapeline."""

from tapeline_postgres.adapter import PostgresAdapter
from tapeline_postgres.config import PostgresConfig
from tapeline_postgres.reader import PostgresReader
from tapeline_postgres.sink import PostgresSink

__all__ = ["PostgresAdapter", "PostgresConfig", "PostgresReader", "PostgresSink"]
