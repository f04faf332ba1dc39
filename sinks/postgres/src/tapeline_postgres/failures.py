"""What PostgreSQL's errors mean for the batch: again later, never, or stop."""

from __future__ import annotations

import asyncpg

from tapeline.errors import SinkError, SinkRejected, SinkUnavailable
from tapeline.model import Secret
from tapeline.model.secrets import mask
from tapeline_postgres.addresses import shown_address

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DATA_CLASSES = frozenset({"21", "22", "23", "54"})
_REFUSED_CLASSES = frozenset({"0A", "0L", "0P", "28", "3D", "3F", "42"})
_PLAN_OUTDATED = "0A000"
_TABLE_CODES = frozenset({"42P01", "42703", "42P10", _PLAN_OUTDATED})
"""The schema is not what it was: somebody restores or upgrades it."""

TRANSPORT_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    EOFError,
)
"""What the driver raises when the way to the server, or the server, fails."""

ENCODING_ERRORS = (OverflowError, TypeError, ValueError, AttributeError)
"""What a record that no database can hold raises on its way into a row."""


def sqlstate(error: BaseException) -> str:
    """The server's code, empty when the driver itself raised."""
    return getattr(error, "sqlstate", None) or ""


def is_about_data(error: BaseException) -> bool:
    """Whether *error* says that a record cannot be stored, now or ever."""
    code = sqlstate(error)
    if code:
        return code[:2] in _DATA_CLASSES
    if isinstance(error, asyncpg.DataError):
        return True
    # The driver's InterfaceError is a ValueError for arguments that it cannot encode.
    return isinstance(error, ENCODING_ERRORS) and not isinstance(
        error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    )


def write_failure(error: BaseException, dsn: Secret) -> SinkError:
    """The error to raise instead of *error*, met while writing."""
    text = _text(error, dsn)
    if is_about_data(error):
        return SinkRejected(text)
    code = sqlstate(error)
    if code in _TABLE_CODES or code[:2] not in _REFUSED_CLASSES:
        return SinkUnavailable(text)
    return open_failure(error, dsn)


def open_failure(error: BaseException, dsn: Secret) -> SinkError:
    """The error to raise instead of *error*, met while opening."""
    code = sqlstate(error)
    place = shown_address(dsn)
    if code[:2] == "28":
        return SinkError(
            f"expected a login that {place} accepts, found: {reason(error)}; check "
            "user and password in the dsn"
        )
    if code == "3D000":
        return SinkError(
            f"expected a database that exists at {place}, found none; create it, or "
            "correct the dsn"
        )
    if code == "42501":
        return SinkError(
            f"expected the right to make and write tables in {place}, found: "
            f"{reason(error)}; grant it to the user of the dsn"
        )
    if code[:2] in _REFUSED_CLASSES:
        return SinkError(
            f"expected the tables of tapeline in {place}, found: {reason(error)}"
        )
    return SinkUnavailable(_text(error, dsn))


def _text(error: BaseException, dsn: Secret) -> str:
    return f"{shown_address(dsn)}: {reason(error)}"


def reason(error: BaseException) -> str:
    """What *error* says, in one line and without secrets."""
    text = str(error).partition("\n")[0] or type(error).__name__
    code = sqlstate(error)
    if isinstance(error, TimeoutError) and not str(error):
        text = "no answer in time"
    return mask(f"{text} ({code})" if code else text)
