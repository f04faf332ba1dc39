"""The six methods that a collector of one's own implements."""

from __future__ import annotations

import abc
from typing import Any

from tapeline.model import DataType, MarketDataPoint


class SixMethods(abc.ABC):
    """What only the collector itself knows; called by ``CollectorLife``, one by one."""

    @abc.abstractmethod
    async def connect(self) -> bool:
        """Connect to the venue; False (or an exception) when that failed."""

    @abc.abstractmethod
    async def disconnect(self) -> None:
        """Let the connection go; safe when there is none."""

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
