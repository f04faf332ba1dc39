"""One collector of an exchange that goes wrong: told of, and nobody else notices."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from tapeline.clock import Now
from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.hookspecs import ExchangeSession, Instruments, Parsed, hookimpl
from tapeline.model import Budget, DataType, Dial, Fetch, Response, Route
from tapeline.plugins import PluginRegistry
from tapeline.runtime import use_seams
from tapeline.seams import Dialer, Seams, Socket
from tapeline.testing import (
    InlineExecutor,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
    spot,
)
from tapeline_okx.adapter import OkxAdapter
from tapeline_okx.config import OkxConfig
from tapeline_okx.session import OkxSession

NUMBER = 20
BAD = 7
BLACK_HOLE = "wss://hole.test"


class RaisesInParse(OkxSession):
    """An adapter's bug that a message brings out."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Never works."""
        raise ValueError("a bug in parse")


class RaisesInConnect(OkxSession):
    """An adapter's bug before there is a socket."""

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Never works."""
        raise ValueError("a bug in connect")


class HangsInConnect(OkxSession):
    """Dials where nobody ever answers."""

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """The address of a black hole."""
        return Dial(BLACK_HOLE)


class HangingDialer:
    """The venue's dialer, but for one address."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    async def dial(self, dial: Dial) -> Socket:
        """Open a socket, or wait for ever; the caller has a deadline."""
        if dial.url == BLACK_HOLE:
            await anyio.sleep_forever()
        return await self._dialer.dial(dial)


class BadAdapter(OkxAdapter):
    """OKX with one of the sessions above."""

    def __init__(self, kind: type[OkxSession]) -> None:
        self._kind = kind

    def session(
        self, config: OkxConfig, instruments: Instruments, route: Route
    ) -> ExchangeSession:
        """A session that goes wrong."""
        return self._kind(config, instruments, route)


class RaisesInBudgets(OkxAdapter):
    """An adapter's bug that shows before its feed exists."""

    def budgets(self, config: OkxConfig) -> Sequence[Budget]:
        """Never works."""
        raise ValueError("a bug in budgets")


class RaisesInRoute(OkxAdapter):
    """An adapter's bug of one feed."""

    def route(self, *arguments: Any) -> Route:
        """Never works."""
        raise ValueError("a bug in route")


def collect(adapter: OkxAdapter | None, seconds: float = 120.0) -> Any:
    """Twenty collectors, one of them with *adapter*.

    Returns:
        the manager's status and health at the end, and points by symbol.
    """

    async def inside() -> Any:
        clock = VirtualClock()
        symbols = [f"S{number:02}-USDT" for number in range(NUMBER)]
        instruments = [spot(symbol, "0.1", "0.0001", "100") for symbol in symbols]
        market = Market(1, instruments, rate_hz=2.0, start_ns=clock.wall_ns())
        simulator = PluginRegistry().exchange("okx").simulator(market)
        assert isinstance(simulator, SimulatorBase)
        points = dict.fromkeys(symbols, 0)

        def count(point: Any) -> None:
            points[point.symbol] += 1

        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock,
                HangingDialer(venue.dialer),
                venue.http,
                InlineExecutor(),
                random.Random(1),
            )
            with use_seams(seams):
                manager = CollectorManager()
                for number, symbol in enumerate(symbols):
                    member = ExchangeCollector(
                        "okx",
                        symbol,
                        [DataType.TRADE],
                        component_name=f"c{number:02}",
                        adapter=adapter if number == BAD else None,
                    )
                    member.add_data_callback(DataType.TRADE, count)
                    manager.add_collector(member)
                await manager.start()
                # Who shares an address starts one after the other.
                await anyio.sleep(20.0)
                points.update(dict.fromkeys(points, 0))
                await anyio.sleep(seconds)
                found = manager.get_status(), manager.health(), points
                await manager.stop()
        return found

    return run_virtual(inside)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, int]:
    """Points by symbol when nothing goes wrong."""
    status, health, points = collect(None)
    assert health.ready, health
    assert status["statistics"]["running_collectors"] == NUMBER
    found: dict[str, int] = points
    return found


@pytest.mark.parametrize(
    ("adapter", "told"),
    [
        (lambda: BadAdapter(RaisesInParse), "S07-USDT:trades is disconnected: "),
        (lambda: BadAdapter(RaisesInConnect), "S07-USDT:trades is disconnected: "),
        (lambda: BadAdapter(HangsInConnect), "S07-USDT:trades is disconnected: "),
        (RaisesInBudgets, "a bug in budgets"),
        (RaisesInRoute, "a bug in route"),
    ],
    ids=["parse", "connect", "hang", "budgets", "route"],
)
def test_one_bad_collector_of_an_exchange_leaves_nineteen_others_untouched(
    undisturbed: dict[str, int], adapter: Callable[[], OkxAdapter], told: str
) -> None:
    status, health, points = collect(adapter())

    assert not health.ready
    assert all(told in issue for issue in health.issues), health.issues
    assert points.pop("S07-USDT") == 0
    assert points == {s: n for s, n in undisturbed.items() if s != "S07-USDT"}
    feeds = status["engine"]["feeds"]
    feeds.pop("c07", None)
    assert {feed["reconnects"] for feed in feeds.values()} == {0}
    for name, member in status["collectors"].items():
        assert (member["status"] == "running") == (name != "c07"), name
        assert name == "c07" or member["statistics"]["restarts"] == 0
