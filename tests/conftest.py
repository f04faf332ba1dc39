"""What all tests share."""

from __future__ import annotations

import os

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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of the parallel processes begins with its share of the slow tests.

    Else the slowest, which mostly wait, would run alone in the end.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    shares = [
        slow[number::processes] + part
        for number, part in enumerate(_cut(quick, processes))
    ]
    items[:] = [item for share in shares for item in share]


def _cut(items: list[pytest.Item], parts: int) -> list[list[pytest.Item]]:
    length = -(-len(items) // parts)
    return [items[n * length : (n + 1) * length] for n in range(parts)]
