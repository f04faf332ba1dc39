"""The seeded market."""

from __future__ import annotations

import pickle
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.errors import UsageError
from tapeline.testing import Fill, Market, spot
from tapeline.testing.book import ASK, BID
from tapeline.testing.numbers import scale_of, scaled_text

START_NS = 1_700_000_000 * 10**9
SECOND = 10**9


def _fills(market: Market, grid_ns: list[int]) -> list[Fill]:
    return [
        fill
        for at_ns in grid_ns
        for execution in market.advance(START_NS + at_ns)
        for fill in execution.fills
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 5 * SECOND), max_size=60),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.3]),
)
def test_the_fills_do_not_depend_on_how_often_time_is_advanced(
    moments: list[int], seed: int, holes: float
) -> None:
    once = Market(seed, rate_hz=20, start_ns=START_NS, hole_probability=holes)
    often = Market(seed, rate_hz=20, start_ns=START_NS, hole_probability=holes)

    expected = _fills(once, [5 * SECOND])
    actual = _fills(often, [*sorted(moments), 5 * SECOND])

    assert expected
    assert expected == actual


def test_another_seed_is_another_market() -> None:
    one = _fills(Market(1, rate_hz=20, start_ns=START_NS), [5 * SECOND])
    two = _fills(Market(2, rate_hz=20, start_ns=START_NS), [5 * SECOND])

    assert one != two


def test_an_instrument_trades_the_same_whatever_else_is_traded() -> None:
    pair = spot("AAA-BBB", "0.01", "0.001", "100")
    other = spot("CCC-BBB", "0.01", "0.001", "5")
    alone = Market(1, [pair], 20, START_NS)
    together = Market(1, [other, pair], 20, START_NS)
    alone.advance(START_NS + 5 * SECOND)
    together.advance(START_NS + 5 * SECOND)

    expected = alone.feed("spot", "AAA-BBB").fills
    assert expected == together.feed("spot", "AAA-BBB").fills


def test_a_seed_means_the_same_in_another_process() -> None:
    """Text hashes differ between processes; the market must not."""
    code = (
        "import pickle, sys\n"
        "from tapeline.testing import Market\n"
        f"m = Market(5, rate_hz=9, start_ns={START_NS})\n"
        f"m.advance({START_NS + 2 * SECOND})\n"
        "f = [(x.id, x.price) for feed in m.feeds.values() for x in feed.fills]\n"
        "sys.stdout.buffer.write(pickle.dumps(f))\n"
    )
    there = pickle.loads(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True
        ).stdout
    )
    market = Market(5, rate_hz=9, start_ns=START_NS)
    market.advance(START_NS + 2 * SECOND)
    here = [(f.id, f.price) for feed in market.feeds.values() for f in feed.fills]

    assert here == there


def test_ids_are_contiguous_without_holes_and_executions_never_span_one() -> None:
    market = Market(3, rate_hz=50, start_ns=START_NS, hole_probability=0.2)
    executions = market.advance(START_NS + 20 * SECOND)
    whole = Market(3, rate_hz=50, start_ns=START_NS)
    whole.advance(START_NS + 20 * SECOND)

    for execution in executions:
        ids = [fill.id for fill in execution.fills]
        assert ids == list(range(execution.first_id, execution.last_id + 1))
    for feed in market.feeds.values():
        ids = [fill.id for fill in feed.fills]
        missing = ids[-1] - ids[0] + 1 - len(ids)
        assert ids == sorted(set(ids))
        # A hole before the very first fill cannot be seen from its neighbors.
        assert 0 < missing <= feed.holes <= missing + 3
        assert [e.aggregate_id for e in feed.executions] == list(
            range(1, feed.aggregates + 1)
        )
    for feed in whole.feeds.values():
        ids = [fill.id for fill in feed.fills]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert feed.holes == 0


def test_fills_come_in_time_order_at_about_the_rate_asked_for() -> None:
    market = Market(4, rate_hz=50, start_ns=START_NS)
    executions = market.advance(START_NS + 100 * SECOND)

    times = [execution.exchange_ns for execution in executions]
    assert times == sorted(times)
    assert all(time % 1_000_000 == 0 for time in times)
    for feed in market.feeds.values():
        assert 4_000 < len(feed.fills) < 6_000


