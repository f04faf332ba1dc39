"""The life of one collector: start, watch, recover, restart, stop.

A fault of the connection is recovered from without end; anything else costs a
restart, of which there are a few an hour.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel

from tapeline.collectors.checkup import Checkup
from tapeline.collectors.connecting import Connecting
from tapeline.collectors.defaults import health_check_interval_s
from tapeline.collectors.inside import Asides, enter, is_inside, outside
from tapeline.collectors.six_methods import SixMethods
from tapeline.collectors.vitals import Vitals, sentence_of
from tapeline.config import Defaults
from tapeline.errors import DataValidationError
from tapeline.logs import ConditionalLogger, RateLimitedLog
from tapeline.model import CollectorStatus, DataType, StatusChange
from tapeline.runtime import Backoff, RestartBudget, current_seams

_STOP_TIMEOUT_S = 10.0
_FORCED_TIMEOUT_S = 1.0
FAILED = "failed"
"""What observers are told when no restart is left; the status stays ``error``."""


class CollectorLife(SixMethods):
    """Runs the six methods of a subclass, and starts them again when they fail."""

    max_restarts = 5
    """Restarts an hour, for anything that is not the connection's fault."""
    open_timeout_s: float = 60.0
    """How long connecting and subscribing may take together."""
    close_timeout_s: float = 10.0
    """How long ``disconnect`` may take."""

    def __init__(
        self,
        component_name: str,
        auto_restart: bool,
        health_check_interval: float,
        logger: logging.Logger | None,
        log_errors_only: bool,
    ) -> None:
        self.component_name = component_name
        self.auto_restart = auto_restart
        self.logger = logger
        self.log_errors_only = log_errors_only
        self.websocket: Any = None
        self.symbols: list[str] = []
        self.data_types: list[DataType | str] = []
        self.failed = ""
        self._status = CollectorStatus.STOPPED
        self._observer: Callable[[StatusChange], None] | None = None
        self._log = ConditionalLogger(logger, log_errors_only)
        self._defaults = Defaults.from_environ()
        self.health_check_interval = health_check_interval_s(
            health_check_interval, self._defaults
        )
        self._seams = current_seams()
        self._repeats = RateLimitedLog(self._log, self._seams.clock)
        self._backoff = self._new_backoff()
        self._budget = RestartBudget()
        self._should_be_running = False
        self._restarting = False
        self._recovering = False
        self._forced = False
        self._turn: anyio.Lock | None = None
        self._owner: asyncio.Task[None] | None = None
        self._stop_event: anyio.Event | None = None
        self._asides = Asides()
        self._vitals = Vitals(self._seams.clock)
        self._checkup = Checkup(
            self._vitals,
            self._defaults.max_silence_duration_s,
            # A plain function may replace it, at any time.
            lambda: self._check_connection_health(),
            self._caught,
        )
        self._opener = Connecting(self, self._vitals, self._remember, self._log)

    # -- status -------------------------------------------------------------------

    @property
    def status(self) -> CollectorStatus:
        """What the collector is doing."""
        return self._status

    @status.setter
    def status(self, after: CollectorStatus) -> None:
        before, self._status = self._status, after
        if before is not after:
            self._tell(before.value, after.value, self._vitals.last_error or "")

    def observe(self, observer: Callable[[StatusChange], None] | None) -> None:
        """Tell *observer* of every change of status; a manager does."""
        self._observer = observer

    def _tell(self, before: str, after: str, reason: str) -> None:
        if self._observer is not None:
            name, now_ns = self.component_name, self._seams.clock.wall_ns()
            change = StatusChange(f"collector {name}", before, after, reason, now_ns)
            self._observer(change)

    @property
    def needs_start(self) -> bool:
        """Whether it should run, does not, and another start may help."""
        ended = self._owner is None or self._owner.done()
        wanted = self._should_be_running and self.auto_restart
        return wanted and ended and not self.failed and self._turn_is_free

    # -- start and stop -----------------------------------------------------------

    async def start(self) -> bool:
        """Connect, subscribe, and collect in the background.

        Returns:
            False on failure; ``get_status()['statistics']['last_error']`` says why.
        """
        async with self._one_at_a_time():
            return await self._start()

    async def _start(self) -> bool:
        if self._owner is not None and not self._owner.done():
            self._log.warning(f"{self.component_name} runs already")
            return True
        self._should_be_running = True
        self._forced = False
        self.failed = ""
        self.status = CollectorStatus.STARTING
        self._log.info(f"starting {self.component_name}")
        if not await self._open():
            if self.failed:
                self._fail(self.failed)
            else:
                self.status = CollectorStatus.ERROR
            await self._close_quietly()
            return False
        self._vitals.started_ns = self._seams.clock.monotonic_ns()
        self.status = CollectorStatus.RUNNING
        self._stop_event = anyio.Event()
        # The owner task outlives this call by design; stop() awaits it.
        self._owner = asyncio.create_task(
            self._own(self._stop_event), name=f"tapeline-{self.component_name}"
        )
        return True

    async def stop(self, force: bool = False) -> None:
        """End collecting, within a deadline whatever a subclass does.

        Called from a callback it returns at once, and the end follows.

        Args:
            force: do not wait for what is under way.
        """
        self._should_be_running = False
        self._forced = force
        self._opener.cut()
        if self.is_inside:
            self._detached(self.stop(force))
            return
        async with self._one_at_a_time():
            await self._stop(force)

    async def _stop(self, force: bool = False) -> None:
        self._should_be_running = False
        self._forced = force
        owner = self._owner
        if owner is None and self.status is CollectorStatus.STOPPED:
            return
        self.status = CollectorStatus.STOPPING
        if self._stop_event is not None:
            self._stop_event.set()
        if owner is not None:
            timeout = 0.1 if force else _STOP_TIMEOUT_S
            done, _ = await asyncio.wait([owner], timeout=timeout)
            if not done:
                owner.cancel()
                timeout = _FORCED_TIMEOUT_S if force else _STOP_TIMEOUT_S
                await asyncio.wait([owner], timeout=timeout)
        self._owner = None
        await self._close_quietly()
        self._repeats.flush()
        self.status = CollectorStatus.STOPPED
        self._log.info(f"stopped {self.component_name}")

    async def restart(self) -> bool:
        """Stop and start again; counted in the statistics.

        Called from a callback it returns True at once, and the restart follows.
        """
        if self.is_inside:
            self._detached(self.restart())
            return True
        async with self._one_at_a_time():
            self.status = CollectorStatus.RESTARTING
            self._budget = RestartBudget()
            self._count_restart("asked for")
            self._restarting = True
            try:
                await self._stop()
                return await self._start()
            finally:
                self._restarting = False

    @property
    def is_inside(self) -> bool:
        """Whether the caller runs within this collector, and would wait for itself."""
        return is_inside(self)

    def _enter(self) -> None:
        """The current task is one of this collector's from now on."""
        enter(self)

    def _detached(self, job: Any) -> None:
        """Run *job* in a task of its own, outside of what it is going to end."""
        self._asides.begin(job, asyncio.get_running_loop(), outside())

    def _one_at_a_time(self) -> anyio.Lock:
        """Starts and stops of one collector never overlap."""
        if self._turn is None:
            self._turn = anyio.Lock()
        return self._turn

    @property
    def _turn_is_free(self) -> bool:
        return self._turn is None or not self._turn.locked()

    # -- running ------------------------------------------------------------------

    async def _own(self, stop: anyio.Event) -> None:
        self._enter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_running, tasks.cancel_scope)
            # Waits for stop() for as long as the user wants to collect.
            await stop.wait()
            tasks.cancel_scope.cancel()

    async def _keep_running(self, scope: anyio.CancelScope) -> None:
        while True:
            trouble = await self._run_until_trouble()
            if trouble is None or not await self._reopen(trouble):
                scope.cancel()
                return

    async def _run_until_trouble(self) -> str | None:
        """Collect and watch; why to restart, None when nothing is to be done."""
        ended: list[str | None] = []
        async with anyio.create_task_group() as tasks:

            async def until(part: Callable[[], Any]) -> None:
                ended.append(await part())
                tasks.cancel_scope.cancel()

            tasks.start_soon(until, self._collect)
            tasks.start_soon(until, self._watch)
        return ended[0]

    async def _collect(self) -> str | None:
        while True:
            try:
                await self._handle_messages()
                self._vitals.beat()
                # A handler that returns at once must not starve the loop.
                await anyio.lowlevel.checkpoint()
            except DataValidationError as error:
                self._vitals.errors += 1
                self._vitals.beat()
                self._repeats.warning("bad data", "skipped bad data: %s", error)
            except OSError as error:
                # ConnectionError and TimeoutError are OSErrors.
                self._caught(error)
                self.status = CollectorStatus.RESTARTING
                if not await self._recover():
                    self.status = CollectorStatus.ERROR
                    return None
                self.status = CollectorStatus.RUNNING
            except Exception as error:  # a supervisor: anything else restarts
                self._caught(error)
                if self.auto_restart:
                    return sentence_of(error)
                self.status = CollectorStatus.ERROR
                return None

    async def _watch(self) -> str:
        """Look after the collector; why it must be restarted."""
        found = False
        while True:
            await self._seams.clock.sleep(
                self._checkup.until_next_s(
                    self.health_check_interval, self._silence_s()
                )
            )
            if found:
                # Our own verdict is no reason to keep it.
                self._status = CollectorStatus.RUNNING
            trouble = None if self._recovering else await self._trouble()
            if found and trouble is not None:
                self._status = CollectorStatus.UNHEALTHY
            if trouble is None:
                if found:
                    found = False
                    self._tell("unhealthy", "running", "")
                continue
            if not found:
                found = True
                self._remember(trouble)
                self.status = CollectorStatus.UNHEALTHY
            if self.auto_restart:
                return trouble

    async def _trouble(self) -> str | None:
        """A sentence on why to restart; None while all is well."""
        trouble = await self._checkup.trouble(
            self.health_check_interval, self._silence_s()
        )
        failed = (CollectorStatus.ERROR, CollectorStatus.UNHEALTHY)
        if trouble is None and self.status in failed:
            return self._vitals.last_error or f"the status is {self.status}"
        return trouble

    async def _check_connection_health(self) -> bool:
        """Whether the connection is good; a subclass may know better.

        Asked at every health check; a plain function may replace it as well.
        """
        return getattr(self.websocket, "closed", None) is not True

    def _silence_s(self) -> float | None:
        """Seconds without data, since connecting at most; None when not connected."""
        return self._vitals.silence_s()

    # -- recovering ---------------------------------------------------------------

    async def _recover(self) -> bool:
        """``_handle_connection_error``, which a subclass may have replaced."""
        self._recovering = True
        try:
            return await self._handle_connection_error()
        except Exception as error:  # a supervisor: a subclass may raise anything
            self._caught(error)
            return self.auto_restart and await self._reopen(sentence_of(error))
        finally:
            self._recovering = False

    async def _handle_connection_error(self) -> bool:
        """Reconnect until it works; False to give up (a subclass may decide)."""
        self._log.warning(
            f"connection of {self.component_name} lost: {self._vitals.last_error}"
        )
        vitals = self._vitals
        while self._should_be_running:
            vitals.reconnect_attempts += 1
            await self._close_quietly()
            await self._seams.clock.sleep(self._backoff.next_delay_s())
            if await self._open():
                self._backoff = self._new_backoff()
                vitals.reconnect_attempts = 0
                return True
            if self.failed:
                self._fail(self.failed)
                return False
            if vitals.reconnect_attempts == self._defaults.max_reconnect_attempts:
                self.status = CollectorStatus.ERROR
                self._log.error(
                    f"{self.component_name}: {vitals.reconnect_attempts} attempts to "
                    "reconnect failed; trying on at the slowest rate"
                )
        return False

    async def _reopen(self, trouble: str) -> bool:
        """Start over because of *trouble*, within the budget of restarts."""
        self._restarting = True
        try:
            while self._should_be_running:
                if not self._budget.spend(
                    self._seams.clock.monotonic_ns(), self.max_restarts
                ):
                    self._fail(
                        f"restarted {self.max_restarts} times within an hour; {trouble}"
                    )
                    return False
                self.status = CollectorStatus.RESTARTING
                self._count_restart(trouble)
                await self._close_quietly()
                await self._seams.clock.sleep(self._backoff.next_delay_s())
                if await self._open():
                    self.status = CollectorStatus.RUNNING
                    return True
                if self.failed:
                    self._fail(self.failed)
                    return False
                trouble = self._vitals.last_error or trouble
            return False
        finally:
            self._restarting = False

    def _fail(self, reason: str) -> None:
        """No restart is left: say so, and stay in error until somebody asks."""
        self.failed = reason
        self._vitals.last_error = reason
        self._log.critical(f"{self.component_name} has failed: {reason}")
        before = self.status.value
        self._status = CollectorStatus.ERROR
        self._tell(before, FAILED, reason)

    def _count_restart(self, reason: str) -> None:
        self._vitals.count_restart()
        self._log.warning(
            f"restarting {self.component_name}, {self._vitals.restarts} so far: "
            f"{reason}"
        )

    async def _open(self) -> bool:
        opened = await self._opener.open(
            self.symbols, self.data_types, self.open_timeout_s
        )
        if opened:
            self._checkup.connection_is_healthy = True
            self._vitals.beat()
        else:
            self.failed = self._opener.final_error
        return opened

    async def _close_quietly(self) -> None:
        limit_s = self.close_timeout_s
        if self._forced and limit_s < math.inf:
            limit_s = _FORCED_TIMEOUT_S
        await self._opener.close(limit_s)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._seams.random, first_cap_s=self._defaults.reconnect_delay_s)

    def _remember(self, text: str, error: BaseException | None = None) -> None:
        self._vitals.count_error(text)
        self._log.error(
            f"{self.component_name}: {text}",
            exc_info=error is not None and not isinstance(error, OSError),
        )

    def _caught(self, error: Exception) -> None:
        self._remember(sentence_of(error), error)
