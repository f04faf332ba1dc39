"""A database against the ledgers of simulators: the exact set difference.

Fills are matched by id where trades are stored by fill ids. Where they are stored
by another kind (aggregates), fills are matched by moment: exchange time, side and
price, with the size and the number of fills at each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from tapeline.errors import UsageError

if TYPE_CHECKING:
    from tapeline.runtime.accounting import StreamAccount, StreamName, StreamRecords

_FILL = "fill"

Moment = tuple[int, str, Decimal]
"""``(exchange_ns, side, price)``"""


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


@attrs.define
class _Sum:
    fills: int = 0
    size: Decimal = Decimal(0)

    def add(self, fills: int, size: Decimal) -> None:
        """One more."""
        self.fills += fills
        self.size += size


def read_ledger_lines(paths: Sequence[Path]) -> Iterator[LedgerLine]:
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


def compare_with_ledgers(
    streams: Mapping[StreamName, StreamRecords], ledgers: Sequence[Path]
) -> None:
    """Fill in what the accounts of *streams* can only say with *ledgers*.

    Exchanges of which no ledger is given stay as they are: their figures are None.
    """
    made: dict[StreamName, list[LedgerLine]] = {}
    for line in read_ledger_lines(ledgers):
        name = (line.exchange, line.market, line.symbol, line.data_type)
        made.setdefault(name, []).append(line)
    exchanges = {exchange for exchange, *_ in made}
    for name, stream in streams.items():
        if name[0] not in exchanges:
            # No ledger of this exchange was given, so nothing can be said of it.
            continue
        lines = made.get(name, [])
        stream.account.invented = stream.account.altered = 0
        stream.account.matched = 0
        if all(row["id_kind"] == _FILL for row in stream.rows):
            _compare_by_id(stream, lines)
        else:
            _compare_by_moment(stream, lines)


def _compare_by_id(stream: StreamRecords, lines: Sequence[LedgerLine]) -> None:
    account = stream.account
    made = {int(line.id): line for line in lines}
    covered = [number for number in made if number in stream.covered]
    account.emitted = len(covered)
    account.fills_stored = sum(number in stream.stored for number in covered)
    missing = [number for number in covered if number not in stream.stored]
    lost = [number for number in missing if number not in stream.gaps]
    account.fills_in_gaps = len(missing) - len(lost)
    account.lost = len(lost)
    account.examples += [f"fill {number} is lost" for number in lost[:3]]
    for row in stream.rows:
        _compare_row(account, row, made)


def _compare_row(
    account: StreamAccount, row: Mapping[str, Any], made: Mapping[int, LedgerLine]
) -> None:
    ids = range(row["first_id"], row["last_id"] + 1)
    parts = [made[number] for number in ids if number in made]
    if len(parts) < len(ids):
        _invented(account, len(ids) - len(parts), f"{ids.start}..{ids.stop - 1}")
        return
    size = sum((Decimal(part.size) for part in parts), Decimal(0))
    same_price = all(Decimal(part.price) == row["price"] for part in parts)
    same_side = all(part.side == row["side"] for part in parts)
    if size != row["size"] or not same_price or not same_side:
        _altered(account, row["trade_id"])
    else:
        account.matched = (account.matched or 0) + 1


def _compare_by_moment(stream: StreamRecords, lines: Sequence[LedgerLine]) -> None:
    account = stream.account
    made: dict[Moment, _Sum] = {}
    for line in lines:
        moment = (line.exchange_ns, line.side, Decimal(line.price))
        made.setdefault(moment, _Sum()).add(1, Decimal(line.size))
    stored: dict[Moment, _Sum] = {}
    for row in stream.rows:
        moment = (row["exchange_ns"], row["side"], row["price"])
        stored.setdefault(moment, _Sum()).add(row["fills"], row["size"])
    for moment, own in stored.items():
        if moment not in made:
            _invented(account, own.fills, f"at {moment[0]}")
        elif made[moment] == own:
            account.matched = (account.matched or 0) + 1
    account.emitted = account.lost = 0
    inside = _windows(stream)
    for moment, theirs in made.items():
        if not inside(moment[0]):
            continue
        found = stored.get(moment, _Sum())
        account.emitted += theirs.fills
        account.fills_stored += min(found.fills, theirs.fills)
        missing = theirs.fills - found.fills
        if missing < 0:
            account.stored_twice -= missing
            account.examples.append(f"fills at {moment[0]} are stored twice")
        elif missing and any(a <= moment[0] <= b for a, b in stream.gap_times):
            account.fills_in_gaps += missing
        elif missing:
            account.lost += missing
            account.examples.append(f"{missing} fills at {moment[0]} are lost")
        elif found.size != theirs.size:
            _altered(account, f"at {moment[0]}")


def _windows(stream: StreamRecords) -> Callable[[int], bool]:
    """Whether a time lies inside coverage: between its first and last trade.

    The moments of these two themselves are left out, because trades before and
    after coverage may share them.
    """
    times: dict[tuple[int, int], list[int]] = {}
    intervals = list(stream.covered)
    firsts = [first for first, _ in intervals]
    for row in stream.rows:
        at = bisect_right(firsts, row["first_id"]) - 1
        if at >= 0 and row["last_id"] <= intervals[at][1]:
            times.setdefault(intervals[at], []).append(row["exchange_ns"])
    windows = [(min(found), max(found)) for found in times.values()]
    return lambda ns: any(begin < ns < end for begin, end in windows)


def _invented(account: StreamAccount, count: int, where: str) -> None:
    account.invented = (account.invented or 0) + count
    account.examples.append(f"ids {where} were never made by the venue")


def _altered(account: StreamAccount, what: str) -> None:
    account.altered = (account.altered or 0) + 1
    account.examples.append(f"trade {what} differs from its fills")
