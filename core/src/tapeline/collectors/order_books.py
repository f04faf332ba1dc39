"""The local order book of a symbol, as it is now."""

from __future__ import annotations

from tapeline.model import BookSnapshot, DataType
from tapeline.runtime import Engine


def book_now(
    engine: Engine, exchange: str, market: str, symbol: str, count: int | None
) -> BookSnapshot | None:
    """The book of *symbol* on *engine*; None unless it is known to be right.

    Args:
        count: best levels a side; None for all.
    """
    for stream, state in engine.pipeline.streams.items():
        if stream.data_type != DataType.ORDERBOOK or stream.symbol != symbol:
            continue
        if (stream.exchange, stream.market) != (exchange, market):
            continue
        book = state.book
        if book is not None:
            levels = max(book.depth()) if count is None else count
            return book.to_snapshot(levels) if book.usable else None
        last = state.last
        return last if isinstance(last, BookSnapshot) and state.sources else None
    return None
