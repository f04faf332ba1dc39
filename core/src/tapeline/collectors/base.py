"""The collector that users subclass: six methods, the rest comes with it."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from tapeline.collectors.callbacks import Callback, CallbackErrors
from tapeline.collectors.validation import validate_ohlcv_data
from tapeline.config import Defaults
from tapeline.delivery import callback_name, is_async
from tapeline.errors import DataValidationError, TapelineError
from tapeline.logs import ConditionalLogger
from tapeline.model import (
    CollectorStatus,
    DataType,
    MarketDataPoint,
    OHLCVData,
    datetime_from_ns,
)
from tapeline.runtime import Backoff, current_seams

_STOP_TIMEOUT_S = 10.0
_RESTARTS = 5


class BaseDataCollector(abc.ABC):
    """Collects data of one exchange; supervised, counted, with callbacks.

    Args:
        exchange_name: name of the exchange, e.g. ``"okx"``.
        symbols: canonical symbols.
        data_types: default ``[DataType.CANDLE]``.
        component_name: for logs and managers; made from the exchange by default.
        auto_restart: start again after failures.
        health_check_interval: seconds between health checks.
        logger: None keeps the collector silent.
        log_errors_only: log errors and critical messages only.
    """

    def __init__(
        self,
        exchange_name: str,
        symbols: list[str],
        data_types: list[DataType] | None = None,
        component_name: str | None = None,
        auto_restart: bool = True,
        health_check_interval: float = 30.0,
        logger: logging.Logger | None = None,
        log_errors_only: bool = False,
    ) -> None:
        given: object = symbols
        if isinstance(given, str):
            raise TypeError(
                f"expected a list of symbols, found the text {given!r}; "
                f"write [{given!r}]"
            )
        self.exchange_name = exchange_name
        self.symbols: list[str] = list(dict.fromkeys(symbols))
        self.data_types: list[DataType | str] = list(data_types or [DataType.CANDLE])
        self.component_name = component_name or f"{exchange_name}_collector"
        self.auto_restart = auto_restart
        self.health_check_interval = health_check_interval
        self.logger = logger
        self.log_errors_only = log_errors_only
        self.status = CollectorStatus.STOPPED
        self.websocket: Any = None
        self._log = ConditionalLogger(logger, log_errors_only)
        self._defaults = Defaults.from_environ()
        self._data_callbacks: dict[DataType | str, list[Callback]] = {
            data_type: [] for data_type in DataType
        }
        self._callback_errors = CallbackErrors()
        self._pending_changes: set[asyncio.Task[None]] = set()
        self._should_be_running = False
        self._publish: Callable[[Sequence[MarketDataPoint]], None] | None = None
        self._restarting = False
        self._turn: anyio.Lock | None = None
        self._owner: asyncio.Task[None] | None = None
        self._stop_event: anyio.Event | None = None
        self._seams = current_seams()
        self._backoff = self._new_backoff()
        self._messages_received = 0
        self._messages_processed = 0
        self._errors = 0
        self._restarts = 0
        self._reconnect_attempts = 0
        self._last_error: str | None = None
        self._started_ns: int | None = None
        self._connected_ns: int | None = None
        self._heartbeat_ns: int | None = None
        self._data_ns: int | None = None
        self._last_message_wall_ns: int | None = None
        self._last_restart_wall_ns: int | None = None

    # -- what a subclass implements ---------------------------------------------

    @abc.abstractmethod
    async def connect(self) -> bool:
        """Connect to the venue; False (or an exception) when that failed."""

    @abc.abstractmethod
    async def disconnect(self) -> None:
        """Let the connection go; safe when there is none."""
        websocket, self.websocket = self.websocket, None
        close = getattr(websocket, "close", None)
        if close is not None:
            with anyio.move_on_after(_STOP_TIMEOUT_S):
                outcome = close()
                if hasattr(outcome, "__await__"):
                    await outcome

    @abc.abstractmethod
    async def subscribe_to_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        """Ask for these streams; False when the venue refused."""

    @abc.abstractmethod
    async def unsubscribe_from_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        """Let these streams go; False when the venue refused."""

    @abc.abstractmethod
    async def _process_message(self, message: Any) -> MarketDataPoint | None:
        """Turn one message of the venue into a data point, or None."""

    @abc.abstractmethod
    async def _handle_messages(self) -> None:
        """Handle what is there and return; called again and again.

        Each return is a heartbeat. ``ConnectionError``, ``TimeoutError`` and
        ``OSError`` lead to ``_handle_connection_error``; a
        ``DataValidationError`` is counted; anything else restarts the collector.
        """

    # -- life -------------------------------------------------------------------

    async def start(self) -> bool:
        """Connect, subscribe, and collect in the background.

        Returns:
            False on failure; ``get_status()['statistics']['last_error']`` says why.
        """
        async with self._one_at_a_time():
            return await self._start()

    async def _start(self) -> bool:
        if self._owner is not None and not self._owner.done():
            self._log_warning(f"{self.component_name} runs already")
            return True
        self._should_be_running = True
        self.status = CollectorStatus.STARTING
        self._log_info(f"starting {self.component_name}")
        if not await self._open():
            self.status = CollectorStatus.ERROR
            await self._close_quietly()
            return False
        self._started_ns = self._seams.clock.monotonic_ns()
        self.status = CollectorStatus.RUNNING
        self._stop_event = anyio.Event()
        # The owner task outlives this call by design; stop() awaits it.
        self._owner = asyncio.create_task(
            self._own(self._stop_event), name=f"tapeline-{self.component_name}"
        )
        return True

    async def stop(self, force: bool = False) -> None:
        """End collecting; with *force* nothing is waited for longer than needed."""
        async with self._one_at_a_time():
            await self._stop(force)

    async def _stop(self, force: bool = False) -> None:
        self._should_be_running = False
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
                await asyncio.wait([owner], timeout=_STOP_TIMEOUT_S)
        self._owner = None
        await self._close_quietly()
        self.status = CollectorStatus.STOPPED
        self._log_info(f"stopped {self.component_name}")

    async def restart(self) -> bool:
        """Stop and start again; counted in the statistics."""
        async with self._one_at_a_time():
            self.status = CollectorStatus.RESTARTING
            self._restarts += 1
            self._last_restart_wall_ns = self._seams.clock.wall_ns()
            self._log_info(f"restarting {self.component_name}")
            self._restarting = True
            try:
                await self._stop()
                return await self._start()
            finally:
                self._restarting = False

    def _one_at_a_time(self) -> anyio.Lock:
        """Starts and stops of one collector never overlap."""
        if self._turn is None:
            self._turn = anyio.Lock()
        return self._turn

    async def _open(self) -> bool:
        try:
            if not await self.connect():
                self._remember("connect() returned False")
                return False
            self._connected_ns = self._seams.clock.monotonic_ns()
            types: Any = list(self.data_types)
            if not await self.subscribe_to_data(list(self.symbols), types):
                self._remember("subscribe_to_data() returned False")
                return False
        except Exception as error:  # a supervisor: a subclass may raise anything
            self._remember(_text(error), error)
            return False
        self._heartbeat_ns = self._seams.clock.monotonic_ns()
        return True

    async def _own(self, stop: anyio.Event) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._collect, tasks.cancel_scope)
            # Waits for stop() for as long as the user wants to collect.
            await stop.wait()
            tasks.cancel_scope.cancel()

    async def _collect(self, scope: anyio.CancelScope) -> None:
        while True:
            try:
                await self._handle_messages()
                self._heartbeat_ns = self._seams.clock.monotonic_ns()
                # A handler that returns at once must not starve the loop.
                await anyio.lowlevel.checkpoint()
            except DataValidationError as error:
                self._errors += 1
                self._log_warning(f"skipped bad data: {error}")
            except OSError as error:
                # ConnectionError and TimeoutError are OSErrors.
                self._remember(_text(error), error)
                self.status = CollectorStatus.ERROR
                if not await self._recover():
                    scope.cancel()
                    return
                self.status = CollectorStatus.RUNNING
            except Exception as error:  # a supervisor: anything else restarts
                self._remember(_text(error), error)
                if not self.auto_restart or not await self._reopen():
                    self.status = CollectorStatus.ERROR
                    scope.cancel()
                    return

    async def _recover(self) -> bool:
        """``_handle_connection_error``, which a subclass may have replaced."""
        try:
            return await self._handle_connection_error()
        except Exception as error:  # a supervisor: a subclass may raise anything
            self._remember(_text(error), error)
            return self.auto_restart and await self._reopen()

    async def _handle_connection_error(self) -> bool:
        """Reconnect until it works; False to give up (a subclass may decide)."""
        self._log_warning(
            f"connection of {self.component_name} lost: {self._last_error}"
        )
        while self._should_be_running:
            self._reconnect_attempts += 1
            await self._close_quietly()
            await self._seams.clock.sleep(self._backoff.next_delay_s())
            if await self._open():
                self._backoff = self._new_backoff()
                self._reconnect_attempts = 0
                return True
            if self._reconnect_attempts == self._defaults.max_reconnect_attempts:
                self.status = CollectorStatus.ERROR
                self._log_error(
                    f"{self.component_name}: {self._reconnect_attempts} attempts to "
                    "reconnect failed; trying on at the slowest rate"
                )
        return False

    async def _reopen(self) -> bool:
        """Start over after an unexpected error, up to five times in a row."""
        self._restarting = True
        try:
            for _ in range(_RESTARTS):
                self.status = CollectorStatus.RESTARTING
                self._restarts += 1
                self._last_restart_wall_ns = self._seams.clock.wall_ns()
                await self._close_quietly()
                await self._seams.clock.sleep(self._backoff.next_delay_s())
                if await self._open():
                    self.status = CollectorStatus.RUNNING
                    return True
            return False
        finally:
            self._restarting = False

    def _new_backoff(self) -> Backoff:
        return Backoff(self._seams.random, first_cap_s=self._defaults.reconnect_delay_s)

    async def _close_quietly(self) -> None:
        try:
            await self.disconnect()
        except Exception as error:  # a supervisor: closing must not stop the stop
            self._log_warning(f"disconnect failed: {error}")
        self._connected_ns = None

    def _remember(self, text: str, error: BaseException | None = None) -> None:
        self._errors += 1
        self._last_error = text
        self._log_error(
            f"{self.component_name}: {text}",
            exc_info=error is not None and not isinstance(error, OSError),
        )

    def publish_to(
        self, publish: Callable[[Sequence[MarketDataPoint]], None] | None
    ) -> None:
        """Where points go besides the callbacks; a manager with sinks sets it."""
        self._publish = publish

    # -- callbacks --------------------------------------------------------------

    def add_data_callback(self, data_type: DataType | str, callback: Callback) -> None:
        """Call *callback* (sync or async) with every point of *data_type*."""
        callbacks = self._data_callbacks.setdefault(data_type, [])
        if callback not in callbacks:
            callbacks.append(callback)

    def remove_data_callback(
        self, data_type: DataType | str, callback: Callback
    ) -> None:
        """Stop calling *callback*; nothing happens when it is not there."""
        callbacks = self._data_callbacks.get(data_type, [])
        if callback in callbacks:
            callbacks.remove(callback)

    async def _notify_callbacks(self, data_point: MarketDataPoint) -> None:
        """Give *data_point* to its callbacks; one that raises hurts nobody else.

        In a manager with sinks it is stored as well.
        """
        self._count_point()
        if self._publish is not None:
            self._publish([data_point])
        for callback in tuple(self._data_callbacks.get(data_point.data_type, ())):
            try:
                if is_async(callback):
                    await callback(data_point)
                else:
                    callback(data_point)
            except Exception as error:  # a supervisor: a user's callback may raise
                self._callback_failed(callback, error)

    def _count_point(self) -> None:
        self._messages_processed += 1
        self._data_ns = self._seams.clock.monotonic_ns()
        self._last_message_wall_ns = self._seams.clock.wall_ns()

    def _callback_failed(self, callback: Callback, error: Exception) -> None:
        times = self._callback_errors.count(callback)
        self._errors += 1
        if times & (times - 1) == 0:
            self._log_error(
                f"callback {callback_name(callback)} raised {type(error).__name__}: "
                f"{error} ({times} times so far)"
            )

    # -- symbols ----------------------------------------------------------------

    def add_symbol(self, symbol: str) -> None:
        """Collect *symbol* too; subscribed at once when running."""
        if symbol in self.symbols:
            return
        self.symbols.append(symbol)
        self._schedule(self.subscribe_to_data, symbol)

    def remove_symbol(self, symbol: str) -> None:
        """Do not collect *symbol* any more; unsubscribed at once when running."""
        if symbol not in self.symbols:
            return
        self.symbols.remove(symbol)
        self._schedule(self.unsubscribe_from_data, symbol)

    def _schedule(self, change: Any, symbol: str) -> None:
        owner = self._owner
        if owner is None or owner.done():
            return

        async def apply() -> None:
            try:
                await change([symbol], list(self.data_types))
            except Exception as error:  # a supervisor: a subclass may raise anything
                self._remember(f"{symbol}: {error}", error)

        task = owner.get_loop().create_task(apply())
        # Kept so that it is not collected while it runs; it ends by itself.
        self._pending_changes.add(task)
        task.add_done_callback(self._pending_changes.discard)

    # -- status -----------------------------------------------------------------

    def get_status(self) -> dict[str, Any]:
        """The collector's state and statistics, JSON-ready."""
        return {
            "exchange": self.exchange_name,
            "status": self.status.value,
            "should_be_running": self._should_be_running,
            "symbols": list(self.symbols),
            "data_types": [str(data_type) for data_type in self.data_types],
            "auto_restart": self.auto_restart,
            "health": {
                "time_since_heartbeat": self._age_s(self._heartbeat_ns),
                "time_since_data": self._age_s(self._data_ns),
                "max_silence_duration": self._defaults.max_silence_duration_s,
            },
            "statistics": {
                "messages_received": self._messages_received,
                "messages_processed": self._messages_processed,
                "errors": self._errors,
                "restarts": self._restarts,
                "uptime_seconds": self._uptime_s(self._started_ns),
                "reconnect_attempts": self._reconnect_attempts,
                "last_message_time": _iso(self._last_message_wall_ns),
                "connection_uptime": self._uptime_s(self._connected_ns),
                "last_error": self._last_error,
                "last_restart_time": _iso(self._last_restart_wall_ns),
            },
        }

    def get_health_status(self) -> dict[str, Any]:
        """Whether the collector does its work, and what is wrong in sentences."""
        issues = self._issues()
        return {
            "is_healthy": not issues,
            "issues": issues,
            "status": self.status.value,
            "last_heartbeat": self._iso_ago(self._heartbeat_ns),
            "last_data_received": self._iso_ago(self._data_ns),
            "should_be_running": self._should_be_running,
            "is_running": self.status is CollectorStatus.RUNNING,
        }

    def _issues(self) -> list[str]:
        issues: list[str] = []
        if self._should_be_running and self.status is not CollectorStatus.RUNNING:
            reason = f": {self._last_error}" if self._last_error else ""
            issues.append(f"the collector is {self.status.value}{reason}")
        silence = self._age_s(self._data_ns)
        limit = self._defaults.max_silence_duration_s
        running = self.status is CollectorStatus.RUNNING
        if running and silence is not None and silence > limit:
            issues.append(f"no data for {silence:.0f} s, more than {limit:.0f} s")
        if not self._check_connection_health():
            issues.append("the connection is not healthy")
        return issues

    def _check_connection_health(self) -> bool:
        """Whether the connection is good; a subclass may know better."""
        return True

    def _age_s(self, since_ns: int | None) -> float | None:
        if since_ns is None:
            return None
        return (self._seams.clock.monotonic_ns() - since_ns) / 1e9

    def _uptime_s(self, since_ns: int | None) -> float | None:
        if self.status is CollectorStatus.STOPPED:
            return None
        return self._age_s(since_ns)

    def _iso_ago(self, monotonic_ns: int | None) -> str | None:
        if monotonic_ns is None:
            return None
        clock = self._seams.clock
        return _iso(clock.wall_ns() - (clock.monotonic_ns() - monotonic_ns))

    # -- data and log -----------------------------------------------------------

    def validate_ohlcv_data(
        self, data: Mapping[str, Any], symbol: str, timeframe: str
    ) -> OHLCVData:
        """The bar in *data*, exact.

        Raises:
            DataValidationError: every violation is named.
        """
        return validate_ohlcv_data(data, symbol, timeframe)

    def _log_debug(self, message: str) -> None:
        self._log.debug(message)

    def _log_info(self, message: str) -> None:
        self._log.info(message)

    def _log_warning(self, message: str) -> None:
        self._log.warning(message)

    def _log_error(self, message: str, exc_info: bool = False) -> None:
        self._log.error(message, exc_info=exc_info)

    def _log_critical(self, message: str, exc_info: bool = False) -> None:
        self._log.critical(message, exc_info=exc_info)


def _text(error: BaseException) -> str:
    """The error for people: its sentence, with its kind where that says little."""
    sentence = str(error)
    if isinstance(error, TapelineError) and sentence:
        return sentence
    kind = type(error).__name__
    return f"{kind}: {sentence}" if sentence else kind


def _iso(wall_ns: int | None) -> str | None:
    return None if wall_ns is None else datetime_from_ns(wall_ns).isoformat()
