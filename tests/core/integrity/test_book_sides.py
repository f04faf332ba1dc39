"""One side of a book reads each price once, and never trusts a bad one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.integrity.book_sides import BookSide

PRICES = st.sampled_from(
    [
        *("1", "1.0", "1.00", "01", "2", "2.50", "2.5", "0.1", "100000"),
        *(
            "1.00000000000000000001",
            "1.000000000000000000010",
            "0.99999999999999999999",
        ),
    ]
)
SIZES = st.sampled_from(["0", "0.0", "1", "2.5"])


@pytest.mark.parametrize("price", ["NaN", "inf", "-inf", "x", "", "1" * 20 + "x"])
@pytest.mark.parametrize("size", ["0", "1"])
def test_a_price_that_is_no_number_is_refused_every_time(price: str, size: str) -> None:
    side = BookSide(best_is_low=True)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"price|float"):
            side.update([(price, size)])
    assert len(side) == 0


@pytest.mark.parametrize("size", ["NaN", "inf", "-1", "x"])
def test_a_bad_size_is_refused_at_a_price_seen_before(size: str) -> None:
    side = BookSide(best_is_low=True)
    side.update([("1", "1")])
    with pytest.raises(ValueError, match=r"level|float"):
        side.update([("1", size)])
    assert side.top(1) == [("1", "1")]


def test_more_prices_than_are_remembered_stay_sorted() -> None:
    side = BookSide(best_is_low=True)
    prices = [f"{(n * 7919) % 10_007}.5" for n in range(10_007)]
    side.update([(price, "1") for price in prices])
    side.update([(price, "0") for price in prices[::2]])
    expected = sorted(prices[1::2], key=Decimal)
    assert [level[0] for level in side.top(10_007)] == expected
    assert side.absent_deletes == 0


@given(updates=st.lists(st.lists(st.tuples(PRICES, SIZES), max_size=5), max_size=8))
def test_texts_of_one_price_are_one_level(updates: list[list[tuple[str, str]]]) -> None:
    side = BookSide(best_is_low=False)
    naive: dict[Decimal, tuple[str, str]] = {}
    for levels in updates:
        side.update(levels)
        for level in levels:
            naive.pop(Decimal(level[0]), None)
            if Decimal(level[1]):
                naive[Decimal(level[0])] = level
    assert side.top(50) == [naive[price] for price in sorted(naive, reverse=True)]


def test_a_snapshot_replaces_every_level() -> None:
    side = BookSide(best_is_low=True)
    side.update([("1", "1"), ("2", "1"), ("3", "1")])
    side.replace([("3", "7"), ("2", "0"), ("2.5", "4")])
    assert side.top(9) == [("2.5", "4"), ("3", "7")]
    assert side.best() == 2.5
    side.replace([])
    assert (side.top(9), side.best(), len(side)) == ([], None, 0)
