"""What this process uses: CPU, memory, files, disk; no dependency needed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeline.clock import Clock

if TYPE_CHECKING:
    from tapeline.runtime.engine import Engine

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


def disk_free_bytes(folder: Path) -> int | None:
    """Bytes free where *folder* is or will be; None where that is not known."""
    for place in (folder, *folder.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None


class ResourceMeter:
    """Figures of this process; CPU as a share since the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cpu_s = cpu_seconds()
        self._at_ns = clock.monotonic_ns()

    def measure(self, engine: Engine | None) -> dict[str, Any]:
        """CPU, memory, sockets, queues, clock and disk; JSON-ready."""
        cpu_s, now_ns = cpu_seconds(), self._clock.monotonic_ns()
        used_s, passed_s = cpu_s - self._cpu_s, (now_ns - self._at_ns) / 1e9
        self._cpu_s, self._at_ns = cpu_s, now_ns
        return {
            "cpu_seconds": cpu_s,
            "cpu_percent": 100 * used_s / passed_s if passed_s > 0 else 0.0,
            "rss_bytes": rss_bytes(),
            "open_files": open_files(),
            "sockets": 0 if engine is None else engine.open_sockets(),
            "queue_bytes": 0 if engine is None else engine.queue_bytes(),
            "clock_offset_s": None if engine is None else engine.clock_offset_s(),
            "disk_free_bytes": None
            if engine is None
            else disk_free_bytes(engine.data_dir),
        }
