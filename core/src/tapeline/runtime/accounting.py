"""``emitted = stored ⊎ recorded gap``: the promise, checked on a database.

Everything here works on intervals of ids, so that a month of trades costs its
rows and not its fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import msgspec

from tapeline.errors import UsageError
from tapeline.hookspecs import DatabaseReader
from tapeline.integrity import IntervalSet

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
        fills: fills in all stored trades.
        emitted: with a ledger: fills that the venue made inside coverage.
        lost: with a ledger: fills made, covered, neither stored nor recorded.
        invented: with a ledger: stored ids that the venue never made.
        altered: with a ledger: stored trades that differ from their fills.
    """

    name: StreamName
    covered: int = 0
    stored: int = 0
    in_gaps: int = 0
    unaccounted: int = 0
    stored_twice: int = 0
    fills: int = 0
    trades: int = 0
    emitted: int | None = None
    lost: int | None = None
    invented: int | None = None
    altered: int | None = None
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
            "lost": self.lost,
            "invented": self.invented,
            "altered": self.altered,
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


class LedgerLine(msgspec.Struct):
    """One fill of a simulator's ledger."""

    exchange: str
    market: str
    symbol: str
    data_type: str
    id: int | str
    price: str
    size: str
    side: str
    exchange_ns: int


def read_ledger_lines(paths: Iterable[Path]) -> Iterable[LedgerLine]:
    """All fills of the ledgers at *paths*; a last line cut by a kill is skipped.

    Raises:
        UsageError: missing, or not a ledger.
    """
    decode = msgspec.json.Decoder(LedgerLine).decode
    for path in paths:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise UsageError(
                f"expected a ledger at {path}, found: {error.strerror}"
            ) from error
        # What follows the last newline was being written when its writer ended.
        for number, line in enumerate(lines[:-1], start=1):
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise UsageError(
                    f"{path}, line {number}: expected a fill of a ledger as JSON, "
                    f"found something else ({error})"
                ) from error


@attrs.define
class _Stream:
    account: StreamAccount
    covered: IntervalSet
    stored: IntervalSet
    gaps: IntervalSet
    rows: list[Mapping[str, Any]] = attrs.field(factory=list)


def audit(reader: DatabaseReader, ledgers: Sequence[Path] = ()) -> Accounts:
    """Account for every trade in the database, exactly with *ledgers*."""
    streams: dict[StreamName, _Stream] = {}
    for row in reader.coverage():
        if row["data_type"] != "trade" or row["first_id"] is None:
            continue
        _stream(streams, row, "trade").covered.add(row["first_id"], row["last_id"])
    states: dict[str, int] = {}
    for row in reader.gaps():
        states[row["state"]] = states.get(row["state"], 0) + 1
        if row["data_type"] != "trade" or row["from_id"] is None:
            continue
        if row["state"] != "closed" or row["cause"] == "never-issued":
            _stream(streams, row, "trade").gaps.add(row["from_id"], row["to_id"])
    for row in reader.trades():
        _store(_stream(streams, row, "trade"), row, keep=bool(ledgers))
    for stream in streams.values():
        _settle(stream)
    if ledgers:
        _compare(streams, read_ledger_lines(ledgers))
    accounts = [streams[name].account for name in sorted(streams)]
    return Accounts(accounts, states, reader.counts())


def _stream(
    streams: dict[StreamName, _Stream], row: Mapping[str, Any], data_type: str
) -> _Stream:
    name = (row["exchange"], row["market"], row["symbol"], data_type)
    stream = streams.get(name)
    if stream is None:
        stream = _Stream(
            StreamAccount(name), IntervalSet(), IntervalSet(), IntervalSet()
        )
        streams[name] = stream
    return stream


def _store(stream: _Stream, row: Mapping[str, Any], keep: bool) -> None:
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


def _settle(stream: _Stream) -> None:
    account = stream.account
    for first, last in stream.covered:
        account.covered += last - first + 1
        account.stored += stream.stored.count(first, last)
        for hole_first, hole_last in stream.stored.gaps(first, last):
            recorded = stream.gaps.count(hole_first, hole_last)
            missing = hole_last - hole_first + 1 - recorded
            account.in_gaps += recorded
            account.unaccounted += missing
            if missing:
                account.examples.append(
                    f"ids {hole_first}..{hole_last}: {missing} neither stored nor "
                    "in a gap"
                )


def _compare(streams: dict[StreamName, _Stream], fills: Iterable[LedgerLine]) -> None:
    emitted: dict[StreamName, dict[int, tuple[str, str, str]]] = {}
    for fill in fills:
        name = (fill.exchange, fill.market, fill.symbol, fill.data_type)
        emitted.setdefault(name, {})[int(fill.id)] = (fill.price, fill.size, fill.side)
    for name, stream in streams.items():
        made = emitted.get(name, {})
        account = stream.account
        covered = [number for number in made if number in stream.covered]
        account.emitted = len(covered)
        lost = [
            number
            for number in covered
            if number not in stream.stored and number not in stream.gaps
        ]
        account.lost = len(lost)
        account.invented = 0
        account.altered = 0
        account.examples += [f"fill {number} is lost" for number in lost[:3]]
        for row in stream.rows:
            _compare_row(account, row, made)


def _compare_row(
    account: StreamAccount,
    row: Mapping[str, Any],
    made: Mapping[int, tuple[str, str, str]],
) -> None:
    ids = range(row["first_id"], row["last_id"] + 1)
    parts = [made[number] for number in ids if number in made]
    if len(parts) < len(ids):
        account.invented = (account.invented or 0) + len(ids) - len(parts)
        account.examples.append(
            f"ids {row['first_id']}..{row['last_id']} were never made by the venue"
        )
        return
    size = sum((Decimal(part[1]) for part in parts), Decimal(0))
    same_price = all(Decimal(part[0]) == row["price"] for part in parts)
    same_side = all(part[2] == row["side"] for part in parts)
    if size != row["size"] or not same_price or not same_side:
        account.altered = (account.altered or 0) + 1
        account.examples.append(f"trade {row['trade_id']} differs from its fills")
