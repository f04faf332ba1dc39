"""Whose balance it is, where a collector names its account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Balances of before are of an account without a name."""
    text = sa.String().with_variant(sa.Text(collation="C"), "postgresql")
    column = sa.Column("account", text, nullable=False, server_default="")
    op.add_column("balances", column)
