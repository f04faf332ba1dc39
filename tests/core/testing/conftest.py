"""A venue of the simplest kind, to test what all simulators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing import (
    Execution,
    Fault,
    Limit,
    Market,
    SimConnection,
    SimulatorBase,
    spot,
)

PAIR = spot("AAA-BBB", "0.01", "0.001", "100")


class PlainVenue(SimulatorBase):
    """Greets, echoes frames and pushes ``symbol:id`` of every execution to all."""

    def __init__(self, market: Market, **settings: Any) -> None:
        super().__init__(
            market, "plain", limits=(Limit("connects", 3, 1.0),), **settings
        )
        self.told: list[str] = []
        self.heard: list[str] = []

    def accept(
        self, connection: SimConnection, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        if connection.path == "/no":
            return SimRefusal(403, "no", {"Retry-After": "7"})
        self.send(connection, "hello", now_ns)
        return None

    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        if frame == "close":
            self.close(connection, 4004, "as you wish")
        elif frame == "abort":
            self.close(connection, None)
        else:
            self.send(connection, f"echo {frame}", now_ns)

    def on_gone(self, connection: SimConnection) -> None:
        self.told.append(f"gone {connection.id}")

    def on_pong(self, connection: SimConnection, payload: str, now_ns: int) -> None:
        self.heard.append(f"pong {payload}")

    def on_ping(self, connection: SimConnection, now_ns: int) -> None:
        self.heard.append("ping")

    def on_executions(self, executions: Sequence[Execution]) -> None:
        for execution in executions:
            symbol = execution.feed.instrument.symbol
            for connection in list(self.connections.values()):
                frame = f"{symbol}:{execution.last_id}"
                self.push(connection, "trades", symbol, frame, execution.exchange_ns)

    def on_fault(
        self, fault: Fault, connections: Sequence[SimConnection], now_ns: int
    ) -> None:
        self.told.append(fault.kind)

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        body = f"{method} {target} {headers.get('x-key', '')}".encode()
        return SimResponse(200, body, {"Content-Type": "text/plain"})


@pytest.fixture
def plain_venue() -> Callable[..., PlainVenue]:
    """Makes a ``PlainVenue`` of one pair; keywords of ``Market`` and of the venue."""

    def build(
        rate_hz: float = 0.0, seed: int = 1, start_ns: int = 10**18, **settings: Any
    ) -> PlainVenue:
        return PlainVenue(Market(seed, [PAIR], rate_hz, start_ns), **settings)

    return build
