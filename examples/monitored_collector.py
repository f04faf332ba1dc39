"""A collector of one's own, with its own metrics and its own word on recovery.

It reads JSON lines from a TCP server: the least exchange there can be.
"""

from __future__ import annotations

import json
from collections import deque
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.abc
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from tapeline import (
    BaseDataCollector,
    DataType,
    DataValidationError,
    MarketDataPoint,
    RateLimiter,
)


class LinesCollector(BaseDataCollector):
    """Tickers, one JSON object a line, from ``host:port``."""

    def __init__(
        self, host: str, port: int, symbols: list[str], **settings: Any
    ) -> None:
        super().__init__("lines", symbols, [DataType.TICKER], **settings)
        self.host, self.port = host, port
        self.registry = CollectorRegistry()
        self.points = Counter(
            "lines_points_total",
            "Points by symbol.",
            ["symbol"],
            registry=self.registry,
        )
        self.reconnects = Counter(
            "lines_reconnects_total", "Connections lost.", registry=self.registry
        )
        self.last = Gauge(
            "lines_last_price", "Newest price.", ["symbol"], registry=self.registry
        )
        self._dials = RateLimiter(5, 1.0)
        self._stream: anyio.abc.SocketStream | None = None
        self._rest = b""
        self._lines: deque[bytes] = deque()

    async def connect(self) -> bool:
        """Dial, five times a second at most."""
        await self._dials.acquire()
        with anyio.fail_after(5):
            self._stream = await anyio.connect_tcp(self.host, self.port)
        self._rest = b""
        return True

    async def disconnect(self) -> None:
        """Close the socket."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()
        await super().disconnect()

    async def subscribe_to_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        """Send the symbols."""
        assert self._stream is not None
        await self._stream.send(json.dumps({"subscribe": symbols}).encode() + b"\n")
        return True

    async def unsubscribe_from_data(
        self, symbols: list[str], data_types: list[DataType]
    ) -> bool:
        """This server knows no such thing; what comes is skipped."""
        return True

    async def _handle_messages(self) -> None:
        """Handle one line, or read more; a silent server gives a heartbeat a second.

        One line a call: a bad one raises, and the next call goes on behind it.
        """
        if not self._lines:
            await self._read()
            return
        point = await self._process_message(self._lines.popleft())
        if point is not None:
            await self._notify_callbacks(point)

    async def _read(self) -> None:
        assert self._stream is not None
        with anyio.move_on_after(1.0):
            try:
                self._rest += await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
                raise ConnectionError("the server closed the connection") from error
        *lines, self._rest = self._rest.split(b"\n")
        self._lines.extend(lines)

    async def _process_message(self, message: bytes) -> MarketDataPoint | None:
        """One line to a point."""
        try:
            row = json.loads(message)
            symbol, price = row["symbol"], float(row["last"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataValidationError(
                f"expected a ticker, found {message!r}"
            ) from error
        if symbol not in self.symbols:
            return None
        now = datetime.now(tz=UTC)
        return MarketDataPoint("lines", symbol, now, DataType.TICKER, {"last": price})

    async def _notify_callbacks(self, data_point: MarketDataPoint) -> None:
        """Count, then let the base class call the callbacks."""
        self.points.labels(data_point.symbol).inc()
        self.last.labels(data_point.symbol).set(data_point.data["last"])
        await super()._notify_callbacks(data_point)

    async def _handle_connection_error(self) -> bool:
        """Count, then let the base class reconnect."""
        self.reconnects.inc()
        return await super()._handle_connection_error()

    def metrics(self) -> str:
        """The collector's own metrics in Prometheus' text format."""
        return generate_latest(self.registry).decode()
