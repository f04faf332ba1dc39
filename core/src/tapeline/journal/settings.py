"""What can be set about a journal."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import attrs


def draw_id() -> str:
    """A name that no other journal has."""
    return uuid.uuid4().hex


@attrs.frozen
class JournalSettings:
    """How a journal commits, and how much it may keep.

    Args:
        commit_ms: least time between the starts of two commits, milliseconds.
        quota_bytes: of rows on disk; over it the slowest sink loses its oldest.
        memory_bytes: of rows that wait for a commit; over it ``append`` refuses.
        ring_bytes: of committed rows kept in memory for sinks that are caught up.
        lazy_s: how long a moved cursor may wait for a commit of its own.
        trim_rows: rows removed in one step at most.
        retry_s: pause after a commit that the disk refused.
        max_file_bytes: hard limit of the file itself; None for none.
        draw_id: names a new journal; a runtime that replays exactly injects it.
    """

    commit_ms: float = 5.0
    quota_bytes: int = 4 * 2**30
    memory_bytes: int = 64 * 2**20
    ring_bytes: int = 16 * 2**20
    lazy_s: float = 1.0
    trim_rows: int = 2_000
    retry_s: float = 1.0
    max_file_bytes: int | None = None
    draw_id: Callable[[], str] = draw_id
