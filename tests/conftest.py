"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Longer campaigns, with short defaults."""
    group = parser.getgroup("tapeline")
    group.addoption(
        "--run-seconds",
        type=float,
        default=30.0,
        help="how long `tapeline run` is watched under random disconnects",
    )
    group.addoption(
        "--seeds", type=int, default=200, help="random fault mixes on the virtual clock"
    )
    group.addoption(
        "--first-seed", type=int, default=0, help="where the random fault mixes begin"
    )
    group.addoption(
        "--outage-seconds",
        type=float,
        default=10.0,
        help="how long a database is away at 5,000 events a second, virtual time",
    )
    group.addoption(
        "--cycles", type=int, help="starts and stops that must leave nothing behind"
    )
    group.addoption(
        "--kills", type=int, default=10, help="how often the collector is killed"
    )
    group.addoption(
        "--detections",
        type=int,
        default=3,
        help="how often the time until a dead stream is known is measured",
    )
    group.addoption(
        "--idle-days",
        type=float,
        default=0.25,
        help="how long an idle market is watched, virtual time",
    )
    group.addoption(
        "--rotation-days",
        type=float,
        default=1.0,
        help="how long sockets are replaced in a slow market, virtual time",
    )
    group.addoption(
        "--freeze-seconds",
        type=float,
        default=8.0,
        help="how long a database server is stopped with SIGSTOP",
    )


@pytest.fixture
def anyio_backend() -> str:
    """Tapeline runs on asyncio."""
    return "asyncio"
