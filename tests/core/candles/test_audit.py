"""Verdicts on bars: exact, given anew with each revision, and with a cause."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest

from tapeline.candles import BarAudit, BarName, Comparison, Figures
from tapeline.model import (
    COMPLETE,
    FROM_TRADES,
    FROM_VENUE,
    GAP,
    PARTIAL,
    REPAIRED,
    Candle,
    Subscription,
)

MINUTE = 60 * 10**9
NAME = BarName("okx", "spot", "BTC-USDT", "1m")


def bar(minute: int = 0, *, source: str = FROM_TRADES, **changes: Any) -> Candle:
    one = Decimal(1)
    made = Candle(
        Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill"),
        "1m",
        minute * MINUTE,
        open=one * 100,
        high=one * 110,
        low=one * 90,
        close=one * 105,
        volume=one * 3,
        quote_volume=one * 310,
        taker_buy_volume=one,
        trades_count=7,
        first_id=1,
        last_id=7,
        state=COMPLETE,
        revision=0,
        source=source,
        received_ns=0,
    )
    return attrs.evolve(made, **changes)


def venue(minute: int = 0, **changes: Any) -> Candle:
    return bar(minute, source=FROM_VENUE, **changes)


def test_equal_bars_match_in_whatever_order_they_come() -> None:
    audit = BarAudit(NAME)

    assert audit.own(bar(0)) is None
    assert audit.venue(venue(0)) is None
    assert audit.venue(venue(1)) is None
    assert audit.own(bar(1)) is None

    assert (audit.result.compared, audit.result.matched) == (2, 2)
    assert audit.result.match_rate == 1.0
    assert audit.waiting == 0


def test_zeros_at_the_end_are_no_difference() -> None:
    audit = BarAudit(NAME)
    audit.own(bar(0, volume=Decimal("3.0000")))
    audit.venue(venue(0, volume=Decimal("3")))

    assert audit.result.match_rate == 1.0


@pytest.mark.parametrize(
    "figure",
    [
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "taker_buy_volume",
        "trades_count",
    ],
)
def test_every_figure_counts_and_is_named(figure: str) -> None:
    audit = BarAudit(NAME)
    audit.own(bar(0))

    told = audit.venue(venue(0, **{figure: Decimal("98.00001")}))

    assert told is not None
    assert told.startswith("okx:spot:BTC-USDT:1m at ")
    assert f"{figure} " in told
    assert "instead of 98.00001 (unexplained)" in told
    assert audit.result.mismatched == 1
    assert audit.result.examples == [told]


def test_what_the_venue_does_not_tell_is_not_compared() -> None:
    audit = BarAudit(NAME)
    audit.own(bar(0))
    audit.venue(venue(0, trades_count=None, taker_buy_volume=None, quote_volume=None))

    assert audit.result.match_rate == 1.0


@pytest.mark.parametrize("state", [GAP, PARTIAL])
def test_bars_that_are_not_whole_are_not_judged_until_they_are(state: str) -> None:
    audit = BarAudit(NAME)
    audit.own(bar(0, state=state, volume=Decimal(1)))
    audit.venue(venue(0))
    before = audit.result.as_dict()
    audit.own(bar(0, state=REPAIRED, revision=1))

    assert before["not_judged"] == {state: 1}
    assert before["match_rate"] is None
    assert audit.result.not_judged == {}
    assert (audit.result.compared, audit.result.matched) == (1, 1)


def test_a_forming_bar_of_the_venue_is_not_judged() -> None:
    audit = BarAudit(NAME)
    audit.own(bar(0))
    audit.venue(venue(0, state=PARTIAL, volume=Decimal(1)))

    assert audit.result.compared == 0
    assert audit.waiting == 1


def test_a_mismatch_that_a_late_trade_heals_is_counted_as_healed() -> None:
    audit = BarAudit(NAME)
    audit.own(bar(0, volume=Decimal(2)))
    audit.venue(venue(0))
    audit.own(bar(0, revision=1))

    assert (audit.result.compared, audit.result.matched) == (1, 1)
    assert audit.result.causes == {}
    assert audit.result.healed == {"late-trade": 1}


def test_causes_are_the_venues_revision_a_gap_or_a_late_trade() -> None:
    audit = BarAudit(NAME)
    audit.venue(venue(0, volume=Decimal(4)))
    audit.venue(venue(0, volume=Decimal(5)))
    audit.own(bar(0))
    audit.venue(venue(1))
    audit.own(bar(1, state=REPAIRED, volume=Decimal(2)))
    audit.own(bar(2))
    audit.venue(venue(2))
    audit.own(bar(2, revision=1, volume=Decimal(2)))

    assert audit.result.causes == {"venue-revision": 1, "gap": 1, "late-trade": 1}
    assert audit.result.compared == 3


def test_missed_closes_are_named_once_they_are_due() -> None:
    audit = BarAudit(NAME)
    for minute in range(4):
        audit.own(bar(minute, state=GAP if minute == 1 else COMPLETE))
    audit.venue(venue(2))

    assert audit.missing(2 * MINUTE) == [0]
    assert audit.missing(3 * MINUTE) == [0, 3 * MINUTE]


def test_old_bars_are_let_go_and_what_they_lacked_is_counted() -> None:
    audit = BarAudit(NAME)
    audit.own(bar(5))
    audit.venue(venue(0))
    for minute in range(6, 400):
        if minute != 7:
            audit.own(bar(minute))
        if minute != 8:
            audit.venue(venue(minute))

    assert audit.result.venue_missing == 2
    assert audit.result.own_missing == 1
    assert audit.result.compared == 392
    assert len(audit._pairs) <= 240
    assert audit.own(bar(6, revision=1)) is None
    assert audit.result.compared == 392


def test_quote_volumes_of_contracts_differ_by_one_constant() -> None:
    swap = Comparison(BarName("okx", "swap", "BTC-USDT", "1m"))
    own = Figures.of(bar(0))
    money = attrs.evolve(own, quote_volume=Decimal("3.10"))

    swap.learn(own, money)
    assert swap.differing(own, money) == []
    wrong = attrs.evolve(own, quote_volume=Decimal("3.11"))
    assert swap.differing(own, wrong) == ["quote_volume"]
    inverse = Comparison(BarName("okx", "swap", "BTC-USD", "1m"))
    assert inverse.differing(own, money) == []
    assert inverse.differing(own, wrong) == []


SWAP = BarName("okx", "swap", "BTC-USDT", "1m")


def test_one_odd_bar_at_the_start_does_not_decide_what_a_contract_is() -> None:
    """The venue's first bar is wrong in its quote volume alone."""
    audit = BarAudit(SWAP)
    for minute in range(5):
        audit.own(bar(minute))
        told = Decimal("7.77") if minute == 0 else Decimal("3.10")
        audit.venue(venue(minute, quote_volume=told))

    result = audit.result
    assert (result.compared, result.matched) == (5, 4)
    assert result.causes == {"unexplained": 1}
    assert result.healed == {}
    assert result.examples[-1].startswith(f"{SWAP} at 1970-01-01 00:00")


@pytest.mark.parametrize("figure", ["volume", "close", "trades_count"])
def test_a_bar_that_differs_in_more_says_nothing_of_the_contract(figure: str) -> None:
    audit = BarAudit(SWAP)
    audit.own(bar(0))
    odd = {figure: Decimal(101), "quote_volume": Decimal("7.77")}
    audit.venue(venue(0, **odd))
    audit.own(bar(1))

    assert audit.venue(venue(1, quote_volume=Decimal("3.10"))) is None
    assert (audit.result.compared, audit.result.matched) == (2, 1)


def test_what_a_contract_is_is_learned_in_bounded_memory() -> None:
    swap = Comparison(SWAP)
    own = Figures.of(bar(0))
    money = attrs.evolve(own, quote_volume=Decimal("3.10"))
    for number in range(5_000):
        swap.learn(own, attrs.evolve(own, quote_volume=Decimal(number + 1000)))
        if number % 10 == 0:
            swap.learn(own, money)

    assert swap.differing(own, money) == []
    assert len(swap._scales) <= 64
