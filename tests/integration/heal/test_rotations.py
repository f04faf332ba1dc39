"""Sockets are replaced before they end: nothing is missing, and no gap is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.errors import HandshakeRefused
from tapeline.model import DataType, Dial
from tapeline.testing import Fault, MemoryVenue

Tell = Callable[..., Any]

ALL = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
DAY_S = 86_400.0


def rotations_of(told: Any) -> int:
    return sum(int(one["counters"]["rotations"]) for one in told.link["sockets"])


def check_nothing_missing(told: Any) -> None:
    """Every fill since the first one is stored, and no row speaks of a gap."""
    told.check_whole()
    assert told.gaps == []
    assert {trade["source"] for trade in told.trades} == {"live"}


@pytest.mark.parametrize("venue", ["okx", "binance", "binance-swap"], indirect=True)
def test_days_of_rotations_leave_no_gap(
    tell: Tell, venue: Any, request: pytest.FixtureRequest
) -> None:
    """Binance cuts after 24 hours, OKX announces an upgrade twice a day."""

    days = request.config.getoption("--rotation-days")

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(days * DAY_S)

    notices = [Fault(kind="notice", at_s=7_200.0, every_s=43_200.0, deadline_s=60.0)]
    told = tell(
        act,
        faults=notices if venue.name == "okx" else [],
        symbols=["BTC-USDT"],
        rate_hz=1 / 1_200,
        timeframes=(),
    )

    check_nothing_missing(told)
    if venue.name == "okx":
        assert rotations_of(told) == int((days * DAY_S - 7_200.0) / 43_200.0) + 1
    else:
        # A socket is kept for 90 to 98 % of what the venue gives it.
        assert int(days / 0.98) <= rotations_of(told) <= int(days / 0.9)
    assert told.accounts.total("emitted") > 40 * days
    assert told.link["reconnects"] == rotations_of(told)
    # The venue never had to close one itself.
    assert told.simulator.closes == 0


def notices() -> list[Fault]:
    """``serverShutdown`` or 64008 every 50 seconds, and then the end."""
    return [Fault(kind="notice", at_s=15.0, every_s=50.0, deadline_s=40.0)]


async def three_notices(manager: CollectorManager, line: MemoryVenue) -> None:
    """Long enough for three notices."""
    await anyio.sleep(160.0)


EVERY = pytest.mark.parametrize(
    "venue", ["okx", "binance", "binance-swap"], indirect=True
)


@EVERY
def test_notices_in_a_busy_market_leave_no_gap(tell: Tell) -> None:
    told = tell(
        three_notices, rate_hz=4.0, timeframes=(), faults=notices(), data_types=ALL
    )

    check_nothing_missing(told)
    assert rotations_of(told) >= 3


class Wire:
    """The venue's dialer, with trouble on what is dialed later than the first."""

    def __init__(self, line: MemoryVenue, silent_s: float, refusals: int) -> None:
        self._line = line
        self._silent_s = silent_s
        self._refusals = refusals
        self._dialed = False

    async def dial(self, dial: Dial) -> Any:
        """Refuse some, then give sockets that say nothing for a while."""
        if not self._dialed:
            self._dialed = True
            return await self._line.dial(dial)
        if self._refusals:
            self._refusals -= 1
            raise HandshakeRefused(503, "", None)
        return LateSocket(await self._line.dial(dial), self._silent_s)


class LateSocket:
    """Brings everything, but nothing in its first seconds."""

    def __init__(self, socket: Any, silent_s: float) -> None:
        self._socket = socket
        self._silent_s = silent_s
        self._since_s: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def receive(self) -> Any:
        """The next frame, when the silence is over."""
        now_s = anyio.current_time()
        if self._since_s is None:
            self._since_s = now_s
        await anyio.sleep(max(0.0, self._since_s + self._silent_s - now_s))
        return await self._socket.receive()


@pytest.mark.parametrize("silent_s", [3.0, 25.0])
def test_a_replacement_that_is_silent_at_first_is_waited_for(
    tell: Tell, silent_s: float
) -> None:
    told = tell(
        three_notices,
        rate_hz=4.0,
        timeframes=(),
        faults=notices(),
        wire=lambda line: Wire(line, silent_s, 0),
    )

    check_nothing_missing(told)
    assert rotations_of(told) >= 3


def test_a_replacement_that_cannot_be_dialed_is_dialed_again(tell: Tell) -> None:
    told = tell(
        three_notices,
        rate_hz=4.0,
        timeframes=(),
        faults=notices(),
        wire=lambda line: Wire(line, 0.0, 2),
    )

    check_nothing_missing(told)
    assert rotations_of(told) >= 3


def test_a_replacement_that_lacks_a_stream_never_takes_over(
    tell: Tell, venue: Any
) -> None:
    """It is acked and muted on the first replacement; the second one has it."""
    muted = Fault(
        kind="ack-and-mute",
        channel=venue.trades,
        symbol=venue.spelled("ETH-USDT"),
        at_s=10.0,
        for_s=30.0,
    )
    told = tell(
        three_notices,
        rate_hz=4.0,
        timeframes=(),
        faults=[muted, Fault(kind="notice", at_s=20.0, deadline_s=120.0)],
    )

    check_nothing_missing(told)
    assert rotations_of(told) == 2
