"""What an operator may say about the PostgreSQL sink."""

from __future__ import annotations

import attrs

from tapeline.model import Secret
from tapeline_postgres.addresses import address_problem, hide


def _is_address(
    instance: object, attribute: attrs.Attribute[Secret], value: Secret
) -> None:
    problem = address_problem(value)
    if problem:
        raise ValueError(problem)
    hide(value)


def _is_positive(
    instance: object, attribute: attrs.Attribute[float], value: float
) -> None:
    if not value > 0:
        raise ValueError(f"expected a number of seconds above 0, found {value!r}")


@attrs.frozen
class PostgresConfig:
    """One PostgreSQL database."""

    dsn: Secret = attrs.field(
        validator=_is_address,
        metadata={
            "description": "Address of the database, "
            "`postgresql://user:password@host:port/database`; best given as "
            "`env:NAME` or `file:PATH`. Several hosts may be named; the one that can "
            "be written is used."
        },
    )
    force_update_candles: bool = attrs.field(
        default=False,
        metadata={
            "description": "Whether a candle of equal revision replaces the stored "
            "one; a higher revision always does."
        },
    )
    connect_timeout_s: float = attrs.field(
        default=10.0,
        validator=_is_positive,
        metadata={"description": "Seconds until an attempt to connect is given up."},
    )
    statement_timeout_s: float = attrs.field(
        default=30.0,
        validator=_is_positive,
        metadata={
            "description": "Seconds until a statement is given up: the connection is "
            "dropped and the batch tried again on a new one."
        },
    )
