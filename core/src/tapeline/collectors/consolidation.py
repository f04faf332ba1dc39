"""A consolidated symbol, as users hold it."""

from __future__ import annotations

from typing import Any

from tapeline.candles import ConsolidationSettings
from tapeline.collectors.callbacks import Callback
from tapeline.delivery import LiveConsumer, callback_name
from tapeline.errors import UsageError
from tapeline.model import (
    ConsolidatedCandle,
    ConsolidatedTrade,
    DataType,
    MarketDataPoint,
)
from tapeline.runtime import Engine


class Consolidation:
    """One symbol over several exchanges; made by ``CollectorManager.consolidate``.

    Callbacks get ``ConsolidatedTrade`` for ``DataType.TRADE`` and
    ``ConsolidatedCandle`` for ``DataType.CANDLE``.
    """

    def __init__(self, settings: ConsolidationSettings) -> None:
        self.settings = settings
        self._callbacks: list[tuple[str, Callback]] = []
        self._consumers: dict[tuple[str, Callback], LiveConsumer] = {}
        self._engine: Engine | None = None

    def check_beside(self, other: Consolidation) -> None:
        """Refuse to stand beside *other* when their rows could not be told apart.

        Raises:
            UsageError: they have the same name, or the same symbol and market.
        """
        ours, theirs = self.settings, other.settings
        if ours.name == theirs.name:
            raise UsageError(
                f"expected names of consolidations to differ, found {ours.name!r} twice"
            )
        if (ours.market, ours.symbol) == (theirs.market, theirs.symbol):
            raise UsageError(
                f"expected one consolidation of {ours.symbol} ({ours.market}), found "
                f"{theirs.name!r} and {ours.name!r}; their rows would have the same key"
            )

    @property
    def name(self) -> str:
        """Its name, unique in a manager."""
        return self.settings.name

    def add_data_callback(self, data_type: DataType | str, callback: Callback) -> None:
        """Call *callback* (sync or async) with every point of *data_type*."""
        entry = (str(data_type), callback)
        if entry not in self._callbacks:
            self._callbacks.append(entry)
            self._listen(*entry)

    def remove_data_callback(
        self, data_type: DataType | str, callback: Callback
    ) -> None:
        """Stop calling *callback*; nothing happens when it is not there."""
        entry = (str(data_type), callback)
        if entry in self._callbacks:
            self._callbacks.remove(entry)
        consumer = self._consumers.pop(entry, None)
        if consumer is not None and self._engine is not None:
            self._engine.remove_consumer(consumer)

    def get_status(self) -> dict[str, Any]:
        """Share and staleness of each venue, and the newest bars; JSON-ready.

        Empty while nothing runs.
        """
        if self._engine is None:
            return {}
        status: dict[str, Any] = self._engine.consolidations.status()
        found: dict[str, Any] = status.get(self.name, {})
        return found

    def attach(self, engine: Engine) -> None:
        """Run on *engine*; called by the manager, before its start or while it runs."""
        engine.consolidate(self.settings)
        self._engine = engine
        self._consumers.clear()
        for entry in self._callbacks:
            self._listen(*entry)

    def detach(self) -> None:
        """Let go of an engine that has stopped."""
        self._engine = None
        self._consumers.clear()

    def _listen(self, data_type: str, callback: Callback) -> None:
        if self._engine is None:
            return
        own = self.settings.name

        def offer(point: MarketDataPoint) -> object:
            ours = isinstance(point, (ConsolidatedTrade, ConsolidatedCandle))
            if ours and point.stream.channel == own:  # type: ignore[attr-defined]
                # What an asynchronous one gives is awaited by the consumer's task.
                result: object = callback(point)
                return result
            return None

        self._consumers[data_type, callback] = self._engine.live.add(
            data_type,
            offer,
            name=f"{callback_name(callback)} of consolidation {own}",
            symbols=[self.settings.symbol],
        )
