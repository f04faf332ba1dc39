"""Candles, case by case."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import attrs
import pytest

from tapeline.candles import CandleAggregator, CandleSettings
from tapeline.errors import JournalError, UnknownTimeframe
from tapeline.model import Candle, Subscription, Trade

SECOND = 10**9
MakeTrade = Callable[..., Trade]


@attrs.define
class Maker:
    """An aggregator with what it gave out."""

    aggregator: CandleAggregator
    out: list[Candle] = attrs.field(factory=list)

    def add(self, *trades: Trade) -> None:
        for one in trades:
            self.aggregator.add(one, self.out)

    def advance(self, now_s: float) -> None:
        self.aggregator.advance(round(now_s * SECOND), self.out)

    def said(self) -> list[tuple[str, int, str, int, int | None]]:
        """Takes what was given out: ``(timeframe, open s, state, revision, n)``."""
        said = [
            (
                one.timeframe,
                one.open_ns // SECOND,
                one.state,
                one.revision,
                one.trades_count,
            )
            for one in self.out
        ]
        self.out.clear()
        return said


@pytest.fixture
def make(stream: Subscription) -> Callable[..., Maker]:
    def build(*timeframes: str, **settings: Any) -> Maker:
        return Maker(
            CandleAggregator(stream, timeframes or ("1s",), CandleSettings(**settings))
        )

    return build


def test_a_bar_has_the_open_of_its_first_id_and_the_close_of_its_last(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(
        trade(1, 0.5),
        trade(2, 1.1, "5", "2", "sell"),
        trade(3, 1.2, "9", "1", "buy", last=5),
        trade(6, 1.9, "7", "0.5", "buy"),
        trade(7, 2.0),
    )
    (_, bar) = maker.out
    assert [str(price) for price in (bar.open, bar.high, bar.low, bar.close)] == [
        "5",
        "9",
        "5",
        "7",
    ]
    assert (bar.volume, bar.quote_volume) == (Decimal("3.5"), Decimal("22.5"))
    assert bar.taker_buy_volume == Decimal("1.5")
    assert (bar.trades_count, bar.first_id, bar.last_id) == (5, 2, 6)
    assert (bar.state, bar.source, bar.received_ns) == (
        "complete",
        "trades",
        round(1.9 * SECOND),
    )


def test_a_trade_in_the_next_interval_closes_bars_at_once_narrow_ones_first(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1m", "5s", "1s")
    maker.add(trade(1, 58), trade(2, 59), trade(3, 60))
    assert maker.said() == [
        ("1s", 58, "partial", 0, 1),
        ("1s", 59, "complete", 0, 1),
        ("5s", 55, "partial", 0, 2),
        ("1m", 0, "partial", 0, 2),
    ]


def test_ids_decide_the_open_and_close_even_against_time(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("5s")
    maker.add(trade(1, 3.5, "7"), trade(2, 2.5, "8"), trade(3, 1.5, "6"))
    maker.advance(60)
    (bar,) = maker.out
    assert (bar.open, bar.close) == (Decimal(7), Decimal(6))
    assert (bar.first_id, bar.last_id, bar.trades_count) == (1, 3, 3)


def test_the_clock_closes_bars_after_the_grace(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", close_grace_s=2)
    maker.add(trade(1, 10.5), trade(2, 11.5))
    maker.said()
    maker.advance(13.9)
    assert maker.said() == []
    maker.advance(14)
    assert maker.said() == [("1s", 11, "partial", 0, 1)]
    maker.advance(99)
    assert maker.said() == []


def test_a_bar_that_the_clock_ended_is_complete_when_the_next_trade_proves_it(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    """A silent stream may be a dead one, which still owes trades of that bar."""
    maker = make("1s")
    maker.add(trade(1, 10.5), trade(2, 11.2))
    maker.advance(30)
    maker.said()
    maker.add(trade(3, 11.8))
    maker.advance(31)
    assert maker.said() == [("1s", 11, "partial", 1, 2)]
    maker.add(trade(4, 31.5))
    maker.advance(32)
    assert maker.said() == [("1s", 11, "complete", 2, 2)]


def test_ids_that_were_never_issued_repair_what_they_seemed_to_miss(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(trade(1, 0.5), trade(2, 1.5), trade(5, 1.6), trade(9, 1.6))
    maker.add(trade(10, 9))
    maker.said()
    maker.advance(10)
    maker.aggregator.never_issued(3, 4)
    maker.advance(11)
    assert maker.said() == [], "6 to 8 are missing at the same moment"
    maker.aggregator.never_issued(6, 7)
    maker.aggregator.never_issued(8, 8)
    maker.advance(12)
    assert ("1s", 1, "repaired", 1, 3) in maker.said()


def test_the_first_bar_is_whole_when_collection_began_before_it(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "5s", "1m")
    maker.aggregator.started(3 * SECOND)
    maker.add(trade(1, 6.5), trade(2, 99))
    maker.advance(100)
    assert maker.said() == [
        ("1s", 6, "complete", 0, 1),
        ("5s", 5, "complete", 0, 1),
        ("1m", 0, "partial", 0, 1),
    ]


def test_a_late_trade_revises_its_bar_and_every_larger_one(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "5s", "1m", contiguous_ids=False)
    maker.add(trade(10, 0.5), trade(20, 1.5, "8"), trade(40, 61))
    maker.said()
    maker.add(trade(30, 1.9, "6"))
    maker.advance(61)
    assert maker.said() == [
        ("1s", 1, "complete", 1, 2),
        ("5s", 0, "partial", 1, 3),
        ("1m", 0, "partial", 1, 3),
    ]


def test_a_late_trade_reaches_open_bars_without_an_event(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "1m", contiguous_ids=False)
    maker.add(trade(1, 0.5), trade(2, 1.5), trade(9, 7))
    maker.said()
    maker.add(trade(3, 1.6))
    maker.add(trade(10, 60))
    assert [row for row in maker.said() if row[0] == "1m"] == [
        ("1m", 0, "partial", 0, 4)
    ]


def test_bars_before_a_hole_wait_for_it_and_are_complete_when_it_fills(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(trade(1, 0.5), trade(2, 1.5))
    maker.said()
    maker.add(trade(4, 2.5), trade(5, 3.2))
    assert maker.said() == []
    maker.add(trade(3, 2.1), trade(6, 3.3), trade(7, 4))
    assert maker.said() == [
        ("1s", 1, "complete", 0, 1),
        ("1s", 2, "complete", 0, 2),
        ("1s", 3, "complete", 0, 2),
    ]


def test_a_hole_that_stays_makes_gap_bars_and_repaired_ones_when_it_fills(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "1m")
    maker.add(trade(1, 58), trade(2, 61.5), trade(4, 63.5), trade(5, 66))
    assert maker.said() == [
        ("1s", 58, "partial", 0, 1),
        ("1m", 0, "partial", 0, 1),
        ("1s", 61, "gap", 0, 1),
        ("1s", 63, "gap", 0, 1),
    ]
    maker.add(trade(3, 62.5))
    maker.advance(67)
    assert maker.said() == [
        ("1s", 62, "complete", 0, 1),
        ("1s", 61, "repaired", 1, 1),
        ("1s", 63, "repaired", 1, 1),
    ]
    maker.advance(200)
    assert maker.said() == [
        ("1s", 66, "partial", 0, 1),
        ("1m", 60, "partial", 0, 4),
    ]


def test_a_bar_closed_by_the_clock_learns_of_a_hole_at_its_end(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(trade(1, 0.5), trade(2, 1.5))
    maker.advance(50)
    maker.said()
    maker.add(trade(5, 60.5))
    maker.advance(61)
    assert maker.said() == [], "ids may still come"
    maker.advance(63)
    assert maker.said() == [("1s", 60, "gap", 0, 1), ("1s", 1, "gap", 1, 1)]


def test_a_marked_interval_is_a_gap_until_it_is_marked_repaired(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", contiguous_ids=False)
    maker.add(trade(1, 0.5), trade(2, 1.5), trade(3, 2.5))
    maker.said()
    maker.aggregator.interrupted(round(1.2 * SECOND), round(2.1 * SECOND))
    maker.advance(3)
    assert maker.said() == [("1s", 1, "gap", 1, 1)]
    maker.advance(5)
    assert maker.said() == [("1s", 2, "gap", 0, 1)]
    maker.aggregator.mark(1 * SECOND, 3 * SECOND, "repaired")
    maker.advance(6)
    assert maker.said() == [("1s", 1, "repaired", 2, 1), ("1s", 2, "partial", 1, 1)]
    maker.add(trade(9, 7))
    maker.advance(7)
    assert maker.said() == [("1s", 2, "repaired", 2, 1)]


def test_without_a_later_trade_the_clock_proves_nothing_of_ids_that_only_rise(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    """Our clock may be ahead of the venue's, and the bar still in the making."""
    maker = make("1s", contiguous_ids=False)
    maker.aggregator.live(0)
    maker.add(trade(1, 0.5), trade(3, 1.2))
    maker.advance(10)
    assert maker.said()[-1] == ("1s", 1, "partial", 0, 1)
    maker.add(trade(5, 1.7))
    maker.advance(10.5)
    assert maker.said() == [("1s", 1, "partial", 1, 2)]
    maker.aggregator.quiet(5, 9 * SECOND)
    maker.advance(11)
    assert maker.said() == [("1s", 1, "complete", 2, 2)]


