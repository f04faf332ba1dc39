"""Opens the journal of an engine: on disk for durable sinks, else in memory."""

from __future__ import annotations

from pathlib import Path

from tapeline.journal import Journal, JournalLike, JournalSettings, MemoryJournal
from tapeline.runtime.settings import EngineSettings
from tapeline.seams import Seams


async def open_journal(
    data_dir: Path, settings: EngineSettings, seams: Seams, *, on_disk: bool
) -> JournalLike:
    """The journal in *data_dir*, made when there is none; see ``Journal.open``.

    Args:
        on_disk: False for one that is forgotten when the process ends.

    Raises:
        TapelineError: it cannot be opened.
    """

    def draw_id() -> str:
        return f"{seams.random.getrandbits(128):032x}"

    if not on_disk:
        return MemoryJournal(seams.clock, settings=JournalSettings(draw_id=draw_id))
    return await Journal.open(
        data_dir,
        clock=seams.clock,
        executor=seams.executor,
        settings=JournalSettings(
            commit_ms=settings.commit_ms,
            quota_bytes=settings.quota_bytes,
            memory_bytes=settings.memory_bytes,
            draw_id=draw_id,
        ),
    )
