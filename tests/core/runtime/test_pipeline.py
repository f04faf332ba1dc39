"""Facts stand before what they are about, and two sockets of one stream are one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    BookDelta,
    BookSnapshot,
    Channel,
    Continuity,
    Gap,
    Malformed,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.runtime.pipeline import Pipeline
from tapeline.transport import StreamLost, StreamOpened

S = 10**9
START_NS = 1_760_000_000 * S
TRADES = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
TICKERS = Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")
BOOKS = Subscription("okx", "spot", "BTC-USDT", "orderbook", "books", "seq")


def at(second: float) -> int:
    """Nanoseconds of a second of the test."""
    return START_NS + int(second * S)


def trade(number: int, second: float) -> Trade:
    """One fill."""
    one = Decimal(1)
    return Trade(
        TRADES, str(number), number, number, 1, "buy", one, one, at(second), at(second)
    )


def ticker(second: float) -> Ticker:
    """A ticker with nothing but a price."""
    return Ticker(
        TICKERS, Decimal(1), None, None, None, None, None, None, None, None, None, None,
        at(second), at(second),
    )  # fmt: skip


@pytest.fixture
def pipeline() -> Pipeline:
    """Trades, tickers and a book on connection 1."""
    made = Pipeline(StreamLedger(IntegritySettings(), GapIds(START_NS)))
    made.register(TRADES, Channel("trades", "trade", Continuity.CONTIGUOUS, "fill"))
    made.register(TICKERS, Channel("tickers", "ticker", Continuity.NONE))
    made.register(BOOKS, Channel("books", "orderbook", Continuity.SEQUENCED, "seq"))
    made.process(
        [StreamOpened(one, 1, at(0)) for one in (TRADES, TICKERS, BOOKS)], at(0)
    )
    return made


def test_a_gap_stands_before_the_event_that_ends_it(pipeline: Pipeline) -> None:
    pipeline.process([trade(1, 1), ticker(1)], at(1))
    pipeline.process(
        [StreamLost(one, 1, "disconnect", at(2)) for one in (TRADES, TICKERS)], at(2)
    )
    late, newer = trade(9, 5), ticker(5)

    out = pipeline.process([late, newer], at(5))

    kinds = [type(record) for record in out.journal]
    assert kinds == [Gap, Trade, Gap, Ticker]
    first, _, second, _ = out.journal
    assert isinstance(first, Gap)
    assert isinstance(second, Gap)
    assert (first.from_id, first.to_id, first.cause) == (2, 8, "disconnect")
    assert (second.from_ns, second.to_ns) == (at(1), at(5))
    assert out.live == [late, newer]


def test_a_trade_that_could_not_be_read_is_a_gap_with_its_ids(
    pipeline: Pipeline,
) -> None:
    pipeline.process([trade(1, 1)], at(1))

    out = pipeline.process([Malformed("price", "{}", TRADES, 2, 4)], at(2))

    (gap,) = out.journal
    assert isinstance(gap, Gap)
    assert (gap.from_id, gap.to_id, gap.cause) == (2, 4, "quarantine")
    out = pipeline.process([trade(5, 3)], at(3))
    assert out.journal == [trade(5, 3)]


def test_what_could_not_be_read_and_has_no_ids_is_a_gap_by_time(
    pipeline: Pipeline,
) -> None:
    pipeline.process([ticker(1)], at(1))

    assert pipeline.process([Malformed("price", "{}", TICKERS)], at(2)).journal == []
    out = pipeline.process([ticker(4)], at(4))

    gap, _ = out.journal
    assert isinstance(gap, Gap)
    assert (gap.from_ns, gap.to_ns) == (at(1), at(4))
    assert (gap.cause, gap.state) == ("quarantine", "unrecoverable")


def test_trades_that_could_not_be_read_are_missed_as_soon_as_ids_show_it(
    pipeline: Pipeline,
) -> None:
    """A frame without ids may have been one that was known already."""
    pipeline.process([trade(1, 1)], at(1))

    assert pipeline.process([Malformed("json", "{", TRADES)], at(2)).journal == []
    out = pipeline.process([trade(2, 3)], at(3))
    assert out.journal == [trade(2, 3)]

    assert pipeline.process([Malformed("json", "{", TRADES)], at(4)).journal == []
    out = pipeline.process([trade(5, 5)], at(5))
    gap, _ = out.journal
    assert isinstance(gap, Gap)
    assert (gap.from_id, gap.to_id, gap.cause) == (3, 4, "quarantine")


def test_a_stream_that_another_socket_carries_is_not_lost(pipeline: Pipeline) -> None:
    """On a rotation the old socket ends while the new one delivers already."""
    pipeline.process([ticker(1), StreamOpened(TICKERS, 2, at(1))], at(1))
    lost = StreamLost(TICKERS, 1, "rotation", at(2))

    out = pipeline.process([lost, ticker(3)], at(3))

    assert out.journal == [ticker(3)]
    gone = StreamLost(TICKERS, 2, "disconnect", at(4))
    out = pipeline.process([gone, StreamOpened(TICKERS, 3, at(5)), ticker(6)], at(6))
    assert [type(record) for record in out.journal] == [Gap, Ticker]


def test_what_comes_over_two_sockets_is_stored_once(pipeline: Pipeline) -> None:
    pipeline.process([StreamOpened(TRADES, 2, at(0))], at(0))

    out = pipeline.process([trade(1, 1), trade(1, 1), trade(2, 1), trade(1, 1)], at(1))

    assert out.journal == out.live == [trade(1, 1), trade(2, 1)]


def test_nothing_of_an_invalid_book_is_given_out_and_its_time_is_a_gap(
    pipeline: Pipeline,
) -> None:
    level = (("1", "1"),)
    whole = BookSnapshot(BOOKS, level, (("2", "1"),), 10, at(1), at(1))
    pipeline.process([whole], at(1))
    broken = BookDelta(BOOKS, level, (), 20, 21, at(2), at(2))
    later = BookDelta(BOOKS, level, (), 21, 22, at(3), at(3))

    out = pipeline.process([broken, later], at(3))

    assert (out.journal, out.live, out.broken_books) == ([], [], [BOOKS])
    again = BookSnapshot(BOOKS, level, (("2", "1"),), 25, at(4), at(4))
    out = pipeline.process([again], at(4))
    gap = out.journal[0]
    assert isinstance(gap, Gap)
    assert (gap.cause, gap.from_ns, gap.to_ns) == ("sequence", at(1), at(4))
    assert out.live == [again]
