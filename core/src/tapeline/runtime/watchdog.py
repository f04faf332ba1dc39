"""A thread that watches the loop, and names who blocks it.

A loop that is blocked can say nothing of itself, so a thread looks at it from the
outside: how long ago it turned last, and where its thread stands meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import threading
import traceback
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import attrs

from tapeline.clock import Clock
from tapeline.errors import TapelineError

logger = logging.getLogger("tapeline.watchdog")

_CORE = "tapeline"
# What others call on their way; who is waited for stands above it.
_CARRIERS = frozenset(
    {"anyio", "asyncio", "attr", "concurrent", "pluggy", "sniffio", "uvloop"}
)
_STDLIB = Path(sysconfig.get_paths()["stdlib"])


@attrs.frozen
class WatchdogSettings:
    """How closely the loop is watched.

    Args:
        look_s: between two looks, and the least lag that is noticed.
        told_s: a loop that is blocked for so long is told of, with who blocks it.
        dump_s: then the stacks of all threads are logged as well.
        window_s: how long the worst lag is remembered.
    """

    look_s: float = 0.25
    told_s: float = 1.0
    dump_s: float = 5.0
    window_s: float = 60.0


@attrs.frozen
class Blocker:
    """Who holds the loop.

    Args:
        component: e.g. ``plugin tapeline_acme`` or ``my_alerts``.
        where: file, line and function.
    """

    component: str
    where: str

    def __str__(self) -> str:
        return f"{self.component} ({self.where})"


class Watchdog:
    """Watches the loop that ``start`` is called on.

    Args:
        clock: of this process; its monotonic time is read from a thread.
        beaten: called from the thread at each look, with the seconds since the loop
            turned last; a service manager is told there.

    Attributes:
        blocker: who blocked it last; None when nobody has.
    """

    def __init__(
        self,
        clock: Clock,
        settings: WatchdogSettings | None = None,
        beaten: Callable[[float], None] | None = None,
    ) -> None:
        self.blocker: Blocker | None = None
        self.blocked = 0
        self._clock = clock
        self._settings = settings or WatchdogSettings()
        self._beaten = beaten
        self._beat_ns = 0
        self._lags: deque[tuple[int, float]] = deque()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._asked = False

    def start(self) -> None:
        """Begin to watch the running loop.

        Raises:
            TapelineError: it watches one already.
        """
        if self._thread is not None:
            raise TapelineError("expected a watchdog at rest, found one that watches")
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._beat_ns = self._clock.monotonic_ns()
        self._asked = False
        self._end.clear()
        self._thread = threading.Thread(
            target=self._watch, name="tapeline-watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End watching; safe twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._end.set()
        thread.join(timeout=4 * self._settings.look_s)

    @property
    def lag_s(self) -> float:
        """How late the loop was at its worst within the window; seconds."""
        edge_ns = self._clock.monotonic_ns() - int(self._settings.window_s * 1e9)
        with self._lock:
            while self._lags and self._lags[0][0] < edge_ns:
                self._lags.popleft()
            return max((lag_s for _, lag_s in self._lags), default=0.0)

    # -- on the loop ----------------------------------------------------------------

    def _beat(self, asked_ns: int) -> None:
        now_ns = self._clock.monotonic_ns()
        self._asked = False
        self._beat_ns = now_ns
        self._note(now_ns, (now_ns - asked_ns) / 1e9)

    # -- in the thread --------------------------------------------------------------

    def _watch(self) -> None:
        told = dumped = False
        # Waits between looks; ends with stop() or with the process.
        while not self._end.wait(self._settings.look_s):
            now_ns = self._clock.monotonic_ns()
            if not self._asked:
                told = dumped = False
                self._ask(now_ns)
                if self._beaten is not None:
                    self._beaten(0.0)
                continue
            late_s = (now_ns - self._beat_ns) / 1e9
            if self._beaten is not None:
                self._beaten(late_s)
            if late_s >= self._settings.told_s and not told:
                told = True
                self._tell(late_s)
            if late_s >= self._settings.dump_s and not dumped:
                dumped = True
                self._dump(late_s)

    def _ask(self, now_ns: int) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            self._end.set()
            return
        self._asked = True
        self._beat_ns = now_ns
        try:
            loop.call_soon_threadsafe(self._beat, now_ns)
        except RuntimeError:
            # The loop was closed between the two lines.
            self._end.set()

    def _note(self, now_ns: int, lag_s: float) -> None:
        with self._lock:
            # Only what is worse than all that came after it can be the worst.
            while self._lags and self._lags[-1][1] <= lag_s:
                self._lags.pop()
            self._lags.append((now_ns, lag_s))

    def _tell(self, late_s: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        self.blocked += 1
        self.blocker = None if frame is None else find_blocker(frame)
        logger.warning(
            "the loop has been blocked for %.1f s by %s; what takes long belongs into "
            "a thread",
            late_s,
            self.blocker or "somebody unknown",
        )

    def _dump(self, late_s: float) -> None:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        stacks = [
            f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(at))}"
            for ident, at in sys._current_frames().items()
        ]
        logger.error(
            "the loop has been blocked for %.1f s\n%s", late_s, "\n".join(stacks)
        )


def find_blocker(frame: FrameType) -> Blocker:
    """Who stands in *frame*: the innermost code that is nobody's carrier.

    A plugin or a user's function is named before Tapeline, which only called it.
    """
    ours: FrameType | None = None
    at: FrameType | None = frame
    while at is not None:
        package = str(at.f_globals.get("__name__", "")).partition(".")[0]
        if not _is_carrier(at, package):
            if package != _CORE:
                kind = "plugin " if package.startswith("tapeline_") else ""
                name = at.f_globals.get("__name__", "?")
                return Blocker(f"{kind}{package if kind else name}", _where(at))
            ours = ours or at
        at = at.f_back
    found = ours or frame
    return Blocker(str(found.f_globals.get("__name__", "?")), _where(found))


def _is_carrier(frame: FrameType, package: str) -> bool:
    if package in _CARRIERS:
        return True
    path = Path(frame.f_code.co_filename)
    if package in ("importlib", "runpy", "threading") or str(path).startswith("<"):
        return True
    return _STDLIB in path.parents and "site-packages" not in path.parts


def _where(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
