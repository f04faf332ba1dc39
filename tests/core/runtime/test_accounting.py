"""The promise is checked exactly: each kind of fault is seen and named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.errors import UsageError
from tapeline.runtime import StreamAccount, audit

SECOND = 10**9


@attrs.define
class Database:
    """A ``DatabaseReader`` over rows in memory."""

    trade_rows: list[dict[str, Any]] = attrs.field(factory=list)
    gap_rows: list[dict[str, Any]] = attrs.field(factory=list)
    coverage_rows: list[dict[str, Any]] = attrs.field(factory=list)

    def trades(self) -> Sequence[Mapping[str, Any]]:
        return self.trade_rows

    def gaps(self) -> Sequence[Mapping[str, Any]]:
        return self.gap_rows

    def coverage(self) -> Sequence[Mapping[str, Any]]:
        return self.coverage_rows

    def candles(self) -> Sequence[Mapping[str, Any]]:
        return []

    def cursors(self) -> Sequence[Mapping[str, Any]]:
        return []

    def counts(self) -> Mapping[str, int]:
        return {"trades": len(self.trade_rows)}

    def close(self) -> None:
        """Nothing to release."""

    def trade(self, first: int, last: int, **other: Any) -> None:
        """Store the fills *first* to *last* as one trade."""
        self.trade_rows.append(
            {
                **STREAM,
                "id_kind": "fill",
                "first_id": first,
                "last_id": last,
                "trade_id": str(last),
                "fills": last - first + 1,
                "side": "buy",
                "price": Decimal(10),
                "size": Decimal(last - first + 1),
                "exchange_ns": last * SECOND,
                **other,
            }
        )

    def gap(self, first: int, last: int, **other: Any) -> None:
        """Record *first* to *last* as missing."""
        self.gap_rows.append(
            {
                **STREAM,
                "from_id": first,
                "to_id": last,
                "from_ns": (first - 1) * SECOND,
                "to_ns": (last + 1) * SECOND,
                "cause": "disconnect",
                "state": "open",
                **other,
            }
        )

    def cover(self, first: int, last: int) -> None:
        """Follow the stream from *first* to *last*."""
        self.coverage_rows.append({**STREAM, "first_id": first, "last_id": last})


STREAM = {"exchange": "x", "market": "spot", "symbol": "A-B", "data_type": "trade"}


def write_ledger(path: Path, ids: Sequence[int], **other: Any) -> Path:
    """A ledger with the fills *ids*, one of size 1 at 10 each second."""
    lines = [
        json.dumps(
            {
                **STREAM,
                "id": number,
                "price": "10",
                "size": "1",
                "side": "buy",
                "exchange_ns": number * SECOND,
                **other,
            }
        )
        for number in ids
    ]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def account(database: Database, *ledgers: Path) -> StreamAccount:
    """The account of the only stream."""
    (found,) = audit(database, ledgers).streams
    return found


def test_stored_and_recorded_add_up_to_what_is_covered() -> None:
    database = Database()
    database.cover(1, 10)
    database.trade(1, 4)
    database.gap(5, 7)
    database.trade(8, 10)

    found = account(database)

    assert found.ok
    assert (found.covered, found.stored, found.in_gaps) == (10, 7, 3)


def test_an_id_that_is_neither_stored_nor_recorded_is_found() -> None:
    database = Database()
    database.cover(1, 10)
    database.trade(1, 4)
    database.gap(6, 7)
    database.trade(8, 10)

    found = account(database)

    assert not found.ok
    assert found.unaccounted == 1
    assert "ids 5..7: 1 neither" in found.examples[0]


def test_ids_outside_coverage_are_nobodys_promise(tmp_path: Path) -> None:
    database = Database()
    database.cover(3, 4)
    database.trade(3, 4)

    found = account(database, write_ledger(tmp_path / "l", range(1, 10)))

    assert found.ok
    assert (found.emitted, found.fills_stored) == (2, 2)


def test_a_fill_that_is_stored_twice_is_found() -> None:
    database = Database()
    database.cover(1, 5)
    database.trade(1, 3)
    database.trade(3, 5)

    assert account(database).stored_twice == 1


def test_a_closed_gap_excuses_nothing_and_never_issued_ids_do(tmp_path: Path) -> None:
    database = Database()
    database.cover(1, 10)
    database.trade(1, 4)
    database.gap(5, 6, state="closed")
    database.gap(7, 8, state="closed", cause="never-issued")
    database.trade(9, 10)

    assert account(database).unaccounted == 2


def test_a_fill_claimed_never_issued_that_was_made_is_lost(tmp_path: Path) -> None:
    database = Database()
    database.cover(1, 5)
    database.trade(1, 2)
    database.gap(3, 3, state="closed", cause="never-issued")
    database.trade(4, 5)
    made = write_ledger(tmp_path / "l", [1, 2, 3, 4, 5])

    assert account(database, made).lost == 1


def test_a_trade_that_the_venue_never_made_is_found(tmp_path: Path) -> None:
    database = Database()
    database.cover(1, 5)
    database.trade(1, 5)

    found = account(database, write_ledger(tmp_path / "l", [1, 2, 3, 4]))

    assert found.invented == 1


@pytest.mark.parametrize(
    "change", [{"price": Decimal(11)}, {"size": Decimal("4.5")}, {"side": "sell"}]
)
def test_a_trade_that_differs_from_its_fills_is_found(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    database = Database()
    database.cover(1, 5)
    database.trade(1, 5, **change)

    found = account(database, write_ledger(tmp_path / "l", range(1, 6)))

    assert found.altered == 1
    assert not found.ok


def test_an_exchange_without_a_ledger_is_not_judged_by_another_ones(
    tmp_path: Path,
) -> None:
    database = Database()
    database.cover(1, 5)
    database.trade(1, 5)
    other = write_ledger(tmp_path / "l", range(1, 6), exchange="y")

    found = account(database, other)

    assert found.ok
    assert found.emitted is None


def test_a_line_cut_by_a_kill_is_skipped_and_garbage_is_not(tmp_path: Path) -> None:
    database = Database()
    database.cover(1, 2)
    database.trade(1, 2)
    cut = write_ledger(tmp_path / "cut", [1, 2, 3])
    cut.write_text(cut.read_text()[:-20])
    bad = tmp_path / "bad"
    bad.write_text("garbage\n")

    assert account(database, cut).ok
    with pytest.raises(UsageError, match="line 1"):
        audit(database, [bad])
    with pytest.raises(UsageError, match="missing"):
        audit(database, [tmp_path / "missing"])


def aggregates(count: int, per: int = 2) -> Database:
    """*count* aggregates of *per* fills of one second each."""
    database = Database()
    database.cover(1, count)
    for number in range(1, count + 1):
        database.trade(
            number,
            number,
            id_kind="aggregate",
            fills=per,
            size=Decimal(per),
            exchange_ns=number * SECOND,
        )
    return database


def fills(path: Path, count: int, per: int = 2) -> Path:
    """The ledger of ``aggregates``; its ids count fills."""
    lines = [
        json.dumps(
            {
                **STREAM,
                "id": 1000 + number,
                "price": "10",
                "size": "1",
                "side": "buy",
                "exchange_ns": (number // per + 1) * SECOND,
            }
        )
        for number in range(count * per)
    ]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_aggregates_are_matched_to_fills_by_moment(tmp_path: Path) -> None:
    found = account(aggregates(10), fills(tmp_path / "l", 10))

    assert found.ok
    # The first and the last moment may be shared with what is outside coverage.
    assert (found.emitted, found.fills_stored) == (16, 16)


def test_an_aggregate_that_is_missing_without_a_gap_is_lost(tmp_path: Path) -> None:
    database = aggregates(10)
    del database.trade_rows[4]
    ledger = fills(tmp_path / "l", 10)

    assert account(database, ledger).lost == 2

    database.gap(5, 5)
    found = account(database, ledger)
    assert found.ok
    assert found.fills_in_gaps == 2


def test_an_aggregate_of_another_size_is_found(tmp_path: Path) -> None:
    database = aggregates(10)
    database.trade_rows[4]["size"] = Decimal("1.5")

    assert account(database, fills(tmp_path / "l", 10)).altered == 1


@given(
    kept=st.sets(st.integers(1, 40)),
    recorded=st.sets(st.integers(1, 40)),
    twice=st.sets(st.integers(1, 40), max_size=3),
)
def test_it_agrees_with_plain_sets(
    kept: set[int], recorded: set[int], twice: set[int]
) -> None:
    database = Database()
    database.cover(1, 40)
    for number in kept:
        database.trade(number, number)
    for number in twice & kept:
        database.trade(number, number)
    for number in recorded:
        database.gap(number, number)

    found = account(database)

    everything = set(range(1, 41))
    assert found.stored == len(kept)
    assert found.in_gaps == len(recorded - kept)
    assert found.unaccounted == len(everything - kept - recorded)
    assert found.stored_twice == len(twice & kept)


def test_what_lies_between_two_coverages_is_shown_and_is_no_failure() -> None:
    database = Database()
    database.cover(1, 10)
    database.trade(1, 12)
    database.gap(16, 17)
    database.cover(21, 30)
    database.trade(21, 30)

    found = account(database)

    assert found.ok
    assert (found.first_id, found.last_id) == (1, 30)
    # 11 and 12 came before the coverage was closed.
    assert found.outside == 2
    # 13..20 without 16 and 17, which are recorded.
    assert found.uncovered == 6


def test_trades_of_the_ledger_are_counted_as_matched(tmp_path: Path) -> None:
    database = Database()
    database.cover(1, 4)
    for number in range(1, 5):
        database.trade(number, number)
    same = write_ledger(tmp_path / "same", range(1, 5))
    other = write_ledger(tmp_path / "other", range(100, 105))

    assert account(database, same).matched == 4
    assert account(database, other).matched == 0
    assert account(database).matched is None
