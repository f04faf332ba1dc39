"""Bringing the tables of an older version up to date, with Alembic's operations."""

from tapeline_sql.migrations.upgrading import revisions, upgrade

__all__ = ["revisions", "upgrade"]
