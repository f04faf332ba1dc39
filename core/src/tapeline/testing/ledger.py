"""The ledger: every fill that a simulated venue issued, one JSON line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from tapeline.errors import RecordingError, UsageError
from tapeline.testing.market import Fill


class LedgerFill(msgspec.Struct, frozen=True):
    """One line of a ledger; price and size are exact decimal texts.

    Args:
        aggregate_id: of the execution it is part of, where the venue numbers those.
    """

    exchange: str
    market: str
    symbol: str
    data_type: str
    id: int
    price: str
    size: str
    side: str
    exchange_ns: int
    aggregate_id: int | None = None


class Ledger:
    """Ground truth of a simulator, written before a frame can be sent.

    Args:
        path: of the JSON lines; an old file is replaced. None keeps the fills in
            memory only, in ``fills``.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.total = 0
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.fills: list[LedgerFill] = []
        self._file: IO[str] | None = None
        if self.path is not None:
            try:
                self._file = self.path.open("w", encoding="utf-8", buffering=1 << 16)
            except OSError as error:
                raise UsageError(
                    f"expected a writable file for the ledger, found {self.path} "
                    f"({error.strerror}); choose another path"
                ) from error

    def write(
        self,
        exchange: str,
        market: str,
        symbol: str,
        fills: Iterable[Fill],
        aggregate_id: int | None = None,
    ) -> None:
        """Add *fills* of one instrument; ``flush`` makes them visible to others."""
        count = 0
        if self._file is None:
            for fill in fills:
                count += 1
                self.fills.append(
                    LedgerFill(
                        exchange,
                        market,
                        symbol,
                        "trade",
                        fill.id,
                        fill.price,
                        fill.size,
                        fill.side,
                        fill.exchange_ns,
                        aggregate_id,
                    )
                )
        else:
            head = (
                f'{{"exchange":"{exchange}","market":"{market}",'
                f'"symbol":"{symbol}","data_type":"trade","id":'
            )
            tail = "" if aggregate_id is None else f',"aggregate_id":{aggregate_id}'
            for fill in fills:
                count += 1
                self._file.write(
                    f'{head}{fill.id},"price":"{fill.price}","size":"{fill.size}",'
                    f'"side":"{fill.side}","exchange_ns":{fill.exchange_ns}{tail}}}\n'
                )
        self.counts[exchange, market, symbol] += count
        self.total += count

    def flush(self) -> None:
        """Hand everything written to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Flush and close the file; safe twice. Nothing can be written after it."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_ledger(path: str | Path) -> Iterator[LedgerFill]:
    """The fills of the ledger at *path*, in the order they were issued.

    Raises:
        RecordingError: it is missing, or a line is not a fill.
    """
    decoder = msgspec.json.Decoder(LedgerFill)
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as error:
                    raise RecordingError(
                        str(path), number, f"expected a fill of a ledger, found {error}"
                    ) from error
    except OSError as error:
        raise RecordingError(
            str(path), None, f"expected a readable ledger, found {error.strerror}"
        ) from error
