"""What an operator may say about the SQLite sink."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

Synchronous = Literal["normal", "full", "extra"]


def _optional_path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _is_file_path(
    instance: object, attribute: attrs.Attribute[Path | None], value: Path | None
) -> None:
    if value is not None and (not value.name.strip() or str(value) == ":memory:"):
        raise ValueError(
            f"expected the path of a file that stays, found {str(value)!r}; "
            "name a file such as 'data/market.db'"
        )


def _is_positive(
    instance: object, attribute: attrs.Attribute[float], value: float
) -> None:
    if not value > 0:
        raise ValueError(f"expected a number of seconds above 0, found {value!r}")


@attrs.frozen
class SqliteConfig:
    """One SQLite database file."""

    path: Path | None = attrs.field(
        default=None,
        converter=_optional_path,
        validator=_is_file_path,
        metadata={
            "description": "Database file; made with its folder when it is not there. "
            "Without it: market.db in the runtime's data_dir."
        },
    )
    force_update_candles: bool = attrs.field(
        default=False,
        metadata={
            "description": "Whether a candle of equal revision replaces the stored "
            "one; a higher revision always does."
        },
    )
    synchronous: Synchronous = attrs.field(
        default="full",
        validator=attrs.validators.in_(("normal", "full", "extra")),
        metadata={
            "description": "How hard SQLite flushes at each commit. With 'normal' a "
            "power cut may take back the last commits; they come back as gaps."
        },
    )
    busy_timeout_s: float = attrs.field(
        default=10.0,
        validator=_is_positive,
        metadata={
            "description": "Seconds to wait for another writer before the batch is "
            "tried again later."
        },
    )
