"""Recordings into a sink, through the same parser and pipeline; nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tapeline.errors import RecordingError, UsageError
from tapeline.hookspecs import ExchangeAdapter, Sink
from tapeline.model import Batch, Instrument, Part, Record, Request, Response
from tapeline.runtime.recordings import (
    HTTP,
    fingerprint,
    merge_recordings,
    read_recording,
)
from tapeline.runtime.replay_report import ReplayReport
from tapeline.runtime.replayer import Replayer

__all__ = ["Replayer", "read_instrument_files", "replay"]

_PART_RECORDS = 2_000


def read_instrument_files(
    adapter: ExchangeAdapter, paths: Sequence[Path]
) -> list[Instrument]:
    """Instruments in the ``http`` lines of recordings that list some."""
    found: dict[tuple[str, str], Instrument] = {}
    for path in paths:
        for frame in read_recording(path):
            if frame.direction != HTTP:
                continue
            request = Request("GET", frame.url)
            response = Response(
                request, 200, {}, frame.raw.encode(), frame.received_ns or 0
            )
            for instrument in adapter.read_instruments(response):
                found[instrument.key] = instrument
    return list(found.values())


async def replay(
    paths: Sequence[Path],
    replayer: Replayer,
    sink: Sink | None,
) -> ReplayReport:
    """Replay *paths* into *sink*; the same files again change nothing.

    The sink is opened once there is something to store, or at the end.

    Raises:
        RecordingError: a file is missing or damaged, or nothing in them is wanted;
            nothing was stored then.
        UsageError: no file, or the adapter cannot read recordings.
    """
    if not paths:
        raise UsageError("expected at least one recording, found none")
    if not hasattr(replayer.adapter, "recorded_subscriptions"):
        raise UsageError(
            f"expected an exchange whose recordings can be replayed, found "
            f"{replayer.adapter.name!r}"
        )
    # Reading everything once first: damage is found before anything is stored.
    journal_id = fingerprint(paths)
    replayer.identify(journal_id)
    cursor: int | None = None
    position = 0
    waiting: list[Record] = []

    async def begin() -> int:
        return 0 if sink is None else await sink.open(journal_id) or 0

    async def flush() -> None:
        nonlocal cursor, position, waiting
        if not waiting:
            return
        if cursor is None:
            cursor = await begin()
        position += 1
        if sink is not None and position > cursor:
            await sink.write(Batch(journal_id, [Part(position, waiting)]))
            replayer.report.stored += len(waiting)
        waiting = []

    for frame in merge_recordings(paths):
        waiting += replayer.feed(frame)
        if len(waiting) >= _PART_RECORDS:
            await flush()
    waiting += replayer.finish()
    problem = replayer.no_match()
    if problem:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        raise RecordingError(f"{paths[0]}{more}", None, problem)
    await flush()
    if cursor is None:
        await begin()
    return replayer.report
