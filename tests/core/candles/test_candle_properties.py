"""All eleven timeframes against a naive reference, whatever the order and faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.candles import CandleAggregator, CandleSettings
from tapeline.model import TIMEFRAMES, Candle, Subscription, Trade

SECOND = 10**9

PAUSES = [0.0, 0.0, 0.0, 0.01, 0.01, 0.3, 0.9, 1.0, 4.0, 17.0, 61.0, 400.0, 5000.0]
SHORT_PAUSES = [0.0, 0.0, 0.01, 0.3, 0.9, 1.0, 4.0, 17.0, 61.0]
DELAYS = [0.0, 0.0, 0.0, 0.4, 1.5]
FATES = ["send"] * 7 + ["hold"] * 2 + ["drop"]
HAPPENINGS = ["", "", "", "tick", "tick", "save", "kill"]

MakeTrade = Callable[..., Trade]
Latest = Callable[[Iterable[Candle]], dict[tuple[str, int], Candle]]
Naive = Callable[[Iterable[Trade]], dict[tuple[str, int], tuple[Any, ...]]]
Values = Callable[[Candle], tuple[Any, ...]]


def steps(pauses: Sequence[float]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """What is traded: pause before it, price, size, side, fills."""
    step = st.tuples(
        st.sampled_from(pauses),
        st.sampled_from(["1", "2.5", "3", "2.50", "0.7", "123456789.123456789"]),
        st.sampled_from(["1", "0.25", "10", "98765432109876543.000000000001"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 3),
    )
    return st.lists(step, min_size=1, max_size=40)


def build(made: list[tuple[Any, ...]], trade: MakeTrade) -> list[Trade]:
    trades = []
    at_s, next_id = 1000.25, 1
    for pause, price, size, side, fills in made:
        at_s += pause
        last = next_id + fills - 1
        trades.append(trade(next_id, at_s, price, size, side, last=last))
        next_id = last + 1
    return trades


@settings(max_examples=150, deadline=None)
@given(data=st.data(), made=steps(PAUSES))
def test_bars_equal_the_reference_for_any_order_within_the_grace(
    data: st.DataObject,
    made: list[tuple[Any, ...]],
    stream: Subscription,
    trade: MakeTrade,
    naive: Naive,
    latest: Latest,
    values: Values,
) -> None:
    trades = build(made, trade)
    # A trade may be overtaken by others of the next 1.5 s, as a network does.
    jitter = [data.draw(st.sampled_from(DELAYS)) * SECOND for _ in trades]
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


@attrs.define
class Life:
    """An aggregator that is killed now and then, and the journal that outlives it.

    Args:
        journal: what was committed and what was not yet, in order.
        saved: the newest checkpoint, and how much of the journal is before it.
    """

    stream: Subscription
    fill_empty: bool
    aggregator: CandleAggregator = attrs.field(init=False)
    journal: list[Trade | Candle] = attrs.field(factory=list)
    saved: tuple[bytes, int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.aggregator = self.born()
        self.save()

    def born(self) -> CandleAggregator:
        chosen = CandleSettings(fill_empty=self.fill_empty, repair_window_s=1e9)
        return CandleAggregator(self.stream, list(TIMEFRAMES), chosen)

    def deliver(self, trade: Trade) -> None:
        self.journal.append(trade)
        self.aggregator.add(trade, self.journal)  # type: ignore[arg-type]

    def tick(self, now_ns: int) -> None:
        self.aggregator.advance(now_ns, self.journal)  # type: ignore[arg-type]

    def save(self) -> None:
        self.saved = self.aggregator.snapshot(), len(self.journal)

    def kill(self, kept: int) -> list[Trade]:
        """Die with *kept* records committed, and start again; trades that are lost."""
        lost = [one for one in self.journal[kept:] if isinstance(one, Trade)]
        del self.journal[kept:]
        state, position = self.saved
        self.aggregator = self.born()
        self.aggregator.restore(state)
        self.aggregator.refold(self.journal[position:])
        return lost

    def candles(self) -> list[Candle]:
        return [record for record in self.journal if isinstance(record, Candle)]

    def trades(self) -> list[Trade]:
        return [record for record in self.journal if isinstance(record, Trade)]


def live_through(data: st.DataObject, trades: list[Trade], life: Life) -> None:
    """Trades come late, not at all, or long after; the process is killed at times."""
    held: list[Trade] = []
    # The ends are certain: what lies outside of them is nobody's claim.
    fates = [
        "send" if at in (0, len(trades) - 1) else data.draw(st.sampled_from(FATES))
        for at in range(len(trades))
    ]
    arrivals = sorted(
        (
            one.exchange_ns
            + (data.draw(st.sampled_from(DELAYS)) * SECOND if at > 0 else -SECOND),
            at,
        )
        for at, one in enumerate(trades)
        if fates[at] == "send"
    )
    waiting = [one for at, one in enumerate(trades) if fates[at] == "hold"]
    last_at = len(trades) - 1
    arrivals = [(when, at) for when, at in arrivals if at == 0 or at != last_at]
    now_ns = 0
    for when, at in arrivals:
        now_ns = max(now_ns, round(when))
        life.deliver(trades[at])
        held += [one for one in waiting if one.exchange_ns < now_ns]
        waiting = [one for one in waiting if one.exchange_ns >= now_ns]
        release: bool = data.draw(st.booleans())
        if held and release:
            life.deliver(held.pop(data.draw(st.integers(0, len(held) - 1))))
        what = data.draw(st.sampled_from(HAPPENINGS))
        if what == "tick":
            now_ns += data.draw(st.sampled_from([0, 1, 3, 40])) * SECOND
            life.tick(now_ns)
        elif what == "save":
            life.save()
        elif what == "kill":
            least = max(1, life.saved[1])
            kept = data.draw(st.integers(least, len(life.journal)))
            held += life.kill(kept)
    for one in [*held, *waiting]:
        if one is not trades[last_at]:
            life.deliver(one)
    if last_at:
        life.deliver(trades[last_at])
    life.tick(max(now_ns, trades[-1].exchange_ns) + 2 * 86_400 * SECOND)


def doubtful(all_trades: list[Trade], stored: list[Trade]) -> list[tuple[int, int]]:
    """The times between which each missing trade must have happened."""
    have = {one.last_id for one in stored}
    spans = []
    for at, one in enumerate(all_trades):
        if one.last_id not in have:
            before = max(x.exchange_ns for x in all_trades[:at] if x.last_id in have)
            after = min(x.exchange_ns for x in all_trades[at:] if x.last_id in have)
            spans.append((before, after))
    return spans


@settings(max_examples=250, deadline=None)
@given(data=st.data(), made=steps(PAUSES))
def test_complete_is_claimed_exactly_when_no_id_is_missing(
    data: st.DataObject,
    made: list[tuple[Any, ...]],
    stream: Subscription,
    trade: MakeTrade,
    naive: Naive,
    values: Values,
) -> None:
    trades = build(made, trade)
    life = Life(stream, fill_empty=False)
    live_through(data, trades, life)

    truth = naive(trades)
    table: dict[tuple[str, int], Candle] = {}
    were_gap: set[tuple[str, int]] = set()
    for candle in life.candles():
        key = (candle.timeframe, candle.open_ns)
        assert key not in table or candle.revision > table[key].revision
        if candle.state in ("complete", "repaired"):
            # A claim was never wrong, not even for a moment.
            assert values(candle) == truth[key]
            assert candle.state == ("repaired" if key in were_gap else "complete")
        if candle.state == "gap":
            were_gap.add(key)
        table[key] = candle
    stored = life.trades()
    assert len({one.last_id for one in stored}) == len(stored)
    assert {key: values(candle) for key, candle in table.items()} == naive(stored)
    spans = doubtful(trades, stored)
    for (name, open_ns), candle in table.items():
        end_ns = open_ns + TIMEFRAMES[name]
        if open_ns <= trades[0].exchange_ns < end_ns:
            assert candle.state == "partial"
        elif any(low < end_ns and high >= open_ns for low, high in spans):
            assert candle.state == "gap", (name, open_ns, candle)
        elif end_ns > trades[-1].exchange_ns:
            # Nothing after it proves that it is over.
            assert candle.state == "partial"
        else:
            assert candle.state in ("complete", "repaired"), (name, open_ns, candle)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), made=steps(SHORT_PAUSES))
def test_flat_bars_stand_exactly_where_it_is_known_that_nobody_traded(
    data: st.DataObject,
    made: list[tuple[Any, ...]],
    stream: Subscription,
    trade: MakeTrade,
    naive: Naive,
) -> None:
    trades = build(made, trade)
    life = Life(stream, fill_empty=True)
    live_through(data, trades, life)

    truth, stored = naive(trades), life.trades()
    spans = doubtful(trades, stored)
    table = {(one.timeframe, one.open_ns): one for one in life.candles()}
    for candle in life.candles():
        if candle.first_id is None:
            assert (candle.timeframe, candle.open_ns) not in truth
            assert candle.state in ("complete", "repaired")
    if not spans:
        for name, width in TIMEFRAMES.items():
            begin = trades[0].exchange_ns // width * width
            end = trades[-1].exchange_ns // width * width
            for open_ns in range(begin, end, width):
                assert (name, open_ns) in table
                close = table[name, open_ns].close
                if (name, open_ns) not in truth:
                    assert table[name, open_ns].volume == 0
                    assert close == table[name, open_ns - width].close
