"""An exception in any task: that part starts again or the whole says that it ended.

The exception is raised where the task waits, as a bug there would raise it.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType, StatusChange
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    Market,
    MemoryNetwork,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

SETTLE_S = 15.0
AFTER_S = 40.0

WHOLE = {
    "tapeline-engine",
    "tapeline.delivery.live.LiveFanOut.run",
    "tapeline.journal.journal.Journal.run",
    "tapeline.runtime.pipeline_loop.PipelineLoop.run",
}
"""Without these nothing can be collected: their end is the end of the engine."""

SINK = {
    "tapeline.delivery.runner.SinkRunner._guard",
    "tapeline.delivery.runner.SinkRunner.run",
}
"""With these one sink has failed, and says so; collecting goes on."""

STARTED_AGAIN = (
    "tapeline-collector_manager-watch",
    "tapeline-okx",
    "tapeline.collectors.life.CollectorLife._keep_running",
    "tapeline.collectors.life.CollectorLife._run_until_trouble.until",
    "tapeline.runtime.caretaker.Caretaker._supervise CandleFetcher.run",
    "tapeline.runtime.caretaker.Caretaker._supervise Backfiller.run",
    "tapeline.runtime.caretaker.Caretaker._supervise Caretaker._keep_fresh",
    "tapeline.runtime.caretaker.Caretaker._supervise Watcher.run",
    "tapeline.runtime.caretaker.Caretaker.run",
    "tapeline.runtime.feeds.Feeds._run",
    "tapeline.transport.connection.Connection._guard Connection._steer",
    "tapeline.transport.connection.Connection._guard Outgoing.run",
    "tapeline.transport.connection.Connection._guard Receiver.run",
    "tapeline.transport.line.Line._attend",
    "tapeline.transport.link.ExchangeLink._keep_time",
    "tapeline.transport.link.ExchangeLink._run_bundle",
)

OTHERS = {
    "tapeline-binance",
    # Waits for another task, or for the next second.
    "tapeline.runtime.sink_desk.SinkDesk.run",
}


class Killed(Exception):
    """Raised in a task by the test."""


@attrs.define
class Outcome:
    """What came of it.

    Args:
        victims: names of the tasks that were there.
        points: by exchange, of the last seconds.
        failed: collectors that the manager lists as failed.
        killed: whether there was such a task.
    """

    victims: list[str]
    health: Any = None
    status: dict[str, Any] = attrs.field(factory=dict)
    points: dict[str, int] = attrs.field(factory=dict)
    changes: list[StatusChange] = attrs.field(factory=list)
    failed: list[str] = attrs.field(factory=list)
    killed: bool = False

    def told(self) -> set[tuple[str, str]]:
        """What observers heard: components and their new states."""
        return {(change.component, change.after) for change in self.changes}


def _name(task: asyncio.Task[Any]) -> str:
    """What it runs, and which of several."""
    name = task.get_name().replace("<locals>.", "")
    inner: Any = task.get_coro()
    while inner is not None and name.endswith(("._supervise", "._guard")):
        if getattr(inner, "__name__", "") in ("_supervise", "_guard"):
            known = inner.cr_frame.f_locals
            body = known.get("body") or known.get("run")
            return f"{name} {body.__qualname__}" if body is not None else name
        inner = getattr(inner, "cr_await", None)
    return name


def _is_ours(task: asyncio.Task[Any]) -> bool:
    name = task.get_name()
    return name.startswith("tapeline") and not name.startswith("tapeline.testing")


def _kill(task: asyncio.Task[Any]) -> bool:
    waiter: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    if waiter is None or waiter.done() or isinstance(waiter, asyncio.Task):
        return False
    waiter.set_exception(Killed("killed"))
    return True


def collect(folder: Path, victim: str) -> Outcome:
    """Two exchanges; an exception in a task called *victim*."""

    async def inside() -> Outcome:
        clock = VirtualClock()
        venues = {}
        for name, host in (("okx", "okx.test"), ("binance", "binance.test")):
            market = Market(1, rate_hz=2.0, start_ns=clock.wall_ns())
            simulator = PluginRegistry().exchange(name).simulator(market)
            assert isinstance(simulator, SimulatorBase)
            venues[host] = MemoryVenue(simulator, clock)
        async with MemoryNetwork(venues) as network:
            seams = Seams(
                clock, network.dialer, network.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                return await _live(clock)

    async def _live(clock: VirtualClock) -> Outcome:
        manager = CollectorManager(
            sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
            settings=EngineSettings(data_dir=folder),
            global_health_check_interval=10.0,
        )
        outcome = Outcome([])
        manager.add_observer(outcome.changes.append)

        def count(point: Any) -> None:
            outcome.points[point.exchange] += 1

        for name, host in (("okx", "okx.test"), ("binance", "binance.test")):
            member = ExchangeCollector(
                name,
                "BTC-USDT",
                [DataType.TRADE],
                component_name=name,
                custom_params={
                    "ws_url": f"wss://{host}",
                    "rest_url": f"https://{host}",
                },
            )
            member.add_data_callback(DataType.TRADE, count)
            manager.add_collector(member)
        outcome.points = {"okx": 0, "binance": 0}
        await manager.start()
        await anyio.sleep(SETTLE_S)
        tasks = [task for task in asyncio.all_tasks() if _is_ours(task)]
        outcome.victims = [_name(task) for task in tasks]
        chosen = [task for task in tasks if _name(task) == victim]
        for _ in range(20):
            if outcome.killed or not chosen:
                break
            outcome.killed = _kill(chosen[0])
            # It may just be about to run.
            await anyio.sleep(0.01)
        await anyio.sleep(AFTER_S)
        outcome.points.update(okx=0, binance=0)
        await anyio.sleep(10.0)
        outcome.health, outcome.status = manager.health(), manager.get_status()
        outcome.failed = manager.get_failed_collectors()
        await manager.stop()
        return outcome

    found: Outcome = run_virtual(inside)
    return found


def test_every_task_that_runs_has_been_thought_of(tmp_path: Path) -> None:
    outcome = collect(tmp_path, "")

    assert outcome.health.ready
    known = WHOLE | SINK | set(STARTED_AGAIN) | OTHERS
    assert set(outcome.victims) == known


@pytest.mark.parametrize("victim", STARTED_AGAIN)
def test_a_part_that_raises_is_started_again_and_its_neighbors_go_on(
    tmp_path: Path, victim: str
) -> None:
    outcome = collect(tmp_path, victim)

    assert outcome.killed
    assert outcome.health.ready, outcome.health.issues
    assert min(outcome.points.values()) > 5
    feeds = outcome.status["engine"]["feeds"].values()
    assert min(feed["reconnects"] for feed in feeds) == 0
    parts = [care["parts"] for care in outcome.status["engine"]["care"].values()]
    assert {state for part in parts for state in part.values()} == {"running"}


@pytest.mark.parametrize("victim", sorted(SINK))
def test_a_sink_that_raises_has_failed_and_collecting_goes_on(
    tmp_path: Path, victim: str
) -> None:
    outcome = collect(tmp_path, victim)

    assert outcome.killed
    assert list(outcome.health.issues) == ["sink sqlite takes nothing: killed"]
    assert min(outcome.points.values()) > 5
    assert ("sink sqlite", "failed") in outcome.told()


@pytest.mark.parametrize("victim", sorted(WHOLE))
def test_the_end_of_the_engine_is_told_of(tmp_path: Path, victim: str) -> None:
    outcome = collect(tmp_path, victim)

    assert outcome.killed
    assert not outcome.health.ready
    assert list(outcome.health.issues) == ["the engine does not run: killed"]
    assert set(outcome.failed) == {"okx", "binance"}
    assert ("collection", "failing") in outcome.told()
