"""The oracle: it finds what is wrong, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import pytest

from tapeline.model import Candle, Coverage, Gap, Record, Subscription, Trade
from tapeline.testing import LedgerFill, judge

STREAM = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
T0 = 1_767_225_600 * 10**9


def fill(number: int) -> LedgerFill:
    """One fill, a second after the one before."""
    at_ns = T0 + number * 10**9
    return LedgerFill(
        "okx", "spot", "BTC-USDT", "trade", number, "100", "2", "buy", at_ns
    )


def trade(number: int, last: int | None = None) -> Trade:
    """A stored trade of the fills *number* to *last*."""
    last = number if last is None else last
    fills = last - number + 1
    return Trade(
        STREAM,
        str(last),
        number,
        last,
        fills,
        "buy",
        Decimal(100),
        Decimal(2 * fills),
        T0 + number * 10**9,
        T0,
    )


def gap(first: int, last: int, state: str = "open", cause: str = "id-hole") -> Gap:
    """A row about missing ids."""
    return Gap(STREAM, first, 0, first, last, T0, T0, cause, T0, state)


def candle(count: int) -> Candle:
    """A complete bar of the first three seconds of fills."""
    one = Decimal(100)
    return Candle(
        STREAM, "5s", T0, one, one, one, one, one, None, None, count, 1, 4,
        "complete", 0, "trades", T0,
    )  # fmt: skip


LEDGER = [fill(number) for number in range(1, 7)]
COVERED = Coverage(STREAM, T0, T0 + 10**10, 1, 6)


def test_all_stored_or_in_a_gap_is_no_problem() -> None:
    records: list[Record] = [trade(1), trade(2), gap(3, 4), trade(5), trade(6), COVERED]
    verdict = judge(LEDGER, [*records, candle(4)])

    assert verdict.problems == []
    assert (verdict.emitted, verdict.stored, verdict.in_gaps) == (6, 4, 2)
    assert (verdict.gaps, verdict.gaps_open, verdict.bars) == (1, 1, 1)
    assert verdict.covered_to == {("okx", "spot", "BTC-USDT"): 6}


def _without(number: int) -> Callable[[list[Record]], list[Record]]:
    return lambda records: [
        record
        for record in records
        if not (isinstance(record, Trade) and record.first_id == number)
    ]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (_without(3), "3 is lost"),
        (lambda records: [*records, trade(3)], "3 is stored twice"),
        (lambda records: [*records, trade(9)], "9 was never issued"),
        (lambda records: [*records, gap(2, 2)], "2 is stored and in a gap"),
        (
            lambda records: [*_without(3)(records), gap(3, 3, "closed")],
            "3 is lost",
        ),
        (
            lambda records: [
                *_without(3)(records),
                gap(3, 3, "closed", "never-issued"),
            ],
            "3 was issued, gap 3 says it never was",
        ),
        (lambda records: [*records, gap(20, 21, cause="bad luck")], "'bad luck'"),
        (
            lambda records: [
                attrs.evolve(record, price=Decimal(1))
                if isinstance(record, Trade)
                else record
                for record in records
            ],
            "differs from its fills",
        ),
        (
            lambda records: [
                attrs.evolve(record, last_id=4)
                if isinstance(record, Coverage)
                else record
                for record in records
            ],
            "outside coverage",
        ),
        (lambda records: [*records, candle(3)], "complete with 3 fills of 4"),
    ],
)
def test_each_broken_promise_is_found(
    spoil: Callable[[list[Record]], list[Record]], found: str
) -> None:
    records: list[Record] = [trade(number) for number in range(1, 7)]
    whole = judge(LEDGER, [*records, COVERED])
    spoiled = judge(LEDGER, spoil([*records, COVERED]))

    assert whole.problems == []
    assert any(found in problem for problem in spoiled.problems), spoiled.problems


def test_aggregates_are_counted_by_their_own_ids() -> None:
    stream = attrs.evolve(STREAM, channel="aggTrade", id_kind="aggregate")
    ledger: list[Any] = []
    for number in range(1, 7):
        one = fill(1 + (number - 1) // 2)
        ledger.append(
            LedgerFill(
                *(one.exchange, one.market, one.symbol, one.data_type, number),
                *(one.price, one.size, one.side, one.exchange_ns),
                aggregate_id=(number + 1) // 2,
            )
        )
    stored = [
        attrs.evolve(trade(number), stream=stream, fills=2, size=Decimal(4))
        for number in (1, 3)
    ]
    covered = attrs.evolve(COVERED, stream=stream, last_id=3)

    verdict = judge(ledger, [*stored, covered])

    assert verdict.aggregates
    assert verdict.problems == ["okx:spot:BTC-USDT: 2 is lost"]
