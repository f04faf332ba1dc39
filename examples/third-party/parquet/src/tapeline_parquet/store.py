"""The folder: a spool of small files, turned into Parquet files now and then.

A kill may come between any two steps. The order of the steps makes it harmless: a batch
is in the spool before it counts as stored; a spool file is removed after the Parquet
files of all tables that have its rows are there; and each table knows by the names of
its files how far it is, so that a rotation that was cut short is done again for the
tables that miss it only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tapeline.errors import SinkError, SinkRejected, SinkUnavailable
from tapeline.model import Batch, Gap
from tapeline_parquet.config import ParquetConfig
from tapeline_parquet.disk import Disk
from tapeline_parquet.names import SPOOL, TEMPORARY, Span, span_of
from tapeline_parquet.rows import MAKERS, Row, timestamp_us
from tapeline_parquet.schemas import COLUMNS, can_hold, schema_of

UNHOLDABLE = (ArithmeticError, AttributeError, IndexError, TypeError, ValueError)
"""What a record that no column can hold raises on its way into a row."""

PARQUET = "parquet"
PART = "part"

_encode = msgspec.msgpack.Encoder(decimal_format="string").encode
_decode = msgspec.msgpack.Decoder(dict[str, list[dict[str, Any]]]).decode


class Store:
    """All of it, synchronous; one worker calls it.

    Args:
        sink: name of the sink, as gaps that are for one sink have it.
    """

    def __init__(self, config: ParquetConfig, sink: str, disk: Disk) -> None:
        self.rows: Counter[str] = Counter()
        self.without_table: Counter[str] = Counter()
        self.files = 0
        self._config = config
        self._sink = sink
        self._disk = disk
        self._folder = config.path.expanduser().absolute()
        self._schemas = {table: schema_of(table, config.decimals) for table in COLUMNS}
        self._spool: list[Path] = []
        self._spooled_bytes = 0
        self._since_ns: int | None = None
        self._asked_for: str | None = None
        # The same while memory and disk are known to agree.
        self._journal_id: str | None = None
        self._cursor: int | None = None

    def open(self, journal_id: str) -> int | None:
        """Clean up, finish what was cut short, tell how far *journal_id* is here.

        Raises:
            SinkUnavailable: the disk fails; to be tried again.
            SinkError: the folder cannot be used.
        """
        if not journal_id or "/" in journal_id or journal_id.startswith("."):
            raise SinkError(
                f"expected a journal id that can be in a file name, found "
                f"{journal_id!r}"
            )
        self._journal_id = None
        self._asked_for = journal_id
        try:
            self._prepare()
            self._rotate()
        except PermissionError as error:
            raise SinkError(
                f"expected a folder that can be written, found {error.filename} that "
                "cannot; check its permissions"
            ) from error
        except (FileExistsError, NotADirectoryError) as error:
            if os.path.islink(error.filename):
                raise SinkUnavailable(
                    f"expected the disk that {error.filename} leads to, found it away"
                ) from error
            raise SinkError(
                f"expected a folder, found something else at {error.filename}; choose "
                "another path"
            ) from error
        except OSError as error:
            raise SinkUnavailable(f"{self._folder}: {error}") from error
        reached = [
            span.last
            for table in COLUMNS
            for span in self._spans(table)
            if span.journal_id == journal_id
        ]
        self._cursor = max([*reached, self._noted(journal_id)], default=None)
        if self._cursor is not None and self._cursor < 0:
            self._cursor = None
        self._journal_id = journal_id
        return self._cursor

    def write(self, batch: Batch, now_ns: int) -> None:
        """Have *batch* on the disk; what is there already is passed over.

        Raises:
            SinkUnavailable: the disk fails; the same batch may come again.
            SinkError: ``open`` has to come first.
            SinkRejected: numbers that the columns cannot hold; nothing is stored.
        """
        if batch.journal_id != self._asked_for:
            raise SinkError(
                f"expected a batch of journal {self._asked_for}, found one of "
                f"{batch.journal_id}; open it first"
            )
        if self._journal_id is None:
            # The last write failed, and the same batch comes again without an open.
            self.open(batch.journal_id)
        cursor = self._cursor
        if cursor is not None and batch.last_position <= cursor:
            return
        tables, skipped = self._tables(batch, cursor)
        first = batch.first_position if cursor is None else cursor + 1
        span = Span(
            batch.journal_id, min(first, batch.last_position), batch.last_position
        )
        content = self._encoded(tables)
        path = self._folder / SPOOL / span.file_name(PART)
        # Until it is known to be on the disk, only the folder can tell.
        self._journal_id = None
        try:
            self._disk.store(path, content)
            self._cursor = batch.last_position
            self._spool.append(path)
            self._spooled_bytes += len(content)
            if self._since_ns is None:
                self._since_ns = now_ns
            if self._is_due(now_ns):
                self._rotate()
        except OSError as error:
            raise SinkUnavailable(f"{self._folder}: {error}") from error
        self._journal_id = batch.journal_id
        for table, rows in tables.items():
            self.rows[table] += len(rows)
        self.without_table.update(skipped)

    def close(self) -> None:
        """Turn the spool into Parquet files; what fails is done at the next start."""
        if self._journal_id is None:
            return
        self._journal_id = None
        try:
            self._rotate()
        except OSError as error:
            raise SinkUnavailable(f"{self._folder}: {error}") from error

    # -- the spool ---------------------------------------------------------------

    def _prepare(self) -> None:
        disk = self._disk
        for folder in (self._folder / SPOOL, *map(self._of, COLUMNS)):
            disk.make_folder(folder)
            names = disk.names(folder)
            disk.remove(path for path in names if path.name.startswith(TEMPORARY))
        parts = disk.names(self._folder / SPOOL)
        self._spool = [path for path in parts if span_of(path, PART) is not None]

    def _noted(self, journal_id: str) -> int:
        """How far batches without a row have brought us; -1 for not at all."""
        spans = [span_of(path, PART) for path in self._spool]
        return max(
            (span.last for span in spans if span and span.journal_id == journal_id),
            default=-1,
        )

    def _is_due(self, now_ns: int) -> bool:
        config = self._config
        age_ns = 0 if self._since_ns is None else now_ns - self._since_ns
        return (
            self._spooled_bytes >= config.rotate_bytes
            or age_ns >= config.rotate_s * 1e9
        )

    def _tables(
        self, batch: Batch, cursor: int | None
    ) -> tuple[dict[str, list[Row]], Counter[str]]:
        tables: dict[str, list[Row]] = {}
        skipped: Counter[str] = Counter()
        refused: list[tuple[int, int]] = []
        for position, ordinal, record in batch.records():
            if cursor is not None and position <= cursor:
                continue
            table, make = MAKERS.get(type(record), ("", None))
            if make is None:
                skipped[type(record).__name__] += 1
                continue
            if isinstance(record, Gap) and record.for_sink not in ("", self._sink):
                continue
            row = self._row(record, make)
            if row is None:
                refused.append((position, ordinal))
                continue
            row["position"] = position
            row["ordinal"] = ordinal
            tables.setdefault(table, []).append(row)
        if refused:
            raise SinkRejected(
                "expected exact numbers of at most 20 digits before and 18 after the "
                f"point and ids of 63 bits, found {len(refused)} records with others; "
                "set decimals to 'text' to store any number",
                refused,
            )
        return tables, skipped

    def _row(self, record: object, make: Callable[[Any], Row]) -> Row | None:
        """The row of *record*; None when the columns cannot hold it."""
        try:
            row = make(record)
            row["timestamp"] = timestamp_us(row)
            holds = can_hold(row, self._config.decimals)
        except UNHOLDABLE:
            return None
        return row if holds else None

    def _encoded(self, tables: dict[str, list[Row]]) -> bytes:
        """The content of a spool file.

        Raises:
            SinkRejected: some rows can never be read again, such as broken texts.
        """
        try:
            return _encode(tables)
        except UNHOLDABLE:
            rows = [row for rows in tables.values() for row in rows]
            refused = [
                (row["position"], row["ordinal"]) for row in rows if not _encodes(row)
            ]
            raise SinkRejected(
                f"expected texts that can be stored, found {len(refused)} records "
                "with others",
                refused,
            ) from None

    # -- rotation ----------------------------------------------------------------

    def _rotate(self) -> None:
        """One Parquet file a table and journal out of the spool, then no spool."""
        journals: dict[str, list[tuple[Span, Path]]] = {}
        for path in self._spool:
            span = span_of(path, PART)
            assert span is not None
            journals.setdefault(span.journal_id, []).append((span, path))
        kept: list[Path] = []
        for journal_id, parts in journals.items():
            parts.sort()
            last = parts[-1][0].last
            whole = Span(journal_id, parts[0][0].first, last)
            tables: dict[str, list[Row]] = {}
            for _, path in parts:
                for table, rows in _decode(self._disk.read(path)).items():
                    tables.setdefault(table, []).extend(rows)
            reached = [self._put(table, whole, rows) for table, rows in tables.items()]
            if last not in reached:
                # No row tells how far we are: the last part stays to tell it.
                kept.append(parts[-1][1])
            self._disk.remove(path for _, path in parts if path not in kept)
        self._disk.flush_folder(self._folder / SPOOL)
        self._spool = kept
        self._spooled_bytes = 0
        self._since_ns = None

    def _put(self, table: str, whole: Span, rows: Sequence[Row]) -> int:
        """Write the rows of one table that it does not have yet; how far it is then."""
        reached = max(
            (s.last for s in self._spans(table) if s.journal_id == whole.journal_id),
            default=-1,
        )
        fresh = [row for row in rows if row["position"] > reached]
        if not fresh:
            return reached
        span = Span(whole.journal_id, max(whole.first, reached + 1), whole.last)
        sink = pa.BufferOutputStream()
        pq.write_table(
            self._arrow(table, whole.journal_id, fresh),
            sink,
            compression=self._config.compression,
        )
        path = self._of(table) / span.file_name(PARQUET)
        self._disk.store(path, memoryview(sink.getvalue()))
        self.files += 1
        return span.last

    def _arrow(self, table: str, journal_id: str, rows: Sequence[Row]) -> Any:
        schema = self._schemas[table]
        exact = self._config.decimals == "decimal128"
        columns = []
        for field in schema:
            if field.name == "journal_id":
                values: list[Any] = [journal_id] * len(rows)
            else:
                values = [row[field.name] for row in rows]
            if exact:
                values = _with_decimals(field.type, values)
            columns.append(pa.array(values, field.type))
        return pa.Table.from_arrays(columns, schema=schema)

    def _spans(self, table: str) -> list[Span]:
        found = [span_of(path, PARQUET) for path in self._disk.names(self._of(table))]
        return [span for span in found if span is not None]

    def _of(self, table: str) -> Path:
        return self._folder / table


def _encodes(row: Row) -> bool:
    try:
        _encode(row)
    except UNHOLDABLE:
        return False
    return True


def _with_decimals(kind: Any, values: list[Any]) -> list[Any]:
    """*values* as the spool has them, their exact texts as numbers again."""
    if pa.types.is_decimal(kind):
        return [None if value is None else Decimal(value) for value in values]
    if pa.types.is_list(kind):
        return [
            [{name: Decimal(text) for name, text in level.items()} for level in levels]
            for levels in values
        ]
    return values
