"""What a data folder tells about its sinks: read from files, changing none."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tapeline.errors import JournalError, UsageError
from tapeline.journal.files import FILE_NAME
from tapeline.journal.letters import read_letter
from tapeline.model import KeptLetter
from tapeline.runtime.journal_check import journal_address
from tapeline.runtime.sink_desk import EVERY_S
from tapeline.runtime.sink_files import read_status

STALE_S = 3 * EVERY_S
"""A status of this age is of a collection that ended without a word."""

_SHOWN = 20


@attrs.frozen
class SinkAccount:
    """One sink, as its journal and a running collection know it.

    Args:
        promise: ``durable`` or ``live``.
        state: as the running collection says; ``not running`` without one.
        position: up to which it has stored everything; None for a live sink.
        lag_rows, lag_bytes, lag_seconds: what waits for it in the journal.
        given_up_rows: rows that it will not get any more; gaps tell it of them.
        dead_letters: how many refused records wait for a decision.
        retrying: how many are being tried again.
        letters: the newest of them.
        figures: all that the running collection says.
    """

    name: str
    promise: str
    state: str
    reason: str
    position: int | None
    lag_rows: int
    lag_bytes: int
    lag_seconds: float
    given_up_rows: int = 0
    dead_letters: int = 0
    retrying: int = 0
    letters: Sequence[KeptLetter] = ()
    figures: Mapping[str, Any] = attrs.field(factory=dict)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        shown = attrs.asdict(self, recurse=False)
        shown["letters"] = [
            {
                "position": letter.position,
                "ordinal": letter.ordinal,
                "reason": letter.reason,
                "failed_ns": letter.failed_ns,
                "retrying": letter.retry_position is not None,
                "record": repr(letter.record),
            }
            for letter in self.letters
        ]
        return shown


@attrs.frozen
class SinksAccount:
    """All sinks of one data folder.

    Args:
        running: whether a collection works on it now.
        pid: of that collection.
    """

    data_dir: str
    journal_id: str
    running: bool
    pid: int | None
    sinks: Sequence[SinkAccount]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        shown = attrs.asdict(self, recurse=False)
        shown["sinks"] = [sink.as_dict() for sink in self.sinks]
        return shown


def account_of_sinks(data_dir: Path, wall_ns: int) -> SinksAccount:
    """The sinks of the journal in *data_dir*.

    Args:
        wall_ns: now.

    Raises:
        UsageError: the folder is not there or holds no journal that can be read.
    """
    path = data_dir / FILE_NAME
    if not path.is_file():
        raise UsageError(
            f"expected a data folder with the journal's file {FILE_NAME}, found "
            f"{data_dir} without it; name the data_dir of the configuration"
        )
    status = read_status(data_dir) or {}
    age_s = (wall_ns - int(status.get("wall_ns", 0))) / 1e9
    if age_s > STALE_S:
        status = {}
    try:
        with contextlib.closing(
            sqlite3.connect(journal_address(path), uri=True)
        ) as connection:
            [journal_id] = connection.execute(
                "SELECT value FROM meta WHERE key = 'journal_id'"
            ).fetchone()
            sinks = _durable(connection, status.get("durable", {}), wall_ns)
    except (sqlite3.Error, TypeError) as error:
        raise UsageError(
            f"expected a journal that can be read, found {path} that cannot "
            f"({error}); 'tapeline run' sets what is damaged aside"
        ) from error
    sinks += [_live(name, one) for name, one in status.get("live", {}).items()]
    return SinksAccount(
        data_dir=str(data_dir),
        journal_id=str(journal_id),
        running=bool(status),
        pid=status.get("pid"),
        sinks=sinks,
    )


def _durable(
    connection: sqlite3.Connection, status: Mapping[str, Any], wall_ns: int
) -> list[SinkAccount]:
    run = connection.execute
    cursors = dict(run("SELECT sink, position FROM cursors"))
    given_up = dict(run("SELECT sink, sum(nrows) FROM given_up GROUP BY sink"))
    counts: dict[str, tuple[int, int]] = {}
    with contextlib.suppress(sqlite3.OperationalError):  # a journal from before them
        counts = {
            sink: (waiting, retrying)
            for sink, waiting, retrying in run(
                "SELECT sink, sum(retry_position IS NULL), "
                "sum(retry_position IS NOT NULL) FROM dead_letters GROUP BY sink"
            )
        }
    accounts = []
    for name in sorted({*cursors, *counts, *status}):
        figures = status.get(name, {})
        position = figures.get("cursor", cursors.get(name))
        if figures:
            lag = tuple(figures[f"lag_{what}"] for what in ("rows", "bytes", "seconds"))
        else:
            lag = _lag(connection, cursors.get(name), wall_ns)
        waiting, retrying = counts.get(name, (0, 0))
        accounts.append(
            SinkAccount(
                name=name,
                promise="durable",
                state=figures.get("state", "not running"),
                reason=figures.get("reason", ""),
                position=position,
                lag_rows=lag[0],
                lag_bytes=lag[1],
                lag_seconds=lag[2],
                given_up_rows=int(given_up.get(name) or 0),
                dead_letters=waiting,
                retrying=retrying,
                letters=_letters(connection, name) if name in counts else (),
                figures=figures,
            )
        )
    return accounts


def _lag(
    connection: sqlite3.Connection, position: int | None, wall_ns: int
) -> tuple[int, int, float]:
    if position is None:
        return 0, 0, 0.0
    rows, nbytes, oldest_ns = connection.execute(
        "SELECT count(*), coalesce(sum(nbytes), 0), min(wall_ns) FROM outbox "
        "WHERE position > ?",
        (position,),
    ).fetchone()
    seconds = 0.0 if oldest_ns is None else max(0.0, (wall_ns - oldest_ns) / 1e9)
    return rows, nbytes, seconds


def _letters(connection: sqlite3.Connection, sink: str) -> Sequence[KeptLetter]:
    letters = []
    for *row, _ in connection.execute(
        "SELECT * FROM dead_letters WHERE sink = ? "
        "ORDER BY position DESC, ordinal DESC LIMIT ?",
        (sink, _SHOWN),
    ):
        with contextlib.suppress(JournalError):
            letters.append(read_letter(tuple(row)))
    return letters


def _live(name: str, figures: Mapping[str, Any]) -> SinkAccount:
    return SinkAccount(
        name=name,
        promise="live",
        state="running" if figures.get("healthy") else "unavailable",
        reason=str(figures.get("last_error", "")),
        position=None,
        lag_rows=int(figures.get("queued", 0)),
        lag_bytes=int(figures.get("queued_bytes", 0)),
        lag_seconds=0.0,
        figures=figures,
    )
