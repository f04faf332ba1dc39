"""``emitted = stored ⊎ recorded gap``: the promise, checked on a database.

Everything here works on intervals of ids, so that a month of trades costs its
rows and not its fills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tapeline.hookspecs import DatabaseReader
from tapeline.integrity import IntervalSet
from tapeline.runtime.ledger_check import compare_with_ledgers

StreamName = tuple[str, str, str, str]
"""``(exchange, market, symbol, data type)``"""


@attrs.define
class StreamAccount:
    """What one stream of trades has, inside its coverage.

    Args:
        covered: ids inside coverage.
        stored: ids of stored trades that lie inside coverage.
        in_gaps: ids that are missing and recorded as such.
        unaccounted: ids inside coverage that are neither stored nor recorded.
        stored_twice: ids that two stored trades claim.
        trades, fills: stored trades, and the fills in all of them.
        fills_stored, fills_in_gaps: with a ledger: of those emitted.
        emitted: with a ledger: fills that the venue made inside coverage.
        lost: with a ledger: fills made, covered, neither stored nor recorded.
        invented: with a ledger: stored ids that the venue never made.
        altered: with a ledger: stored trades that differ from their fills.
        matched: with a ledger: stored trades that equal their fills.
        first_id, last_id: of everything stored, inside coverage or not.
        outside: stored ids outside coverage.
        uncovered: ids between *first_id* and *last_id* that nobody followed: neither
            covered nor stored nor recorded as missing. They are no failure, but
            whatever the venue made there is not known here.
    """

    name: StreamName
    covered: int = 0
    stored: int = 0
    in_gaps: int = 0
    unaccounted: int = 0
    stored_twice: int = 0
    fills: int = 0
    trades: int = 0
    fills_stored: int = 0
    fills_in_gaps: int = 0
    emitted: int | None = None
    lost: int | None = None
    invented: int | None = None
    altered: int | None = None
    matched: int | None = None
    first_id: int | None = None
    last_id: int | None = None
    outside: int = 0
    uncovered: int = 0
    examples: list[str] = attrs.field(factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing is lost, doubled, invented or altered."""
        return not (
            self.unaccounted
            or self.stored_twice
            or self.lost
            or self.invented
            or self.altered
        )

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        exchange, market, symbol, data_type = self.name
        return {
            "exchange": exchange,
            "market": market,
            "symbol": symbol,
            "data_type": data_type,
            "ok": self.ok,
            "covered": self.covered,
            "stored": self.stored,
            "in_gaps": self.in_gaps,
            "unaccounted": self.unaccounted,
            "stored_twice": self.stored_twice,
            "trades": self.trades,
            "fills": self.fills,
            "emitted": self.emitted,
            "fills_stored": self.fills_stored,
            "fills_in_gaps": self.fills_in_gaps,
            "lost": self.lost,
            "invented": self.invented,
            "altered": self.altered,
            "matched": self.matched,
            "first_id": self.first_id,
            "last_id": self.last_id,
            "outside": self.outside,
            "uncovered": self.uncovered,
            "examples": self.examples[:5],
        }


@attrs.frozen
class Accounts:
    """The accounts of a database."""

    streams: Sequence[StreamAccount]
    gaps: Mapping[str, int]
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """True when every stream is."""
        return all(stream.ok for stream in self.streams)

    def total(self, field: str) -> int:
        """Sum of *field* over all streams; unknown counts as 0."""
        return sum(getattr(stream, field) or 0 for stream in self.streams)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "streams": [stream.as_dict() for stream in self.streams],
            "gaps": dict(self.gaps),
            "tables": dict(self.counts),
        }