def test_sizes_add_up_and_taker_orders_sweep_in_one_direction() -> None:
    market = Market(4, rate_hz=50, start_ns=START_NS)
    orders: dict[tuple[object, int], list[object]] = {}
    for execution in market.advance(START_NS + 20 * SECOND):
        total = sum(Decimal(fill.size) for fill in execution.fills)
        assert total == Decimal(execution.size)
        assert all(Decimal(fill.size) > 0 for fill in execution.fills)
        key = (execution.feed.instrument.key, execution.order)
        orders.setdefault(key, []).append(execution)
    lengths = {len(found) for found in orders.values()}
    assert lengths == {1, 2, 3}
    for found in orders.values():
        for one, two in pairwise(found):
            up = Decimal(two.price) > Decimal(one.price)  # type: ignore[attr-defined]
            assert up == (one.side == "buy")  # type: ignore[attr-defined]


def test_the_book_is_never_crossed_and_keeps_its_depth() -> None:
    market = Market(6, rate_hz=100, start_ns=START_NS, depth=30)
    for step in range(400):
        market.advance(START_NS + step * SECOND // 10)
        for feed in market.feeds.values():
            asks = list(feed.book.top(ASK, 30))
            bids = list(feed.book.top(BID, 30))
            assert bids[0][0] < asks[0][0]
            assert len(asks) == len(bids) == len(feed.book.asks) == 30
            assert all(lots > 0 and orders > 0 for _, lots, orders in asks + bids)


def test_changes_of_a_book_rebuild_it() -> None:
    market = Market(6, rate_hz=100, start_ns=START_NS, depth=30)
    book = market.feed("spot", "BTC-USDT").book
    book.tracking = True
    asks, bids = dict(book.asks), dict(book.bids)
    for step in range(1, 200):
        market.advance(START_NS + step * SECOND // 10)
        for mine, changed in zip((asks, bids), book.take_changes(), strict=True):
            mine.update(changed)
            for tick in [tick for tick, level in mine.items() if not level[0]]:
                del mine[tick]
        assert asks == book.asks
        assert bids == book.bids


def test_bars_agree_with_the_fills() -> None:
    market = Market(7, rate_hz=30, start_ns=START_NS)
    market.advance(START_NS + 130 * SECOND)
    feed = market.feed("swap", "ETH-USDT")
    for width in (SECOND, 5 * SECOND, 60 * SECOND):
        open_ns = (START_NS + 60 * SECOND) // width * width
        inside = [f for f in feed.fills if open_ns <= f.exchange_ns < open_ns + width]
        bar = feed.bars.bar(open_ns, width)
        prices = [Decimal(fill.price) for fill in inside]
        assert bar.fills == len(inside) > 0
        assert Decimal(feed.price_text(bar.open)) == prices[0]
        assert Decimal(feed.price_text(bar.close)) == prices[-1]
        assert Decimal(feed.price_text(bar.high)) == max(prices)
        assert Decimal(feed.price_text(bar.low)) == min(prices)
        assert Decimal(feed.size_text(bar.lots)) == sum(Decimal(f.size) for f in inside)
        assert (bar.first_id, bar.last_id) == (inside[0].id, inside[-1].id)


def test_a_bar_without_fills_repeats_the_last_price() -> None:
    market = Market(7, rate_hz=30, start_ns=START_NS)
    market.halt("spot", "BTC-USDT", START_NS + 5 * SECOND)
    market.advance(START_NS + 100 * SECOND)
    feed = market.feed("spot", "BTC-USDT")

    bar = feed.bars.bar(START_NS + 50 * SECOND, SECOND)

    assert (bar.open, bar.close, bar.lots, bar.fills) == (
        feed.last_tick,
        feed.last_tick,
        0,
        0,
    )


def test_the_day_forgets_what_is_older_than_a_day() -> None:
    pair = spot("AAA-BBB", "0.01", "0.001", "100")
    market = Market(7, [pair], 0.01, START_NS)
    market.advance(START_NS + 3 * 86_400 * SECOND)
    feed = market.feed("spot", "AAA-BBB")
    # Kept per minute of the newest fill, so the window's edge is a minute wide.
    edge = feed.last_ns - feed.last_ns % (60 * SECOND) - 86_400 * SECOND
    young = [f for f in feed.fills if f.exchange_ns >= edge + 60 * SECOND]

    assert feed.day.fills == len(young)
    assert Decimal(feed.size_text(feed.day.lots)) == sum(Decimal(f.size) for f in young)


def test_a_halted_instrument_trades_no_more_and_others_go_on() -> None:
    market = Market(7, rate_hz=30, start_ns=START_NS)
    market.advance(START_NS + SECOND)
    market.halt("spot", "BTC-USDT", START_NS + 2 * SECOND)
    market.advance(START_NS + 10 * SECOND)

    assert market.feed("spot", "BTC-USDT").last_ns < START_NS + 2 * SECOND
    assert market.feed("spot", "ETH-USDT").last_ns > START_NS + 8 * SECOND


def test_history_is_bounded() -> None:
    market = Market(7, rate_hz=100, start_ns=START_NS, max_fills=200)
    market.advance(START_NS + 30 * SECOND)

    for feed in market.feeds.values():
        assert len(feed.fills) <= 400
        assert len(feed.executions) <= 400


def test_a_market_without_a_rate_never_trades() -> None:
    market = Market(1, rate_hz=0, start_ns=START_NS)

    assert market.next_ns() is None
    assert market.advance(START_NS + 10**15) == []


@pytest.mark.parametrize(
    "settings", [{"rate_hz": -1}, {"depth": 5}, {"hole_probability": 2}]
)
def test_settings_out_of_range_are_refused_in_a_sentence(
    settings: dict[str, float],
) -> None:
    with pytest.raises(UsageError, match="expected a"):
        Market(1, **settings)  # type: ignore[arg-type]


def test_two_instruments_of_one_name_are_refused() -> None:
    pair = spot("AAA-BBB", "0.01", "0.001", "100")
    with pytest.raises(UsageError, match="AAA-BBB"):
        Market(1, [pair, pair])


@given(st.integers(-(10**20), 10**20), st.integers(0, 12))
def test_scaled_texts_are_exact_and_plain(value: int, decimals: int) -> None:
    text = scaled_text(value, decimals)

    assert Decimal(text) == Decimal(value).scaleb(-decimals)
    assert "E" not in text
    assert not ("." in text and text.endswith("0"))


@pytest.mark.parametrize(
    ("step", "expected"),
    [("0.1", (1, 1)), ("0.05", (5, 2)), ("10", (10, 0)), ("1E+1", (10, 0))],
)
def test_a_step_is_split_into_units_and_decimals(
    step: str, expected: tuple[int, int]
) -> None:
    assert expected == scale_of(Decimal(step))


def test_contracts_can_be_printed_in_base_units_and_nothing_else_changes() -> None:
    contracts, base = Market(1), Market(1)
    for feed in base.feeds.values():
        feed.use_base_units()
    one = contracts.advance(contracts.start_ns + 20 * SECOND)
    two = base.advance(base.start_ns + 20 * SECOND)

    assert len(one) == len(two) > 100
    for before, after in zip(one, two, strict=True):
        assert (before.price, before.last_id) == (after.price, after.last_id)
        size = before.feed.instrument.contract_size or 1
        assert Decimal(after.size) == Decimal(before.size) * size
    swap = base.feed("swap", "BTC-USDT").instrument
    assert (swap.lot_size, swap.contract_size) == (Decimal("0.0001"), None)


def test_base_units_are_refused_once_contracts_have_traded() -> None:
    market = Market(1)
    market.advance(market.start_ns + 20 * SECOND)

    market.feed("spot", "BTC-USDT").use_base_units()
    with pytest.raises(UsageError, match="fresh market"):
        market.feed("swap", "BTC-USDT").use_base_units()
