"""The checkpoint of candles, as msgpack; private to this package."""

from __future__ import annotations

import msgspec

from tapeline.candles.bars import Bar
from tapeline.errors import JournalError

VERSION = 1


class SeriesState(msgspec.Struct):
    """The bars of one timeframe that a restart needs."""

    name: str
    open: list[Bar]
    closed: list[Bar]
    filled_ns: int | None = None


class AggregatorState(msgspec.Struct):
    """One trade stream's candles; *holes* are ``TimeHole``s."""

    version: int
    next_id: int | None
    last_ns: int
    from_ns: int
    closed_until_ns: int
    holes: list[tuple[int, int, int | None, int | None]]
    series: list[SeriesState]


def decode_state(data: bytes) -> AggregatorState:
    """The state in *data*.

    Raises:
        JournalError: it is not a checkpoint of this version.
    """
    try:
        state = msgspec.msgpack.decode(data, type=AggregatorState)
    except (msgspec.MsgspecError, ValueError) as error:
        raise JournalError(
            f"expected a candle checkpoint, found {len(data)} bytes that cannot be "
            f"read ({error}); bars begin anew as partial"
        ) from error
    if state.version != VERSION:
        raise JournalError(
            f"expected a candle checkpoint of version {VERSION}, found "
            f"{state.version}; bars begin anew as partial"
        )
    return state
