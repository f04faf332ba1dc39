"""What all tests share."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Longer campaigns, with short defaults."""
    group = parser.getgroup("tapeline")
    group.addoption(
        "--run-seconds",
        type=float,
        default=60.0,
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
        default=15.0,
        help="how long a database is away at 5,000 events a second, virtual time",
    )
    group.addoption(
        "--kills", type=int, default=10, help="how often the collector is killed"
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