@attrs.define
class StreamRecords:
    """What the database says of one stream of trades, for a comparison.

    Args:
        gaps: ids in gaps that are not closed.
        gap_times: exchange times around them, nanoseconds UTC, inclusive.
        never_issued: ids that were proven never to have been given out.
        rows: of table ``trades``; only kept when there is a ledger.
    """

    account: StreamAccount
    covered: IntervalSet = attrs.field(factory=IntervalSet)
    stored: IntervalSet = attrs.field(factory=IntervalSet)
    gaps: IntervalSet = attrs.field(factory=IntervalSet)
    gap_times: list[tuple[int, int]] = attrs.field(factory=list)
    never_issued: IntervalSet = attrs.field(factory=IntervalSet)
    rows: list[Mapping[str, Any]] = attrs.field(factory=list)

    def recorded(self, first: int, last: int) -> int:
        """How many of ``first..last`` are in a gap or never were; each counts once."""
        return self.gaps.count(first, last) + sum(
            self.never_issued.count(begin, end)
            for begin, end in self.gaps.gaps(first, last)
        )


def audit(reader: DatabaseReader, ledgers: Sequence[Path] = ()) -> Accounts:
    """Account for every trade in the database, exactly with *ledgers*."""
    streams: dict[StreamName, StreamRecords] = {}
    for row in reader.coverage():
        if row["data_type"] != "trade" or row["first_id"] is None:
            continue
        _stream(streams, row, "trade").covered.add(row["first_id"], row["last_id"])
    states: dict[str, int] = {}
    for row in reader.gaps():
        states[row["state"]] = states.get(row["state"], 0) + 1
        if row["data_type"] != "trade" or row["from_id"] is None:
            continue
        stream = _stream(streams, row, "trade")
        if row["state"] != "closed":
            stream.gaps.add(row["from_id"], row["to_id"])
            if row["from_ns"] is not None and row["to_ns"] is not None:
                stream.gap_times.append((row["from_ns"], row["to_ns"]))
        elif row["cause"] == "never-issued":
            stream.never_issued.add(row["from_id"], row["to_id"])
    for row in reader.trades():
        _store(_stream(streams, row, "trade"), row, keep=bool(ledgers))
    for stream in streams.values():
        _settle(stream)
    if ledgers:
        compare_with_ledgers(streams, ledgers)
    accounts = [streams[name].account for name in sorted(streams)]
    return Accounts(accounts, states, reader.counts())


def _stream(
    streams: dict[StreamName, StreamRecords], row: Mapping[str, Any], data_type: str
) -> StreamRecords:
    name = (row["exchange"], row["market"], row["symbol"], data_type)
    stream = streams.get(name)
    if stream is None:
        stream = StreamRecords(StreamAccount(name))
        streams[name] = stream
    return stream


def _store(stream: StreamRecords, row: Mapping[str, Any], keep: bool) -> None:
    first, last = row["first_id"], row["last_id"]
    account = stream.account
    twice = stream.stored.count(first, last)
    if twice:
        account.stored_twice += twice
        account.examples.append(f"ids {first}..{last} are stored twice")
    stream.stored.add(first, last)
    account.fills += row["fills"]
    account.trades += 1
    if keep:
        stream.rows.append(row)


def _settle(stream: StreamRecords) -> None:
    account = stream.account
    for first, last in stream.covered:
        account.covered += last - first + 1
        account.stored += stream.stored.count(first, last)
        for hole_first, hole_last in stream.stored.gaps(first, last):
            recorded = stream.recorded(hole_first, hole_last)
            missing = hole_last - hole_first + 1 - recorded
            account.in_gaps += recorded
            account.unaccounted += missing
            if missing:
                account.examples.append(
                    f"ids {hole_first}..{hole_last}: {missing} neither stored nor "
                    "in a gap"
                )
    _look_around(stream)


def _look_around(stream: StreamRecords) -> None:
    """Count what is stored outside coverage, and what nobody followed."""
    account, stored = stream.account, stream.stored
    account.outside = stored.total - account.stored
    intervals = list(stored)
    if not intervals:
        return
    account.first_id, account.last_id = intervals[0][0], intervals[-1][1]
    for first, last in stream.covered.gaps(account.first_id, account.last_id):
        for hole_first, hole_last in stored.gaps(first, last):
            recorded = stream.recorded(hole_first, hole_last)
            account.uncovered += hole_last - hole_first + 1 - recorded
