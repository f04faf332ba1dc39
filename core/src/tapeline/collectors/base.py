"""The collector that users subclass: six methods, the rest comes with it."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs

from tapeline.collectors.callbacks import Callback, CallbackErrors, CallbackTasks
from tapeline.collectors.defaults import DEFAULT_HEALTH_CHECK_INTERVAL
from tapeline.collectors.life import CollectorLife
from tapeline.collectors.own_points import OwnPoints
from tapeline.collectors.sinks import SinkLike, resolve_sink
from tapeline.collectors.validation import validate_ohlcv_data
from tapeline.delivery import callback_name, is_async
from tapeline.errors import TapelineError
from tapeline.model import (
    CollectorStatus,
    DataType,
    MarketDataPoint,
    OHLCVData,
)
from tapeline.runtime import Engine, SinkSettings

_CLOSE_TIMEOUT_S = 10.0


class BaseDataCollector(CollectorLife):
    """Collects data of one exchange; supervised, counted, with callbacks.

    Args:
        exchange_name: name of the exchange, as its plugin offers it.
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
        health_check_interval: float = DEFAULT_HEALTH_CHECK_INTERVAL,
        logger: logging.Logger | None = None,
        log_errors_only: bool = False,
    ) -> None:
        given: object = symbols
        if isinstance(given, str):
            raise TypeError(
                f"expected a list of symbols, found the text {given!r}; "
                f"write [{given!r}]"
            )
        super().__init__(
            component_name or f"{exchange_name}_collector",
            auto_restart,
            health_check_interval,
            logger,
            log_errors_only,
        )
        self.exchange_name = exchange_name
        self.symbols = list(dict.fromkeys(symbols))
        self.data_types = list(data_types or [DataType.CANDLE])
        self._data_callbacks: dict[DataType | str, list[Callback]] = {
            data_type: [] for data_type in DataType
        }
        self._callback_errors = CallbackErrors()
        self._callback_tasks = CallbackTasks(
            self._seams.clock,
            self._callback_failed,
            self._callback_is_slow,
            self._enter,
        )
        self._sinks: list[SinkSettings] = []
        self._seen_symbols = set(self.symbols)
        self._store: Engine | None = None
        self._publish: Callable[[Sequence[MarketDataPoint]], None] | None = None

    @abc.abstractmethod
    async def disconnect(self) -> None:
        """Let the connection go; safe when there is none."""
        websocket, self.websocket = self.websocket, None
        close = getattr(websocket, "close", None)
        if close is not None:
            with anyio.move_on_after(_CLOSE_TIMEOUT_S):
                outcome = close()
                if hasattr(outcome, "__await__"):
                    await outcome

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
        self._callback_tasks.remove(callback)

    async def _notify_callbacks(self, data_point: MarketDataPoint) -> None:
        """Give *data_point* to its callbacks; one that raises hurts nobody else.

        While the collector runs, an asynchronous callback has a task and a bounded
        queue of its own, so that one that takes long hurts nobody else either. With
        sinks the point is stored as well.
        """
        self._vitals.count_point()
        if self._publish is not None:
            self._publish([data_point])
        for callback in tuple(self._data_callbacks.get(data_point.data_type, ())):
            try:
                if is_async(callback) or self._callback_tasks.knows(callback):
                    if not self._callback_tasks.offer(callback, data_point):
                        await callback(data_point)
                    continue
                outcome = callback(data_point)
                if outcome is not None:
                    self._callback_tasks.finish(callback, outcome)
            except Exception as error:  # a supervisor: a user's callback may raise
                self._callback_failed(callback, error)

    def _callback_failed(self, callback: Callback, error: Exception) -> None:
        times = self._callback_errors.count(callback)
        self._vitals.errors += 1
        if times & (times - 1) == 0:
            self._log_error(
                f"callback {callback_name(callback)} raised {type(error).__name__}: "
                f"{error} ({times} times so far)"
            )

    def _callback_is_slow(self, callback: Callback, dropped: int) -> None:
        name = callback_name(callback)
        self._repeats.warning(
            f"slow callback {name}",
            "callback %s is too slow; it has missed %d points so far",
            name,
            dropped,
        )

    # -- storing ----------------------------------------------------------------

    def add_sink(self, sink: SinkLike) -> None:
        """Store what this collector receives; before ``start``.

        Of a collector of one's own, bars, trades with a whole number as id, tickers
        and books are stored.

        Args:
            sink: a plugin's sink configuration (``AcmeConfig("market.db")``), a
                mapping as in the configuration file (``{"use": "acme", …}``), or
                ``SinkSettings``.
        """
        self._sinks.append(resolve_sink(sink, len(self._sinks)))

    @property
    def has_sinks(self) -> bool:
        """Whether sinks were added to this collector itself."""
        return bool(self._sinks)

    def own_sinks(self, *, embedded: bool = True) -> list[SinkSettings]:
        """The sinks that were added to it.

        Args:
            embedded: give the embedded database when it has none and needs one; only
                collectors of installed exchanges need one.
        """
        return [
            attrs.evolve(
                sink, name=f"{self.component_name}.{sink.name}", only=self._is_own
            )
            for sink in self._sinks
        ]

    def publish_into(self, engine: Engine) -> None:
        """Store what it makes by the sinks of *engine*."""
        points = OwnPoints(engine, self.exchange_name, self._seams.clock, self._repeats)
        self.publish_to(points.publish)

    def _is_own(self, record: object) -> bool:
        """Whether a record of the journal belongs to this collector's streams."""
        stream = getattr(record, "stream", None)
        return (
            stream is not None
            and stream.exchange == self.exchange_name
            and stream.symbol in self._seen_symbols
        )

    async def _start(self) -> bool:
        try:
            await self._open_store()
        except TapelineError as error:
            self._remember(str(error))
            self.status = CollectorStatus.ERROR
            return False
        started = await super()._start()
        if not started:
            await self._close_store()
        return started

    async def _stop(self, force: bool = False) -> None:
        await super()._stop(force)
        await self._close_store(force)

    async def _own(self, stop: anyio.Event) -> None:
        async with self._callback_tasks.running():
            await super()._own(stop)

    async def _open_store(self) -> None:
        """An engine for sinks of its own, when no manager has one."""
        if self._store is not None or self._publish is not None or not self._sinks:
            return
        self._store = store = Engine(self._seams)
        for sink in self.own_sinks():
            store.add_sink(sink)
        try:
            await store.start()
        except BaseException:
            with anyio.CancelScope(shield=True):
                # Bounded by the engine's own deadlines.
                await self._close_store(force=True)
            raise
        self.publish_into(store)

    async def _close_store(self, force: bool = False) -> None:
        store, self._store = self._store, None
        if store is not None:
            self.publish_to(None)
            await store.stop(force=force)

    # -- symbols ----------------------------------------------------------------

    def add_symbol(self, symbol: str) -> None:
        """Collect *symbol* too; subscribed at once when running."""
        if symbol in self.symbols:
            return
        self.symbols.append(symbol)
        self._seen_symbols.add(symbol)
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

        self._asides.begin(apply(), owner.get_loop())

    # -- status -----------------------------------------------------------------

    def get_status(self) -> dict[str, Any]:
        """The collector's state and statistics, JSON-ready."""
        vitals = self._vitals
        return {
            "exchange": self.exchange_name,
            "status": self.status.value,
            "should_be_running": self._should_be_running,
            "symbols": list(self.symbols),
            "data_types": [str(data_type) for data_type in self.data_types],
            "auto_restart": self.auto_restart,
            "health": {
                "time_since_heartbeat": vitals.age_s(vitals.heartbeat_ns),
                "time_since_data": vitals.age_s(vitals.data_ns),
                "max_silence_duration": self._defaults.max_silence_duration_s,
            },
            "statistics": vitals.statistics(
                stopped=self.status is CollectorStatus.STOPPED
            ),
        }

    def get_health_status(self) -> dict[str, Any]:
        """Whether the collector does its work, and what is wrong in sentences."""
        issues = self._issues()
        return {
            "is_healthy": not issues,
            "issues": issues,
            "status": self.status.value,
            "last_heartbeat": self._vitals.date_of(self._vitals.heartbeat_ns),
            "last_data_received": self._vitals.date_of(self._vitals.data_ns),
            "should_be_running": self._should_be_running,
            "is_running": self.status is CollectorStatus.RUNNING,
        }

    def _issues(self) -> list[str]:
        issues: list[str] = []
        if self.failed:
            issues.append(f"the collector has failed: {self.failed}")
        elif self._should_be_running and self.status is not CollectorStatus.RUNNING:
            reason = f": {self._vitals.last_error}" if self._vitals.last_error else ""
            issues.append(f"the collector is {self.status.value}{reason}")
        silence = self._silence_s()
        limit = self._defaults.max_silence_duration_s
        running = self.status is CollectorStatus.RUNNING
        if running and silence is not None and silence > limit:
            issues.append(f"no data for {silence:.0f} s, more than {limit:.0f} s")
        if not self._checkup.connection_is_healthy:
            issues.append("the connection is not healthy")
        return issues

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
