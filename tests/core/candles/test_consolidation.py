"""Bars of several venues into one, in every order and after every restart."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.candles import ConsolidationSettings, Consolidator
from tapeline.errors import JournalError
from tapeline.model import (
    COMPLETE,
    FROM_TRADES,
    GAP,
    PARTIAL,
    REPAIRED,
    Candle,
    ConsolidatedCandle,
    Instrument,
    Subscription,
    Trade,
)

SECOND = 10**9
START = 1_767_225_600 * SECOND
VENUES = ("a", "b", "c")
SETTINGS = ConsolidationSettings(
    "btc", "BTC-USDT", VENUES, timeframes=("1s",), wait_s=5.0, stale_after_s=60.0
)
RANK = (COMPLETE, REPAIRED, PARTIAL, GAP)


def stream_of(venue: str) -> Subscription:
    return Subscription(venue, "spot", "BTC-USDT", "trade", "trades", "fill")


def instrument(venue: str, **contract: Any) -> Instrument:
    return Instrument(venue, "spot", "BTC-USDT", "BTCUSDT", "BTC", "USDT", **contract)


def bar(
    venue: str,
    second: int,
    *,
    state: str = COMPLETE,
    revision: int = 0,
    price: str = "100",
    close: str | None = None,
    volume: str = "1",
    trades_count: int = 1,
) -> Candle:
    first, last, size = Decimal(price), Decimal(close or price), Decimal(volume)
    return Candle(
        stream_of(venue),
        "1s",
        START + second * SECOND,
        first,
        max(first, last),
        min(first, last),
        last,
        size,
        first * size,
        size / 2,
        trades_count,
        1,
        2,
        state,
        revision,
        FROM_TRADES,
        START + (second + 1) * SECOND,
    )


def consolidator(**changes: Any) -> Consolidator:
    made = Consolidator(attrs.evolve(SETTINGS, **changes), START)
    for venue in made.parts:
        made.bind(stream_of(venue))
        made.know(venue, instrument(venue))
    return made


def fold(made: Consolidator, bars: Sequence[Candle], now_s: float) -> list[Any]:
    for one in bars:
        made.candle(one)
    out: list[ConsolidatedCandle] = []
    made.advance(START + int(now_s * SECOND), out)
    return out


def test_a_bar_comes_at_once_when_all_venues_are_whole() -> None:
    made = consolidator()

    assert fold(made, [bar("a", 0), bar("b", 0)], 1.1) == []
    (given_out,) = fold(made, [bar("c", 0)], 1.2)

    assert (given_out.exchange, given_out.source) == ("consolidated", "consolidated")
    assert (given_out.state, given_out.revision) == (COMPLETE, 0)
    assert given_out.volume == 3
    assert fold(made, [], 2.0) == []


def test_open_and_close_are_means_by_volume_and_high_and_low_the_extremes() -> None:
    made = consolidator()
    parts = [
        bar("a", 0, price="100", close="104", volume="3"),
        bar("b", 0, price="110", close="90", volume="1"),
        bar("c", 0, price="100.5", close="100.5", volume="0"),
    ]

    (given_out,) = fold(made, parts, 1.0)

    assert given_out.open == Decimal("102.5")
    assert given_out.close == Decimal("100.5")
    assert (given_out.high, given_out.low) == (110, 90)
    assert given_out.vwap == Decimal(3 * 100 + 110) / 4
    assert dict(given_out.shares) == {
        "a": Decimal("0.75"),
        "b": Decimal("0.25"),
        "c": 0,
    }


def test_a_mean_that_has_no_end_is_rounded_to_four_more_digits() -> None:
    made = consolidator()
    parts = [
        bar("a", 0, price="100.1", volume="1"),
        bar("b", 0, price="100.2", volume="2"),
        bar("c", 0, price="100.2", volume="0"),
    ]

    (given_out,) = fold(made, parts, 1.0)

    assert str(given_out.open) == "100.16667"


def test_contracts_of_quote_units_keep_an_exact_quote_volume() -> None:
    made = consolidator()
    made.know(
        "a",
        instrument("a", contract_size=Decimal(100), contract_unit="USDT", inverse=True),
    )
    parts = [
        bar("a", 0, price="50000", volume="7"),
        bar("b", 0, price="50000", volume="0"),
        bar("c", 0, price="50000", volume="0"),
    ]

    (given_out,) = fold(made, parts, 1.0)

    assert given_out.quote_volume == 700
    assert given_out.volume == Decimal("0.014")


def test_a_venue_that_is_late_is_waited_for_and_then_said_to_be_missing() -> None:
    made = consolidator()

    assert fold(made, [bar("a", 0), bar("b", 0)], 5.9) == []
    (alone,) = fold(made, [], 6.0)
    (whole,) = fold(made, [bar("c", 0)], 7.0)

    assert (alone.state, alone.revision) == (PARTIAL, 0)
    assert alone.states == {"a": COMPLETE, "b": COMPLETE, "c": "missing"}
    assert (whole.state, whole.revision, whole.volume) == (COMPLETE, 1, 3)


def test_a_stale_venue_is_not_waited_for() -> None:
    made = consolidator(stale_after_s=2.0)
    for venue in ("a", "b"):
        made.trade(trade(venue, 10))

    (alone,) = fold(made, [bar("a", 9), bar("b", 9)], 10.5)

    assert alone.states["c"] == "missing"
    assert alone.state == PARTIAL


def test_whole_neighbors_prove_that_a_venue_did_not_trade() -> None:
    made = consolidator()
    fold(made, [bar("a", s) for s in range(3)] + [bar("b", s) for s in range(3)], 4.0)
    fold(made, [bar("c", 0)], 4.0)

    given_out = fold(made, [bar("c", 2)], 4.1)

    assert [one.open_ns for one in given_out] == [START + SECOND, START + 2 * SECOND]
    assert {one.state for one in given_out} == {COMPLETE}
    assert given_out[0].volumes["c"] == 0


def test_neighbors_with_a_hole_prove_nothing() -> None:
    made = consolidator()
    for venue in ("a", "b"):
        fold(made, [bar(venue, second) for second in range(3)], 3.0)

    given_out = fold(made, [bar("c", 0), bar("c", 2, state=GAP)], 20.0)
    repaired = fold(made, [bar("c", 2, state=REPAIRED, revision=1)], 30.0)

    assert [one.state for one in given_out] == [COMPLETE, GAP, GAP]
    assert [one.state for one in repaired] == [COMPLETE, REPAIRED]
    assert [one.revision for one in repaired] == [1, 1]


def test_a_bar_that_is_forgotten_is_never_made_anew_from_fewer_venues() -> None:
    made = consolidator(keep_s=10.0)
    for second in range(400):
        fold(made, [bar(venue, second) for venue in VENUES], second + 1.5)
    assert len(made.lines["1s"].slots) < 200

    late = bar("a", 3, state=REPAIRED, revision=1, volume="9")

    assert fold(made, [late], 500.0) == []
    assert made.lines["1s"].counters.too_late == 1


def test_an_interval_that_nobody_had_is_made_long_after() -> None:
    made = consolidator(keep_s=10.0)
    for second in range(400):
        if not 100 <= second < 103:
            fold(made, [bar(venue, second) for venue in VENUES], second + 1.5)

    (first,) = fold(made, [bar("a", 101), bar("b", 101)], 500.0)

    assert first.open_ns == START + 101 * SECOND
    assert first.state == COMPLETE


def test_what_waits_for_a_venue_is_bounded() -> None:
    made = consolidator(max_open=50, timeframes=("1s",))
    for second in range(1_000):
        fold(made, [bar("a", second), bar("b", second)], second + 30.0)

    line = made.lines["1s"]
    assert len(line.slots) <= 2 * 50 + 64
    assert line.counters.given_up > 800


def test_without_its_instrument_a_venue_is_not_converted_wrongly() -> None:
    made = Consolidator(SETTINGS, START)
    for venue in VENUES:
        made.bind(stream_of(venue))

    assert made.trade(trade("a", 1)) is None
    assert fold(made, [bar(venue, 0) for venue in VENUES], 30.0) == []
    for venue in VENUES:
        made.know(venue, instrument(venue, contract_size=Decimal("0.01")))
    (given_out,) = fold(made, [], 30.0)

    assert given_out.volume == Decimal("0.03")


def test_a_second_stream_of_a_venue_is_left_out() -> None:
    made = consolidator()
    other = Subscription("a", "spot", "BTC-USDT", "trade", "trades-all", "fill")

    assert made.bind(stream_of("a")) is True
    assert made.bind(other) is False
    assert made.wants(Subscription("d", "spot", "BTC-USDT", "trade", "t")) is False


def test_a_checkpoint_of_other_exchanges_or_of_rubbish_is_refused() -> None:
    made = consolidator()
    fold(made, [bar("a", 0)], 1.0)
    saved = made.snapshot()

    assert consolidator(exchanges=("a", "b")).restore(saved) is False
    with pytest.raises(JournalError, match="begins anew"):
        consolidator().restore(b"rubbish")


def trade(venue: str, second: float) -> Trade:
    at_ns = START + int(second * SECOND)
    price, size = Decimal("100"), Decimal("1")
    return Trade(stream_of(venue), "1", 1, 1, 1, "buy", price, size, at_ns, at_ns)


# -- against a naive reference -----------------------------------------------------


def naive(latest: Mapping[tuple[str, int], Candle], second: int) -> dict[str, Any]:
    """What a bar must be, from the newest bar of each venue."""
    mine = {v: latest[v, second] for v in VENUES if (v, second) in latest}
    states = [one.state for one in mine.values()]
    for venue in VENUES:
        if venue in mine:
            continue
        seconds = sorted(s for v, s in latest if v == venue)
        before = [s for s in seconds if s < second][-1:]
        after = [s for s in seconds if s > second][:1]
        around = [latest[venue, s].state for s in (*before, *after)]
        if GAP in around:
            states.append(GAP)
        elif len(around) < 2 or PARTIAL in around:
            states.append(PARTIAL)
        else:
            states.append(COMPLETE)
    traded = [one for one in mine.values() if one.volume] or list(mine.values())[:1]
    return {
        "high": max(one.high for one in traded),
        "low": min(one.low for one in traded),
        "volume": sum(one.volume for one in mine.values()),
        "quote_volume": sum(one.quote_volume or 0 for one in mine.values()),
        "trades_count": sum(one.trades_count or 0 for one in mine.values()),
        "state": max(states, key=RANK.index),
    }


SPAN = 6
parts = st.lists(
    st.tuples(
        st.sampled_from(VENUES),
        st.integers(0, SPAN),
        st.sampled_from(RANK),
        st.integers(1, 50),
        st.integers(0, 9),
    ),
    min_size=10,
    max_size=60,
)


@given(parts, st.integers(0, 2**32), st.booleans())
@settings(max_examples=300, deadline=None)
def test_bars_are_what_a_naive_merge_of_the_newest_parts_gives(
    told: list[tuple[str, int, str, int, int]], seed: int, kills: bool
) -> None:
    """Any parts, revised in any order, with kills at any point."""
    chance = random.Random(seed)
    made = consolidator()
    latest: dict[tuple[str, int], Candle] = {}
    stored: dict[int, Candle] = {}
    journal: list[Candle] = []
    saved, since = made.snapshot(), 0
    for number, (venue, second, state, price, volume) in enumerate(told):
        known = latest.get((venue, second))
        candle = bar(
            venue,
            second,
            state=state,
            revision=0 if known is None else known.revision + 1,
            price=str(price),
            close=str(price + volume),
            volume=str(volume),
            trades_count=volume,
        )
        latest[venue, second] = candle
        given_out = fold(made, [candle], float(number))
        plain = [one.plain() for one in given_out]
        for one in plain:
            before = stored.get(one.open_ns)
            assert one.revision == (0 if before is None else before.revision + 1)
            stored[one.open_ns] = one
        journal += [candle, *plain]
        if chance.random() < 0.2:
            saved, since = made.snapshot(), len(journal)
        if kills and chance.random() < 0.15:
            made = consolidator()
            assert made.restore(saved)
            made.refold(journal[since:])
    for one in fold(made, [], 1_000):
        stored[one.open_ns] = one.plain()

    assert {(ns - START) // SECOND for ns in stored} == {s for _, s in latest}
    for open_ns, candle in stored.items():
        wanted = naive(latest, (open_ns - START) // SECOND)
        assert {name: getattr(candle, name) for name in wanted} == wanted
        assert candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)
