"""How long it takes until a dead stream, or a dead socket, is known."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.testing import Fault, MemoryVenue

Tell = Callable[..., Any]

STALL_BOUND_S = 5.0
HALF_OPEN_BOUND_S = 10.0
RATES_HZ = (10.0, 20.0, 60.0)
"""Fills per second of streams that count as liquid: two trades and more."""


def percentile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that *share* of all do not exceed."""
    return sorted(figures)[math.ceil(share * len(figures)) - 1]


def report(what: str, figures: Sequence[float]) -> None:
    """For the report of a run that passes, too."""
    sys.stdout.write(
        f"{what}: median {percentile(figures, 0.5):.2f} s, p99 "
        f"{percentile(figures, 0.99):.2f} s of {len(figures)}\n"
    )


async def known_after_s(
    known: Callable[[], bool], began_s: float, within_s: float
) -> float:
    """Virtual seconds from *began_s* until *known*; *within_s* when it never is."""
    while not known():
        if anyio.current_time() - began_s > within_s:
            return within_s
        await anyio.sleep(0.05)
    return anyio.current_time() - began_s


def watch_of(manager: CollectorManager) -> dict[str, int]:
    (care,) = manager.get_status()["engine"]["care"].values()
    return dict(care["watch"])


def state_of(manager: CollectorManager, symbol: str) -> str:
    (link,) = manager.get_status()["engine"]["feeds"].values()
    (state,) = [
        one["state"] for one in link["subscriptions"] if one["symbol"] == symbol
    ]
    return str(state)


@pytest.mark.parametrize("venue", ["okx", "binance", "binance-swap"], indirect=True)
def test_a_stalled_liquid_stream_is_known_within_five_seconds(
    tell: Tell, venue: Any, request: pytest.FixtureRequest
) -> None:
    figures: list[float] = []

    for seed in range(request.config.getoption("--detections")):
        rate_hz = RATES_HZ[seed % len(RATES_HZ)]
        began_s = 12.0 + random.Random(seed).uniform(0.0, 2.0)

        async def act(
            manager: CollectorManager, line: MemoryVenue, began_s: float = began_s
        ) -> None:
            await anyio.sleep(began_s - anyio.current_time())
            figures.append(
                await known_after_s(
                    lambda: state_of(manager, "BTC-USDT") == "stalled", began_s, 30.0
                )
            )
            assert state_of(manager, "ETH-USDT") == "live"
            assert watch_of(manager)["dropped"] == 0

        mute = Fault(
            kind="mute",
            channel=venue.trades,
            symbol=venue.spelled("BTC-USDT"),
            at_s=began_s,
        )
        tell(
            act,
            seed=seed,
            faults=[mute],
            rate_hz=rate_hz,
            name=str(seed),
            timeframes=(),
        )

    report(f"{venue.name} {venue.market}, stalled stream", figures)
    assert percentile(figures, 0.99) <= STALL_BOUND_S, figures


@pytest.mark.parametrize("venue", ["okx", "binance", "binance-swap"], indirect=True)
@pytest.mark.parametrize("symbols", [["BTC-USDT", "ETH-USDT"], ["BTC-USDT"]])
def test_a_half_open_socket_is_known_within_ten_seconds(
    tell: Tell, symbols: list[str], request: pytest.FixtureRequest
) -> None:
    """Known: the dead socket is given up, so that another one is dialed."""
    figures: list[float] = []

    for seed in range(request.config.getoption("--detections")):
        rate_hz = RATES_HZ[seed % len(RATES_HZ)]
        began_s = 12.0 + random.Random(seed).uniform(0.0, 2.0)

        async def act(
            manager: CollectorManager, line: MemoryVenue, began_s: float = began_s
        ) -> None:
            await anyio.sleep(began_s - anyio.current_time())
            figures.append(
                await known_after_s(
                    lambda: watch_of(manager)["dropped"] > 0, began_s, 60.0
                )
            )

        half_open = Fault(kind="half-open", at_s=began_s)
        tell(
            act,
            seed=seed,
            faults=[half_open],
            symbols=symbols,
            rate_hz=rate_hz,
            name=str(seed),
            timeframes=(),
        )

    report(f"half-open, {len(symbols)} streams", figures)
    assert percentile(figures, 0.99) <= HALF_OPEN_BOUND_S, figures
