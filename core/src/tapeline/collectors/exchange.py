"""A collector of an exchange that has a plugin: the runtime does the work."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import anyio
import attrs

from tapeline.collectors.base import BaseDataCollector
from tapeline.collectors.callbacks import Callback
from tapeline.collectors.defaults import DEFAULT_HEALTH_CHECK_INTERVAL
from tapeline.collectors.options import split_custom_params
from tapeline.collectors.order_books import book_now
from tapeline.collectors.registry import plugins
from tapeline.collectors.sinks import default_sink
from tapeline.config import AUDIT_TIMEFRAME
from tapeline.delivery import LiveConsumer, is_async
from tapeline.errors import ConfigError, TapelineError
from tapeline.hookspecs import ExchangeAdapter
from tapeline.logs import PartLogger
from tapeline.model import (
    ALL_SYMBOLS,
    FROM_VENUE,
    Balance,
    BookSnapshot,
    Candle,
    CollectorStatus,
    DataType,
    MarketDataPoint,
    Subscription,
    width_ns,
)
from tapeline.runtime import Engine, EngineSettings, Feed, FeedSettings, SinkSettings

_HEARTBEAT_S = 0.5
_IDLE_HEARTBEAT_S = 5.0


class ExchangeCollector(BaseDataCollector):
    """Collects from an installed exchange plugin.

    Alone it runs an engine of its own; in a ``CollectorManager`` it shares the
    manager's.

    Args:
        exchange: name of the exchange, as its plugin offers it.
        symbol: one canonical symbol, or a list of them.
        data_types: default ``[DataType.TRADE, DataType.ORDERBOOK]``.
        store_raw_data: keep the venue's own object of every event in the sinks;
            ``"files"`` records all frames to files in the data folder instead.
        custom_params: the adapter's options, and ``market``, ``timeframes``,
            ``venue_timeframes``, ``audit``, ``ping_interval``,
            ``max_reconnect_attempts``, ``max_restarts``, ``redundancy``, ``account``.

    Raises:
        UnknownExchange: its plugin is not installed.
        ConfigError: *custom_params* cannot be used; every problem is named.
    """

    # The engine has deadlines of its own, and must not be left half-way.
    open_timeout_s = math.inf
    close_timeout_s = math.inf

    def __init__(
        self,
        exchange: str,
        symbol: str | Sequence[str],
        data_types: Sequence[DataType | str] | None = None,
        component_name: str | None = None,
        auto_restart: bool = True,
        health_check_interval: float = DEFAULT_HEALTH_CHECK_INTERVAL,
        store_raw_data: bool | Literal["files"] = False,
        custom_params: Mapping[str, Any] | None = None,
        logger: logging.Logger | None = None,
        log_errors_only: bool = False,
        *,
        adapter: ExchangeAdapter | None = None,
        config: object | None = None,
    ) -> None:
        symbols = [symbol] if isinstance(symbol, str) else list(symbol)
        types: Any = list(data_types or (DataType.TRADE, DataType.ORDERBOOK))
        super().__init__(
            exchange,
            symbols,
            types,
            component_name or _default_name(exchange, symbols),
            auto_restart,
            health_check_interval,
            logger,
            log_errors_only,
        )
        if store_raw_data not in (True, False, "files"):
            raise ConfigError(
                [
                    (
                        "store_raw_data",
                        f"expected True, False or 'files', found {store_raw_data!r}",
                    )
                ],
                f"collector of {exchange}",
            )
        self.store_raw_data = store_raw_data
        self.custom_params = dict(custom_params or {})
        self.adapter = adapter or plugins().exchange(exchange)
        params = split_custom_params(self.adapter, self.custom_params, config)
        self.market = params.market
        self.timeframes = sorted(
            params.timeframes or self._default_timeframes(), key=width_ns
        )
        self.venue_timeframes = list(params.venue_timeframes)
        self.audit = params.audit
        self.config = params.config
        self.redundancy = params.redundancy
        self.account = params.account
        self._max_reconnect_attempts = (
            params.max_reconnect_attempts or self._defaults.max_reconnect_attempts
        )
        self._reconnect_delay_s = (
            params.reconnect_delay_s or self._defaults.reconnect_delay_s
        )
        self.max_restarts = params.max_restarts or type(self).max_restarts
        self._engine: Engine | None = None
        self._own_engine = False
        self._feed: Feed | None = None
        self._consumer: LiveConsumer | None = None
        self._handler: object = None
        self._received_before = 0
        self._idle = False

    def own_sinks(self, *, embedded: bool = True) -> list[SinkSettings]:
        """The sinks that were added to it.

        Args:
            embedded: give the embedded database when it has none and needs one.
        """
        sinks = super().own_sinks(embedded=embedded)
        needs_store = self.store_raw_data is True or DataType.CANDLE in self.data_types
        if embedded and not sinks and needs_store:
            sink = default_sink()
            if sink is not None:
                self._log_info(
                    f"{self.component_name} has no sink; storing to the embedded "
                    f"database, sink {sink.name!r}"
                )
                sinks.append(sink)
        return sinks

    def attach(self, engine: Engine) -> None:
        """Use *engine* instead of one of its own; before ``start``."""
        self._engine = engine
        self._own_engine = False

    def detach(self) -> None:
        """Let go of an engine that is not its own; a later start makes one."""
        if not self._own_engine:
            self._engine = None

    @property
    def engine(self) -> Engine | None:
        """The engine that it runs on, None before the first start."""
        return self._engine

    def feed_settings(self) -> FeedSettings:
        """What this collector wants, in the runtime's words."""
        return FeedSettings(
            name=self.component_name,
            adapter=self.adapter,
            config=self._keeping_raw(self.config),
            market=self.market,
            symbols=tuple(self.symbols),
            data_types=tuple(str(data_type) for data_type in self.data_types),
            timeframes=self._with_audit(self.timeframes),
            venue_timeframes=self._with_audit(self.venue_timeframes),
            store_raw=self.store_raw_data is True,
            raw_files=self.store_raw_data == "files",
            redundancy=self.redundancy,
            account=self.account,
            restart_limit=self.max_restarts if self.auto_restart else 0,
            logs=self._logger_of,
        )

    def collects_trades_of(self, exchange: str, market: str, symbol: str) -> bool:
        """Whether the trades of *symbol* are among what it collects."""
        wants = bool(self.timeframes) or self.audit or DataType.TRADE in self.data_types
        return (
            wants
            and (self.exchange_name, self.market) == (exchange, market)
            and symbol in self.symbols
        )

    def order_book(self, symbol: str, count: int | None = None) -> BookSnapshot | None:
        """The local book of *symbol* as it is now; None unless it is known to be right.

        Needs a channel of whole books (``custom_params={"depth": …}``); of a channel
        of snapshots it is the newest one.

        Args:
            count: best levels a side; None for all.
        """
        if self._engine is None:
            return None
        return book_now(self._engine, self.exchange_name, self.market, symbol, count)

    # -- the six methods --------------------------------------------------------

    async def connect(self) -> bool:
        """Start the engine if needed, and this collector's feed on it."""
        if self._engine is None:
            self._engine = self._build_engine()
            self._own_engine = True
        engine = self._engine
        self._listen(engine)
        self._feed = engine.add_feed(self.feed_settings())
        await engine.start()
        return True

    async def disconnect(self) -> None:
        """Stop this collector's feed, and the engine when it is its own."""
        engine = self._engine
        if engine is None:
            return
        if self._own_engine:
            await engine.stop(force=self._forced)
            self._engine = None
        if self._feed is not None:
            self._received_before += self._feed.link.status().frames
            engine.remove_feed(self.component_name, comes_back=self._restarting)
            self._feed = None
        if self._consumer is not None:
            engine.remove_consumer(self._consumer)
            self._consumer = None

    async def subscribe_to_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        """Want *symbols* too; the runtime subscribes them."""
        if self._feed is None:
            return False
        for symbol in symbols:
            self._seen_symbols.add(symbol)
            self._feed.add_symbol(symbol)
        self._listen_to_symbols()
        return True

    async def unsubscribe_from_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        """Do not want *symbols* any more; neighbors stay untouched."""
        if self._feed is None:
            return False
        for symbol in symbols:
            self._feed.remove_symbol(symbol)
        self._listen_to_symbols()
        return True

    async def _process_message(self, message: Any) -> MarketDataPoint | None:
        """The adapter has parsed it already; a point is given back as it is."""
        return message if isinstance(message, MarketDataPoint) else None

    async def _handle_messages(self) -> None:
        """Look after the feed; the runtime's sockets do the receiving."""
        await anyio.sleep(_IDLE_HEARTBEAT_S if self._idle else _HEARTBEAT_S)
        feed, engine = self._feed, self._engine
        if feed is None or engine is None:
            return
        if not engine.running:
            text = f"the engine stopped: {engine.last_error}"
            if self._own_engine:
                raise TapelineError(text)
            # The manager owns it; until it is started again nothing is collected.
            self._vitals.last_error = text
            self.status = CollectorStatus.ERROR
            return
        status = feed.link.pulse()
        received = self._received_before + status.frames
        vitals = self._vitals
        self._idle = received == vitals.messages_received > 0
        vitals.messages_received = received
        attempts = max(status.attempts_in_a_row, feed.failures)
        vitals.reconnect_attempts = attempts
        part = engine.parts.get(self.component_name)
        failed = status.failed or (
            part.last_error if part is not None and part.state == "failed" else ""
        )
        unknown = next(iter((feed.unknown_symbols | feed.delisted).values()), "")
        if not feed.wanted and unknown:
            failed = failed or unknown
        vitals.last_error = (
            failed
            or (feed.last_error if feed.failures else "")
            or status.last_error
            or vitals.last_error
        )
        troubled = attempts >= self._max_reconnect_attempts
        self.status = (
            CollectorStatus.ERROR if failed or troubled else CollectorStatus.RUNNING
        )

    def add_data_callback(self, data_type: DataType | str, callback: Callback) -> None:
        """Call *callback* (sync or async) with every point of *data_type*."""
        super().add_data_callback(data_type, callback)
        if self._consumer is not None and self._engine is not None:
            self._listen(self._engine)

    # -- inside -----------------------------------------------------------------

    def _listen(self, engine: Engine) -> None:
        """Have the engine call us: directly, or with a task when one must await."""
        handler = self._receive_async if self._overrides_notify() else self._receive
        if self._consumer is not None:
            if self._handler == handler:
                return
            engine.remove_consumer(self._consumer)
        self._handler = handler
        self._consumer = engine.add_consumer(handler, name=self.component_name)
        self._listen_to_symbols()

    def _listen_to_symbols(self) -> None:
        """Others' symbols are not even offered; a balance's symbol is its asset."""
        if self._consumer is not None and DataType.BALANCE not in self.data_types:
            self._consumer.symbols = frozenset(self.symbols)

    def _logger_of(self, part: str) -> logging.Logger:
        """What the runtime logs about this collector; silent without a logger."""
        name = f"{getattr(self.logger, 'name', self.component_name)}.{part}"
        return PartLogger(name, self.logger, self.log_errors_only)

    def _keeping_raw(self, config: Any) -> Any:
        """*config* with the adapter told to keep what is to be stored."""
        if self.store_raw_data is True and hasattr(config, "keep_raw"):
            return attrs.evolve(config, keep_raw=True)
        return config

    def _with_audit(self, timeframes: Sequence[str]) -> tuple[str, ...]:
        """*timeframes*, and what an audit needs besides."""
        if not self.audit or AUDIT_TIMEFRAME in timeframes:
            return tuple(timeframes)
        return (*timeframes, AUDIT_TIMEFRAME)

    def _default_timeframes(self) -> list[str]:
        wants = DataType.CANDLE in self.data_types
        return ["1m"] if wants else []

    def _overrides_notify(self) -> bool:
        return type(
            self
        )._notify_callbacks is not BaseDataCollector._notify_callbacks or any(
            is_async(callback) or self._callback_tasks.knows(callback)
            for callbacks in self._data_callbacks.values()
            for callback in callbacks
        )

    def _receive(self, point: MarketDataPoint) -> None:
        # hot path: the synchronous form of _notify_callbacks
        if not self._is_ours(point):
            return
        self._vitals.count_point()
        for callback in tuple(self._data_callbacks.get(point.data_type, ())):
            try:
                outcome = callback(point)
                if outcome is not None:
                    self._callback_tasks.finish(callback, outcome)
            except Exception as error:  # a supervisor: a user's callback may raise
                self._callback_failed(callback, error)

    async def _receive_async(self, point: MarketDataPoint) -> None:
        if self._is_ours(point):
            self._enter()
            await self._notify_callbacks(point)

    def _is_own(self, record: object) -> bool:
        """Whether a record of the journal belongs to this collector's streams."""
        stream: Subscription | None = getattr(record, "stream", None)
        if stream is None or stream.exchange != self.exchange_name:
            return False
        if stream.data_type == DataType.BALANCE:
            return stream.symbol == (self.account or ALL_SYMBOLS)
        return stream.market == self.market and stream.symbol in self._seen_symbols

    def _is_ours(self, point: MarketDataPoint) -> bool:
        if point.exchange != self.exchange_name:
            return False
        if isinstance(point, Balance):
            return point.account == self.account
        market = getattr(point, "market", self.market)
        if market != self.market or point.symbol not in self.symbols:
            return False
        if isinstance(point, Candle):
            own = self.venue_timeframes if point.source == FROM_VENUE else None
            return point.timeframe in (self.timeframes if own is None else own)
        return True

    def _build_engine(self) -> Engine:
        sinks = self.own_sinks()
        engine = Engine(
            self._seams,
            EngineSettings(
                reconnect_delay_s=self._reconnect_delay_s,
                max_silence_s=self._defaults.max_silence_duration_s,
            ),
            wrappers=plugins().session_wrappers(),
            observers=[plugins().notify_status],
        )
        for sink in sinks:
            engine.add_sink(sink)
        return engine

    async def _open_store(self) -> None:
        """Nothing: its sinks are those of its engine."""

    async def _trouble(self) -> str | None:
        """None: the runtime supervises sockets and streams itself, one by one."""
        return None

    def _silence_s(self) -> float | None:
        """None: a silent stream is asked about, and may be a quiet market."""
        return None

    def _issues(self) -> list[str]:
        issues = super()._issues()
        feed = self._feed
        if feed is None:
            return issues
        issues += feed.unknown_symbols.values()
        issues += feed.delisted.values()
        for stream in feed.link.status().subscriptions:
            if stream.reason:
                issues.append(
                    f"{stream.subscription} is {stream.state}: {stream.reason}"
                )
        return issues


def _default_name(exchange: str, symbols: Sequence[str]) -> str:
    if len(symbols) == 1:
        return f"{exchange}_{symbols[0].lower().replace('-', '_')}"
    return f"{exchange}_collector"
