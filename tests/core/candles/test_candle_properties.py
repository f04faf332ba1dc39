"""All eleven timeframes against a naive reference, whatever the order and faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.candles import CandleAggregator
from tapeline.model import TIMEFRAMES, Candle, Subscription, Trade

SECOND = 10**9

STEP = st.tuples(
    st.sampled_from(
        [0.0, 0.0, 0.0, 0.01, 0.01, 0.3, 0.9, 1.0, 4.0, 17.0, 61.0, 400.0, 5000.0]
    ),
    st.sampled_from(["1", "2.5", "3", "2.50", "0.7"]),
    st.sampled_from(["1", "0.25", "10"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 3),
)
STEPS = st.lists(STEP, min_size=1, max_size=40)
FATES = st.sampled_from(["send"] * 6 + ["hold"] * 2 + ["drop"])

MakeTrade = Callable[..., Trade]
Latest = Callable[[Iterable[Candle]], dict[tuple[str, int], Candle]]
Naive = Callable[[Iterable[Trade]], dict[tuple[str, int], tuple[Any, ...]]]
Values = Callable[[Candle], tuple[Any, ...]]


def build(
    steps: list[tuple[float, str, str, str, int]], trade: MakeTrade
) -> list[Trade]:
    made = []
    at_s, next_id = 1000.25, 1
    for pause, price, size, side, fills in steps:
        at_s += pause
        last = next_id + fills - 1
        made.append(trade(next_id, at_s, price, size, side, last=last))
        next_id = last + 1
    return made


@settings(max_examples=150, deadline=None)
@given(data=st.data(), steps=STEPS)
def test_bars_equal_the_reference_for_any_order_within_the_grace(
    data: st.DataObject,
    steps: list[tuple[float, str, str, str, int]],
    stream: Subscription,
    trade: MakeTrade,
    naive: Naive,
    latest: Latest,
    values: Values,
) -> None:
    trades = build(steps, trade)
    # A trade may be overtaken by others of the next 1.5 s, as a network does.
    jitter = [
        data.draw(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.5])) * SECOND for _ in trades
    ]
    arrival = sorted(
        range(len(trades)), key=lambda at: trades[at].exchange_ns + jitter[at]
    )
    # The first trade is where collection begins; it comes first.
    arrival.remove(0)
    aggregator = CandleAggregator(stream, list(TIMEFRAMES))
    out: list[Candle] = []
    for at in [0, *arrival]:
        aggregator.add(trades[at], out)
    aggregator.advance(trades[-1].exchange_ns + 2 * 86_400 * SECOND, out)
    table = latest(out)
    assert {key: values(candle) for key, candle in table.items()} == naive(trades)
    assert all(candle.revision == 0 for candle in out), "nothing was revised"
    for (name, open_ns), candle in table.items():
        first_is_inside = open_ns <= trades[0].exchange_ns < open_ns + TIMEFRAMES[name]
        is_last = open_ns + TIMEFRAMES[name] > trades[-1].exchange_ns
        partial = first_is_inside or is_last
        assert candle.state == ("partial" if partial else "complete")


@settings(max_examples=200, deadline=None)
@given(data=st.data(), steps=STEPS)
def test_complete_is_claimed_exactly_when_nothing_can_be_missing(
    data: st.DataObject,
    steps: list[tuple[float, str, str, str, int]],
    stream: Subscription,
    trade: MakeTrade,
    naive: Naive,
    latest: Latest,
    values: Values,
) -> None:
    trades = build(steps, trade)
    aggregator = CandleAggregator(stream, list(TIMEFRAMES))
    journal: list[Trade | Candle] = []
    saved, saved_at = aggregator.snapshot(), 0
    given_trades: list[Trade] = []
    held: list[Trade] = []

    def deliver(one: Trade) -> None:
        given_trades.append(one)
        journal.append(one)
        out: list[Candle] = []
        aggregator.add(one, out)
        journal.extend(out)

    for at, one in enumerate(trades):
        # The ends are certain: what lies outside of them is nobody's claim.
        fate = "send" if at in (0, len(trades) - 1) else data.draw(FATES)
        if fate == "send":
            deliver(one)
        elif fate == "hold":
            held.append(one)
        release: bool = data.draw(st.booleans())
        if held and release:
            deliver(held.pop(data.draw(st.integers(0, len(held) - 1))))
        what = data.draw(st.sampled_from(["", "", "", "tick", "save", "kill"]))
        if what == "tick":
            out: list[Candle] = []
            aggregator.advance(one.exchange_ns + 3 * SECOND, out)
            journal.extend(out)
        elif what == "save":
            saved, saved_at = aggregator.snapshot(), len(journal)
        elif what == "kill":
            aggregator = CandleAggregator(stream, list(TIMEFRAMES))
            aggregator.restore(saved)
            aggregator.refold(journal[saved_at:])
    for one in held:
        deliver(one)
    last: list[Candle] = []
    aggregator.advance(trades[-1].exchange_ns + 2 * 86_400 * SECOND, last)
    journal.extend(last)
    candles = [record for record in journal if isinstance(record, Candle)]
    table: dict[tuple[str, int], Candle] = {}
    for candle in candles:
        key = (candle.timeframe, candle.open_ns)
        assert key not in table or candle.revision > table[key].revision
        table[key] = candle
    assert {key: values(candle) for key, candle in table.items()} == naive(given_trades)
    have = {n for one in given_trades for n in range(one.first_id, one.last_id + 1)}
    times = {
        n: one.exchange_ns
        for one in trades
        for n in range(one.first_id, one.last_id + 1)
    }
    missing = sorted(set(times) - have)
    around = [
        (
            times[max(n for n in have if n < number)],
            times[min(n for n in have if n > number)],
        )
        for number in missing
    ]
    for (name, open_ns), candle in table.items():
        end_ns = open_ns + TIMEFRAMES[name]
        touched = any(low < end_ns and high >= open_ns for low, high in around)
        if open_ns <= trades[0].exchange_ns < end_ns:
            assert candle.state == "partial"
        else:
            assert (candle.state == "gap") == touched, (name, open_ns, candle)
