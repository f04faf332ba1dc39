"""What came over two connections is taken once; what differs is never lost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.model import Candle, MarketDataPoint, Subscription, Ticker
from tapeline.runtime.repeats import Repeats

STREAM = Subscription("okx", "spot", "BTC-USDT", "ticker", "tickers")
BARS = Subscription("okx", "spot", "BTC-USDT", "candle", "candle1m", timeframe="1m")


def ticker(number: int, exchange_ns: int, received_ns: int) -> Ticker:
    rest = [None] * 10
    return Ticker(STREAM, Decimal(number), *rest, exchange_ns, received_ns)  # type: ignore[call-arg,arg-type]


def bar(open_ns: int, volume: int, received_ns: int = 0) -> Candle:
    one = Decimal(1)
    return Candle(
        BARS, "1m", open_ns, one, one, one, one, Decimal(volume), None, None,
        None, None, None, "partial", 0, "venue", received_ns,
    )  # fmt: skip


def test_each_event_of_two_connections_is_new_once() -> None:
    repeats = Repeats()
    taken = [
        (number, connection)
        for number in range(100)
        for connection in (1, 2)
        if not repeats.is_repeat(
            ticker(number, number, number + connection), connection
        )
    ]
    assert taken == [(number, 1) for number in range(100)]


def test_a_connection_that_lags_repeats_what_was_taken_before() -> None:
    repeats = Repeats()
    for number in range(50):
        assert not repeats.is_repeat(ticker(number, number, number), 1)
    late = [repeats.is_repeat(ticker(n, n, n + 900), 2) for n in range(30, 50)]
    assert late == [True] * 20
    assert not repeats.is_repeat(ticker(50, 50, 950), 2)
    assert repeats.is_repeat(ticker(50, 50, 951), 1)


@pytest.mark.parametrize("lag", [1, 255, 256, 300, 2_000])
def test_a_connection_that_falls_far_behind_brings_nothing_new_without_dates(
    lag: int,
) -> None:
    """Ten thousand quotes, as of a channel without times; one of two is held up."""
    repeats = Repeats()
    taken: list[int] = []
    for step in range(10_000):
        for connection, number in ((1, step), (2, step - lag if step > 99 else step)):
            if connection == 2 and 99 < step <= 99 + lag:
                continue
            undated = ticker(number, step, step)
            if number >= 0 and not repeats.is_repeat(undated, connection):
                taken.append(number)
    assert taken == list(range(10_000))


def test_what_is_left_of_two_connections_is_taken_though_it_was_behind() -> None:
    """It may have lost what it did not bring."""
    repeats = Repeats()
    assert not repeats.is_repeat(ticker(0, 0, 0), 1)
    assert repeats.is_repeat(ticker(0, 0, 0), 2)
    for number in range(1, 1_001):
        assert not repeats.is_repeat(ticker(number, number, number), 1)
    assert repeats.is_repeat(ticker(1_001, 1, 1), 2)
    repeats.forget(1)
    assert not repeats.is_repeat(ticker(1_002, 2, 2), 2)


def test_several_events_of_one_moment_are_told_apart() -> None:
    repeats = Repeats()
    moment = [ticker(number, 7, 100) for number in range(3)]
    assert [repeats.is_repeat(one, 1) for one in moment] == [False] * 3
    assert [repeats.is_repeat(one, 2) for one in moment] == [True] * 3


def test_the_same_content_again_over_one_connection_is_news() -> None:
    """A price may come back: only another connection can repeat."""
    repeats = Repeats()
    back_and_forth = [ticker(number % 2, 0, 0) for number in range(10)]
    assert not any(repeats.is_repeat(one, 1) for one in back_and_forth)
    assert all(repeats.is_repeat(one, 2) for one in back_and_forth)


def test_events_without_the_venue_s_time_are_told_by_their_order() -> None:
    repeats = Repeats()
    for number in (1, 2, 1, 3):
        assert not repeats.is_repeat(ticker(number, 10 * number, 10 * number), 1)
    for number in (1, 2, 1, 3):
        at_ns = 1_000 + number
        assert repeats.is_repeat(ticker(number, at_ns, at_ns), 2)
    assert not repeats.is_repeat(ticker(2, 2_000, 2_000), 2)


def test_what_is_older_than_the_newest_is_not_given_out() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(ticker(1, 100, 101), 1)
    assert not repeats.is_repeat(ticker(3, 300, 301), 1)
    assert repeats.is_repeat(ticker(2, 200, 302), 2)


def test_a_bar_never_shrinks_and_the_last_of_an_older_one_is_kept() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(bar(0, 5), 1)
    assert not repeats.is_repeat(bar(60, 1), 1)
    assert repeats.is_repeat(bar(0, 4), 2)
    assert not repeats.is_repeat(bar(0, 6), 2)
    assert not repeats.is_repeat(bar(60, 2), 2)


def test_points_of_a_plugin_s_own_are_never_taken_for_repeats() -> None:
    """Nothing is known of what makes them equal."""
    repeats = Repeats()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    points = [MarketDataPoint("okx", "A", at, "acme.funding", {}) for _ in range(4)]
    taken = [
        repeats.is_repeat(one, 1 + number % 2) for number, one in enumerate(points)
    ]
    assert taken == [False] * 4


def test_the_newest_event_from_before_is_known() -> None:
    newest = ticker(1, 5, 6)
    assert Repeats(newest).is_repeat(attrs.evolve(newest, received_ns=9), 2)


@given(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=400))
def test_any_interleaving_gives_the_sequence_once(turns: list[int]) -> None:
    """Each connection brings 0, 1, 2, … in its own pace, however far apart."""
    repeats = Repeats()
    places = {1: 0, 2: 0}
    taken = []
    for connection in turns:
        number = places[connection]
        places[connection] += 1
        if not repeats.is_repeat(ticker(number, 1_000 + number, 1), connection):
            taken.append(number)
    assert taken == list(range(max(places.values())))
