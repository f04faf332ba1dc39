"""Feeds one durable sink from the journal, at the sink's own pace."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio
import anyio.lowlevel

from tapeline.backoff import Backoff
from tapeline.clock import Clock, now
from tapeline.delivery.accepting import Filter
from tapeline.delivery.asking import asked_health
from tapeline.delivery.dead_letters import DeadLetter, DeadLetters
from tapeline.delivery.poison import Poison
from tapeline.delivery.reports import SinkReports
from tapeline.delivery.retries import Retries
from tapeline.delivery.settings import RunnerSettings
from tapeline.delivery.source import BatchSource
from tapeline.errors import (
    ContractError,
    JournalError,
    SinkReplaced,
    SinkUnavailable,
)
from tapeline.hookspecs import Sink
from tapeline.model import Batch, StatusChange

Result = TypeVar("Result")

STARTING = "starting"
RUNNING = "running"
UNAVAILABLE = "unavailable"
FAILED = "failed"
STOPPED = "stopped"


class _Abandoned(Exception):
    """A call into the sink was cancelled; its outcome is the sink's to know."""


class SinkRunner:
    """Reads committed rows, writes them to a sink, moves its cursor.

    ``run`` is one task of the owner; it never raises for what a sink does.

    Args:
        name: under which the journal knows the sink's cursor.
        accepts: data types that the sink takes; None for all.
        changed: told of every change of state; must return quickly.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        accepts: Sequence[str] | None,
        journal: BatchSource,
        clock: Clock,
        rng: random.Random,
        settings: RunnerSettings | None = None,
        *,
        changed: Callable[[StatusChange], None] | None = None,
    ) -> None:
        self.name = name
        self.state = STARTING
        self.reason = ""
        self._sink = sink
        self._filter = Filter(name, accepts)
        self._journal = journal
        self._clock = clock
        self._settings = settings or RunnerSettings()
        self._backoff = Backoff(
            rng, self._settings.first_delay_s, self._settings.max_delay_s
        )
        self._changed = changed
        self._letters = DeadLetters(self._settings.dead_letters)
        self._again = Retries(name, journal, clock)
        # A sink with a table of its own for them needs no second copy.
        keeps_own = bool(getattr(sink, "keeps_dead_letters", False))
        keep = None if keeps_own else self._again.keep
        self._poison = Poison(name, self._write, self._letters, clock, keep)
        self._reports = SinkReports(name)
        self._target: int | None = None
        self._abandoned = False
        self._started = False
        self._write_scope: anyio.CancelScope | None = None
        self._wait_scope: anyio.CancelScope | None = None
        self._idle = anyio.Event()
        self._idle.set()
        self._done = anyio.Event()
        self._batches = self._records = self._retries = 0
        self._last_write_ns = clock.monotonic_ns()
        journal.expect_sink(name)

    @property
    def cursor(self) -> int | None:
        """Position up to which the sink has stored everything."""
        return self._journal.cursor(self.name)

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """The newest records that the sink refused."""
        return self._letters.newest()

    async def retry_dead_letters(self) -> int:
        """Give the sink once more what it refused; returns how many records."""
        return await self._again.again()

    async def drop_dead_letters(self) -> int:
        """Forget what the sink refused, its gaps stay; returns how many records."""
        return await self._again.drop()

    async def run(self) -> None:
        """Feed the sink until it is stopped, or fails for good.

        Raises:
            ContractError: it runs already.
        """
        if self._done.is_set():
            return
        if self._started:
            raise ContractError(
                f"expected the runner of sink {self.name!r} to be run once, found it "
                "run again; make a new one"
            )
        self._started = True
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._guard)
                try:
                    while not await self._feed():
                        pass
                except _Abandoned:
                    self.reason = "a write was given up for the stop"
                # The supervisor of one sink: whatever it raises ends here, as a
                # state with a reason, and no other sink notices.
                except Exception as error:
                    self._fail(error)
                tasks.cancel_scope.cancel()
        except ExceptionGroup as group:  # the same for what guards the writes
            self._fail(group.exceptions[0])
        finally:
            await self._close()
            self._done.set()

    async def stop(self, deadline_s: float) -> None:
        """Flush what is committed by now, within *deadline_s* seconds, and close."""
        if self._target is None:
            self._target = self._journal.committed
        if not self._started:
            # A task that was started just now has its first turn.
            await anyio.lowlevel.checkpoint()
        if not self._started:
            self._started = True
            await self._close()
            self._done.set()
            return
        self._interrupt()
        if deadline_s > 0:
            with anyio.move_on_after(deadline_s):
                await self._done.wait()
        if self._done.is_set():
            return
        self._abandoned = True
        self._interrupt()
        with anyio.move_on_after(self._settings.grace_s if deadline_s > 0 else 0):
            await self._done.wait()
        if self._write_scope is not None:
            self._write_scope.cancel()
        # What is left is the closing; a driver that ignores even that is left to
        # the owner's cancellation.
        with anyio.move_on_after(self._settings.close_s + self._settings.grace_s):
            await self._done.wait()

    def status(self) -> dict[str, object]:
        """State, cursor, lag and counts, JSON-ready."""
        rows, nbytes, seconds = self._journal.lag(self.name)
        health = asked_health(self._sink, now(self._clock))
        age_s = (self._clock.monotonic_ns() - self._last_write_ns) / 1e9
        return {
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            # Since the oldest row waits, not since the market was last awake.
            "blocked": rows > 0 and min(age_s, seconds) > self._settings.blocked_s,
            "cursor": self.cursor,
            "lag_rows": rows,
            "lag_bytes": nbytes,
            "lag_seconds": seconds,
            "batches": self._batches,
            "records": self._records,
            "retries": self._retries,
            "dead_letters": self._letters.count,
            "dead_letters_waiting": self._again.waiting,
            "time_since_write": age_s,
            "healthy": health.ok and self.state in (STARTING, RUNNING),
            "issues": list(health.issues),
            "counters": dict(health.counters),
        }

    async def _feed(self) -> bool:
        """Open the sink and feed it; False when its database was replaced."""
        try:
            await self._feed_opened()
        except SinkReplaced as error:
            # Registered again at its lower cursor: the journal knows what to do.
            await self._pause(error)
            return False
        return True

    async def _feed_opened(self) -> None:
        position = await self._open()
        if position is None:
            return
        await self._again.load(position)
        held: Batch | None = None
        held_ns = 0
        while not self._abandoned:
            batch = None
            if self._target is None or position < self._target:
                batch = await self._journal.next_batch(
                    position,
                    self._settings.max_records,
                    self._settings.max_bytes,
                    sink=self.name,
                )
            if batch is not None:
                position = batch.last_position
                wanted = self._again.completed(self._filter.batch(batch))
                if not len(wanted):
                    # Nothing for this sink: its cursor may follow a little later.
                    if held is None:
                        held_ns = self._clock.monotonic_ns()
                    held = wanted
                    if self._held_s(held_ns) < self._settings.cursor_s:
                        continue
                else:
                    held = None
                if not await self._poison.write(wanted):
                    return
                await self._again.stored(position)
                held = None
                continue
            if held is not None and (
                self._target is not None
                or self._held_s(held_ns) >= self._settings.cursor_s
            ):
                if not await self._poison.write(held):
                    return
                held = None
            if self._target is not None and position >= self._target:
                return
            wait_s = None
            if held is not None:
                wait_s = max(0.0, self._settings.cursor_s - self._held_s(held_ns))
            await self._wait_beyond(position, wait_s)

    def _held_s(self, held_ns: int) -> float:
        return (self._clock.monotonic_ns() - held_ns) / 1e9

    async def _open(self) -> int | None:
        """Open the sink, for ever while it is unavailable; None when stopped."""
        while not self._abandoned:
            try:
                position = await self._busy(self._open_sink)
            except (SinkUnavailable, OSError) as error:
                if self._target is not None:
                    return None
                await self._pause(error)
                continue
            cursor = self._journal.register_sink(
                self.name, position, own_cursor=self._settings.own_cursor
            )
            self._change(RUNNING, "opened")
            self._backoff.reset()
            return cursor
        return None

    async def _write(self, batch: Batch) -> bool:
        """Store *batch*, for ever while the sink is away; False when given up.

        Raises:
            SinkRejected: the sink can never store it.
        """
        while not self._abandoned:
            try:
                await self._store(batch)
                return True
            except (SinkUnavailable, OSError) as error:
                await self._pause(error)
        return False

    async def _store(self, batch: Batch) -> None:
        """One write, never cancelled half-way, and the cursor after it."""

        async def write() -> None:
            await self._sink.write(batch)
            self._journal.advance_cursor(self.name, batch.last_position)

        await self._busy(write)
        self._batches += 1
        self._records += len(batch)
        self._last_write_ns = self._clock.monotonic_ns()
        self._backoff.reset()
        self._change(RUNNING, "storing")

    async def _open_sink(self) -> int | None:
        return await self._sink.open(self._journal.journal_id)

    async def _busy(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """A call into the sink: shielded, and marked so that a stop can bound it.

        Raises:
            _Abandoned: the stop's deadline and its grace are over.
        """
        # A cancelled owner gets no further call; one that runs already ends.
        await anyio.lowlevel.checkpoint_if_cancelled()
        self._idle = anyio.Event()
        try:
            with anyio.CancelScope(shield=True) as self._write_scope:
                return await call()
        finally:
            self._write_scope = None
            self._idle.set()
        raise _Abandoned

    async def _pause(self, error: SinkUnavailable | SinkReplaced | OSError) -> None:
        """Wait before the next try; a stop ends the wait."""
        self._retries += 1
        self._change(UNAVAILABLE, str(error))
        delay_s = self._backoff.next_delay_s()
        if self._abandoned:
            return
        with anyio.CancelScope() as self._wait_scope:
            await self._clock.sleep(delay_s)
        self._wait_scope = None

    async def _wait_beyond(self, position: int, wait_s: float | None) -> None:
        """Wait for rows; a stop, or *wait_s* seconds, end it."""
        if self._target is not None:
            return
        with anyio.CancelScope() as self._wait_scope:
            if wait_s is None:
                # Nothing new for hours is no fault: no deadline.
                await self._journal.wait_beyond(position)
            else:
                with anyio.move_on_after(wait_s):
                    await self._journal.wait_beyond(position)
        self._wait_scope = None

    def _interrupt(self) -> None:
        if self._wait_scope is not None:
            self._wait_scope.cancel()

    async def _guard(self) -> None:
        """When the owner cancels us, let the write that runs end within the grace."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                with anyio.move_on_after(self._settings.grace_s):
                    await self._idle.wait()
            if self._write_scope is not None:
                self._write_scope.cancel()

    async def _close(self) -> None:
        with anyio.move_on_after(self._settings.close_s, shield=True) as scope:
            # Closing is the last thing: its failure is told, and changes nothing.
            try:
                await self._sink.close()
            except Exception as error:
                self.reason = f"closing failed: {error}"
        if scope.cancelled_caught:
            self.reason = f"closing took more than {self._settings.close_s} s"
        if self.state != FAILED:
            self._change(STOPPED, self.reason or "closed")

    def _fail(self, error: Exception) -> None:
        if isinstance(error, JournalError) and self._target is not None:
            return
        self._change(FAILED, str(error) or type(error).__name__)

    def _change(self, state: str, reason: str) -> None:
        before = self.state
        if before == state:
            if state == UNAVAILABLE:
                self.reason = reason
            return
        self.state = state
        self.reason = "" if state == RUNNING else reason
        if state == RUNNING:
            self._reports.back()
        elif state == UNAVAILABLE:
            self._reports.away(reason, "the journal keeps its rows until it is back")
        elif state == FAILED:
            self._reports.failed(reason)
        if self._changed is not None:
            self._changed(
                StatusChange(
                    f"sink {self.name}", before, state, reason, self._clock.wall_ns()
                )
            )
