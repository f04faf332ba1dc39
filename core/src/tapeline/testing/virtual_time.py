"""Virtual time: a loop whose clock jumps to the next timer instead of waiting."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar, TypeVarTuple

import anyio

from tapeline.errors import TapelineError
from tapeline.testing.market import START_NS

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_THREAD_GRACE_S = 5.0


class VirtualDeadlock(TapelineError):
    """Every task waits and nothing is scheduled that could ever wake one."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for the timeout: it moves the loop's clock by it."""

    loop: VirtualTimeLoop

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            # A worker thread may still report; only then is there a reason to wait.
            ready = super().select(_THREAD_GRACE_S if self.loop.threads else 0)
            if not ready:
                raise VirtualDeadlock(self.loop.describe_deadlock())
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self.loop.jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time.

    Args:
        start_ns: wall nanoseconds UTC at which a ``VirtualClock`` begins.
        seed: of ``random``, the run's source of chance.
        threads: True lets the loop wait for worker threads when it is idle.
    """

    def __init__(
        self, start_ns: int = START_NS, seed: int = 0, threads: bool = False
    ) -> None:
        self._elapsed_ns = 0
        self.start_ns = start_ns
        self.random = random.Random(seed)
        self.threads = threads
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._elapsed_ns / 1e9

    @property
    def elapsed_ns(self) -> int:
        """Virtual nanoseconds since the loop was made."""
        return self._elapsed_ns

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a call; one at infinity is no timer, it would hide a deadlock."""
        if when == math.inf:
            return asyncio.TimerHandle(when, callback, args, self, context)
        return super().call_at(when, callback, *args, context=context)

    def jump(self, seconds: float) -> None:
        """Move the clock to the nearest nanosecond, by one at least."""
        self._elapsed_ns += max(1, round(seconds * 1e9))

    def describe_deadlock(self) -> str:
        """A sentence that names the tasks that wait for ever."""
        names = sorted(task.get_name() for task in asyncio.all_tasks(self))
        return (
            f"expected a timer or an event at {self.time():.3f} virtual seconds, found "
            f"none: {len(names)} tasks wait for ever ({', '.join(names[:8])}); give "
            "each wait a deadline, or wake it"
        )


class VirtualClock:
    """The ``Clock`` of a virtual loop; its wall can be stepped, its monotonic not.

    Args:
        loop: None takes the running one.
        start_ns: wall nanoseconds UTC at the loop's start; None takes the loop's.
    """

    def __init__(
        self, loop: VirtualTimeLoop | None = None, start_ns: int | None = None
    ) -> None:
        if loop is None:
            running = asyncio.get_running_loop()
            if not isinstance(running, VirtualTimeLoop):
                raise TapelineError(
                    f"expected a VirtualTimeLoop, found {type(running).__name__}; "
                    "start the function with run_virtual"
                )
            loop = running
        self._loop = loop
        self._start_ns = loop.start_ns if start_ns is None else start_ns
        self._stepped_ns = 0

    def wall_ns(self) -> int:
        """Start, plus what has passed, plus all steps."""
        return self._start_ns + self._stepped_ns + self._loop.elapsed_ns

    def monotonic_ns(self) -> int:
        """Virtual nanoseconds since the loop was made."""
        return self._loop.elapsed_ns

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of virtual time."""
        await anyio.sleep(max(0.0, seconds))

    def step_wall(self, ns: int) -> None:
        """Step the wall clock by *ns*, back when negative, as NTP would."""
        self._stepped_ns += ns


def run_virtual(
    async_fn: Callable[[*Arguments], Awaitable[Result]],
    *args: *Arguments,
    seed: int = 0,
    start_ns: int = START_NS,
    threads: bool = False,
) -> Result:
    """Run ``async_fn(*args)`` under anyio on a new virtual loop.

    Raises:
        VirtualDeadlock: all of it waits for something that cannot come.
    """
    return anyio.run(
        async_fn,
        *args,
        backend="asyncio",
        backend_options={
            "loop_factory": lambda: VirtualTimeLoop(start_ns, seed, threads)
        },
    )
