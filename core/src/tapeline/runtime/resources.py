"""What this process uses: CPU, memory, open files; no dependency needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_FDS = Path("/proc/self/fd")


def cpu_seconds() -> float:
    """CPU time of this process, user and system together."""
    times = os.times()
    return times.user + times.system


def rss_bytes() -> int | None:
    """Resident memory; the peak where the system tells no better, else None."""
    try:
        pages = int(_STATM.read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def open_files() -> int | None:
    """Open file descriptors, sockets included; None where that is not known."""
    try:
        return sum(1 for _ in _FDS.iterdir())
    except OSError:
        return None
