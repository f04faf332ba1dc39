"""Headers add up, and become gaps."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from tapeline.journal import Spans, encode
from tapeline.journal.spans import merge_runs
from tapeline.model import Gap, Subscription, Trade

RUNS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 5)).map(lambda r: (r[0], r[0] + r[1]))
)


def ids(runs: list[tuple[int, int]]) -> set[int]:
    return {n for first, last in runs for n in range(first, last + 1)}


@given(RUNS)
def test_merged_runs_hold_the_same_ids_and_are_disjoint(
    runs: list[tuple[int, int]],
) -> None:
    merged = merge_runs(runs, limit=10**6)
    assert ids(merged) == ids(runs)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(merged))


@given(RUNS, st.integers(1, 5))
def test_too_many_runs_are_joined_without_losing_an_id(
    runs: list[tuple[int, int]], limit: int
) -> None:
    merged = merge_runs(runs, limit)
    assert len(merged) <= limit
    assert ids(merged) >= ids(runs)


def test_joining_closes_the_smallest_holes() -> None:
    assert merge_runs([(1, 1), (3, 3), (100, 100)], 2) == [(1, 3), (100, 100)]


def test_gaps_name_exactly_the_ids_that_the_rows_held(
    make_trade: Any, make_ticker: Any, stream: Subscription
) -> None:
    spans = Spans()
    spans.add(encode([make_trade(n) for n in (1, 2, 3)])[0])
    spans.add(encode([make_trade(n) for n in (4, 9)] + [make_ticker(5)])[0])
    gaps = spans.gaps(cause="quota", sink="local", detected_ns=8)
    assert [(g.from_id, g.to_id) for g in gaps if g.stream == stream] == [
        (1, 4),
        (9, 9),
    ]
    (ticker,) = [g for g in gaps if g.stream != stream]
    assert (ticker.from_id, ticker.from_ns) == (None, make_ticker(5).exchange_ns)
    assert {(g.cause, g.for_sink, g.state) for g in gaps} == {
        ("quota", "local", "unrecoverable")
    }
    assert len({g.gap_id for g in gaps}) == 3


def test_the_same_loss_has_the_same_gap_id_when_it_grew(
    make_trade: Any, stream: Subscription
) -> None:
    spans = Spans()
    spans.add(encode([make_trade(1)])[0])
    before = spans.gaps(cause="quota", sink="local", detected_ns=8)
    spans.add(encode([make_trade(2)])[0])
    after = spans.gaps(cause="quota", sink="local", detected_ns=9, revision=2)
    assert [g.gap_id for g in before] == [g.gap_id for g in after]
    elsewhere = spans.gaps(cause="quota", sink="other", detected_ns=9)
    assert after[0].gap_id != elsewhere[0].gap_id


def test_lost_bars_of_a_trade_stream_are_a_gap_in_candles(make_candle: Any) -> None:
    spans = Spans()
    spans.add(encode([make_candle(60), make_candle(120)])[0])
    (gap,) = spans.gaps(cause="quota", sink="local", detected_ns=8)
    assert gap.stream.data_type == "candle"
    assert gap.stream == attrs.evolve(gap.stream, data_type="candle")
    assert (gap.from_id, gap.from_ns, gap.to_ns) == (None, 60, 120)


def test_a_whole_gap_leaves_nothing_out_between_trades_and_gaps(
    make_trade: Any, make_ticker: Any, make_gap: Any, stream: Subscription
) -> None:
    spans = Spans()
    spans.add(encode([make_trade(10), make_gap(11, 14), make_trade(15)])[0])
    spans.add(encode([make_trade(30), make_ticker(40), make_gap(31, 39)])[0])
    gaps = spans.whole_gaps(cause="late-sink", sink="local", detected_ns=8, after=5)
    (trades,) = [gap for gap in gaps if gap.stream == stream]
    assert (trades.from_id, trades.to_id) == (10, 39)
    assert trades.from_ns == make_trade(10).exchange_ns
    assert trades.to_ns == make_gap(31, 39).to_ns
    (ticker,) = [gap for gap in gaps if gap.stream != stream]
    assert ticker.from_id is None
    assert trades.gap_id != ticker.gap_id


def test_gaps_that_were_closed_add_no_ids(make_gap: Any, make_trade: Any) -> None:
    spans = Spans()
    closed = make_gap(1, 9, state="closed")
    spans.add(encode([closed, make_trade(20)])[0])
    (gap,) = spans.whole_gaps(cause="late-sink", sink="a", detected_ns=8, after=5)
    assert (gap.from_id, gap.to_id) == (20, 20)


def test_whole_gaps_of_different_losses_are_different(make_trade: Any) -> None:
    """A restored database may have the gap of an earlier restore."""
    spans = Spans()
    spans.add(encode([make_trade(1)])[0])
    one, again, other = (
        spans.whole_gaps(cause="restored", sink="a", detected_ns=8, after=after)[0]
        for after in (5, 5, 6)
    )
    assert one.gap_id == again.gap_id != other.gap_id


@given(RUNS, RUNS)
def test_a_whole_gap_spans_every_id(
    trades: list[tuple[int, int]], missing: list[tuple[int, int]]
) -> None:
    stream = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
    records: list[Any] = [
        Trade(stream, "", a, b, b - a + 1, "buy", Decimal(1), Decimal(1), 5, 5)
        for a, b in trades
    ]
    records += [Gap(stream, a, 0, a, b, 1, 9, "x", 9) for a, b in missing]
    spans = Spans()
    for record in records:
        spans.add(encode([record])[0])
    gaps = spans.whole_gaps(cause="late-sink", sink="a", detected_ns=8, after=5)
    every = ids(trades) | ids(missing)
    assert [(gap.from_id, gap.to_id) for gap in gaps] == (
        [(min(every), max(every))] if every else []
    )
