"""Whatever a database says becomes one error, with what was tried on which table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tapeline.errors import DatabaseOperationError, SinkError
from tapeline.model.secrets import mask


@contextmanager
def operation(name: str, table: str) -> Iterator[None]:
    """Everything raised inside is a ``DatabaseOperationError`` outside."""
    try:
        yield
    except DatabaseOperationError:
        raise
    except DBAPIError as error:
        # Without the statement and its values: they may be long, and not for a log.
        cause = error.orig if error.orig is not None else error
        raise failure(name, table, cause) from error
    except ModuleNotFoundError as error:
        wanted = (
            f"expected the driver {error.name}, found none; install tapeline-postgres"
        )
        raise failure(name, table, wanted) from error
    except (
        SQLAlchemyError,
        SinkError,
        OSError,
        TimeoutError,
        ArithmeticError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:
        raise failure(name, table, error) from error


def failure(name: str, table: str, cause: object) -> DatabaseOperationError:
    """The error for *cause*, in one line and without secrets."""
    text = str(cause).partition("\n")[0] or type(cause).__name__
    if isinstance(cause, TimeoutError) and not str(cause):
        text = "no answer in time"
    return DatabaseOperationError(name, table, mask(text))