def test_ids_that_were_never_issued_repair_the_bars_around_them(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(trade(1, 0.5), trade(2, 1.5), trade(4, 1.7), trade(5, 9))
    assert maker.said()[-1] == ("1s", 1, "gap", 0, 2)
    maker.aggregator.mark(round(1.5 * SECOND), round(1.7 * SECOND), "repaired")
    maker.advance(9)
    assert maker.said() == [("1s", 1, "repaired", 1, 2)]


def test_flush_gives_open_bars_as_partial_with_all_they_hold(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "1m", "1h")
    maker.aggregator.started(0)
    maker.add(trade(1, 1), trade(2, 62), trade(3, 62.5))
    maker.said()
    assert [one.trades_count for one in maker.aggregator.open_candles()] == [2, 2, 3]
    maker.aggregator.flush(maker.out)
    assert maker.said() == [
        ("1s", 62, "partial", 0, 2),
        ("1m", 60, "partial", 0, 2),
        ("1h", 0, "partial", 0, 3),
    ]


def test_a_restart_after_flush_goes_on_with_the_open_bars(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    before = make("1s", "1m")
    before.aggregator.started(0)
    before.add(trade(1, 1), trade(2, 2))
    before.aggregator.flush(before.out)
    after = make("1s", "1m")
    after.aggregator.restore(before.aggregator.snapshot())
    after.add(trade(3, 2.5), trade(4, 60))
    assert after.said() == [("1s", 2, "complete", 1, 2), ("1m", 0, "complete", 1, 3)]


def test_timeframes_may_change_over_a_restart(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    before = make("1s")
    before.aggregator.started(0)
    before.add(trade(1, 1), trade(2, 7))
    after = make("1m")
    after.aggregator.restore(before.aggregator.snapshot())
    after.add(trade(3, 8), trade(4, 60))
    assert after.said() == [("1m", 0, "complete", 0, 3)]


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x81\xa1a\x01"])
def test_a_damaged_checkpoint_is_refused(
    make: Callable[..., Maker], data: bytes
) -> None:
    with pytest.raises(JournalError, match="expected a candle checkpoint"):
        make().aggregator.restore(data)


def test_empty_intervals_need_not_have_a_bar(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", fill_empty=False)
    maker.add(trade(1, 0.5), trade(2, 5.5))
    maker.advance(20)
    assert [row[1] for row in maker.said()] == [0, 5]


def test_an_empty_interval_is_flat_when_the_next_trade_proves_it(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "5s", fill_empty=True)
    maker.add(trade(1, 0.5), trade(2, 1.5, "7"), trade(3, 14.5, "9"))
    flat = [one for one in maker.out if not one.trades_count]
    assert [
        (one.timeframe, one.open_ns // SECOND, str(one.close), str(one.volume))
        for one in flat
    ] == [
        *(("1s", second, "7", "0") for second in range(2, 14)),
        ("5s", 5, "7", "0"),
    ]
    assert {(one.state, one.revision, one.first_id) for one in flat} == {
        ("complete", 0, None)
    }


def test_mere_silence_gives_no_flat_bar_and_completes_none(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", fill_empty=True)
    maker.aggregator.live(0)
    maker.add(trade(1, 0.5), trade(2, 1.5))
    maker.advance(60)
    assert maker.said() == [("1s", 0, "partial", 0, 1), ("1s", 1, "partial", 0, 1)]


def test_silence_that_the_venue_confirms_is_quiet(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", fill_empty=True)
    maker.add(trade(1, 0.5), trade(2, 1.5))
    maker.advance(60)
    maker.said()
    maker.aggregator.quiet(1, 50 * SECOND)
    maker.advance(60.5)
    assert maker.said() == [], "that was said before trade 2"
    maker.aggregator.quiet(2, round(4.5 * SECOND))
    maker.advance(61)
    assert maker.said() == [
        ("1s", 1, "complete", 1, 1),
        ("1s", 2, "complete", 0, 0),
        ("1s", 3, "complete", 0, 0),
    ]
    maker.advance(90)
    assert maker.said() == []


def test_no_bar_is_flat_where_trades_are_missing_until_they_are_found(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", fill_empty=True)
    maker.add(trade(1, 0.5), trade(2, 1.5), trade(4, 5.5), trade(5, 9.5))
    maker.advance(9.5)
    flat = [row[1] for row in maker.said() if row[4] == 0]
    assert flat == [6, 7, 8], "trade 3 was somewhere in 1 to 5"
    maker.add(trade(3, 3.5, "8"))
    maker.advance(9.6)
    said = maker.said()
    assert [row[1] for row in said if row[4] == 0] == [2, 4]
    assert ("1s", 3, "complete", 0, 1) in said
    assert ("1s", 5, "repaired", 1, 1) in said


def test_ids_that_do_not_show_holes_give_flat_bars_only_while_followed(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", fill_empty=True, contiguous_ids=False)
    maker.add(trade(10, 0.5), trade(20, 3.5))
    assert [row[1] for row in maker.said()] == [0]
    maker.aggregator.live(4 * SECOND)
    maker.add(trade(30, 6.5), trade(40, 7.5))
    assert [row[1] for row in maker.said()] == [3, 4, 5, 6]
    maker.aggregator.not_live()
    maker.add(trade(50, 10.5))
    assert [row[1] for row in maker.said()] == [7], "8 and 9 may have been missed"


def test_a_long_silence_is_filled_in_parts(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "1m", fill_empty=True)
    maker.add(trade(1, 0.5), trade(2, 7200.5))
    first = len(maker.said())
    assert first < 1_200
    for step in range(20):
        maker.advance(7201 + step / 4)
    rows = maker.said()
    assert first + len(rows) == 7200 + 120 + 1
    assert maker.aggregator.kept_bars() < 3_000
    maker.advance(7258)
    assert maker.said() == []


def test_flat_bars_are_not_given_out_again_after_a_restart(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    before = make("1s", fill_empty=True)
    before.add(trade(1, 0.5), trade(2, 3.5))
    saved = before.aggregator.snapshot()
    assert [row[1] for row in before.said()] == [0, 1, 2]
    late = [trade(3, 6.5), trade(4, 8.5)]
    before.add(*late)
    rows = list(before.out)
    assert [row[1] for row in before.said()] == [3, 4, 5, 6, 7]
    after = make("1s", fill_empty=True)
    after.aggregator.restore(saved)
    after.aggregator.refold([late[0], *rows[:3], late[1], *rows[3:]])
    after.advance(8.6)
    assert after.said() == []
    after.add(trade(5, 10.5))
    assert [row[1] for row in after.said()] == [8, 9]


def test_a_trade_that_comes_into_a_flat_bar_revises_it(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", fill_empty=True, contiguous_ids=False)
    maker.aggregator.live(0)
    maker.add(trade(1, 0.5), trade(2, 1.5, "7"), trade(9, 3.5, "9"))
    maker.said()
    maker.add(trade(3, 2.5, "4"))
    maker.advance(3.6)
    assert maker.said() == [("1s", 2, "complete", 1, 1)]


def test_a_trade_too_late_for_any_kept_bar_is_counted_not_invented(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", contiguous_ids=False, keep_closed_s=10)
    maker.add(*(trade(first * 10, first) for first in range(1, 200)))
    maker.said()
    maker.add(trade(55, 5.5))
    maker.advance(199.5)
    assert maker.said() == []
    assert maker.aggregator.statistics.too_late == 1


def test_a_hole_is_given_up_after_the_repair_window(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "1h", repair_window_s=60)
    maker.aggregator.started(0)
    maker.add(trade(1, 0.5), trade(3, 1.5), trade(4, 10))
    maker.advance(100)
    maker.said()
    assert maker.aggregator.statistics.holes_given_up == 1
    maker.add(trade(5, 3600))
    assert ("1h", 0, "gap", 0, 3) in maker.said()


def test_sums_are_exact_whatever_the_callers_decimal_context(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    price, size = "0.000012345678901234", "98765432109876543.12345678"
    with localcontext() as context:
        context.prec = 5
        maker.add(trade(1, 1, price, size), trade(2, 1.5, price, size), trade(3, 2))
        (bar,) = maker.out
    with localcontext() as context:
        context.prec = 100
        assert bar.volume == 2 * Decimal(size)
        assert bar.quote_volume == 2 * Decimal(size) * Decimal(price)


def test_one_trade_from_the_future_does_not_close_the_bars_of_today(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(trade(1, 0.5), trade(2, 1.5))
    future = attrs.evolve(trade(3, 10**6), received_ns=round(1.6 * SECOND))
    maker.add(future)
    maker.said()
    maker.add(*(trade(first, 60 + first) for first in range(4, 8)))
    assert {row[3] for row in maker.said()} == {0}


def test_unknown_timeframes_are_refused(stream: Subscription) -> None:
    with pytest.raises(UnknownTimeframe, match="found '2m'"):
        CandleAggregator(stream, ["2m"])


def test_closed_bars_are_not_kept_for_ever(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s", "1m")
    maker.add(*(trade(first, first * 0.9) for first in range(1, 6000)))
    assert len(maker.aggregator.snapshot()) < 10_000
    assert maker.aggregator.kept_bars() < 1_000


def test_a_trade_after_a_long_silence_is_counted_however_old_it_is(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    maker = make("1s")
    maker.add(*(trade(first, first) for first in range(1, 80)))
    maker.advance(1000)
    maker.said()
    maker.add(trade(80, 300))
    maker.advance(1001)
    assert maker.said() == [("1s", 300, "partial", 0, 1), ("1s", 79, "complete", 1, 1)]
    assert maker.aggregator.statistics.too_late == 0


def test_a_repair_that_was_not_said_before_the_end_is_said_after_the_restart(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    before = make("1s")
    before.add(trade(1, 1), trade(2, 2), trade(4, 4))
    before.add(*(trade(first, 100 + first) for first in range(5, 9)))
    assert ("1s", 2, "gap", 0, 1) in before.said()
    before.add(trade(3, 3))
    after = make("1s")
    after.aggregator.restore(before.aggregator.snapshot())
    after.advance(108)
    assert ("1s", 2, "repaired", 1, 1) in after.said()


def test_a_gap_that_only_the_journal_knows_is_repaired_after_the_restart(
    make: Callable[..., Maker], trade: MakeTrade
) -> None:
    before = make("1s")
    trades = [trade(1, 1), trade(2, 2), trade(4, 4), trade(5, 9)]
    saved = before.aggregator.snapshot()
    journal: list[Trade | Candle] = []
    for one in trades:
        before.out.clear()
        before.add(one)
        journal += [one, *before.out]
    after = make("1s")
    after.aggregator.restore(saved)
    after.aggregator.refold(journal)
    after.advance(9)
    assert after.said() == []
    after.add(trade(3, 3))
    after.advance(9)
    assert after.said() == [
        ("1s", 3, "complete", 0, 1),
        ("1s", 2, "repaired", 1, 1),
        ("1s", 4, "repaired", 1, 1),
    ]


def test_a_trade_older_than_what_a_restart_kept_is_too_late_and_claims_nothing(
    stream: Subscription, trade: MakeTrade
) -> None:
    def ticks(*timeframes: str) -> Maker:
        settings = CandleSettings(contiguous_ids=False)
        return Maker(CandleAggregator(stream, timeframes, settings))

    before = ticks("1s", "5s")
    before.aggregator.started(0)
    before.add(*(trade(n, n) for n in range(1, 70)))
    after = ticks("1s", "5s")
    after.aggregator.restore(before.aggregator.snapshot())
    after.add(trade(70, 12.5))

    assert after.said() == []
    assert after.aggregator.statistics.too_late == 1
