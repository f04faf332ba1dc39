"""A table for records that no table takes."""

from __future__ import annotations

from alembic import op

from tapeline_sql.migrations.columns import columns

revision = "0002"
down_revision = "0001"

_COLUMNS = """
    journal_id text key
    sink text key
    position integer key
    ordinal integer key
    exchange text
    market text
    symbol text
    data_type text
    reason text
    content text
    payload text
    failed_ns integer
"""


def upgrade() -> None:
    """Make the table."""
    op.create_table("tapeline_dead_letters", *columns(_COLUMNS))
