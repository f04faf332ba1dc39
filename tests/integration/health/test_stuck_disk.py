"""A disk that neither stores nor refuses: what waits is not delivered."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import anyio
import attrs

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType, Health
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Arguments, Result, Seams, Worker
from tapeline.testing import (
    InlineExecutor,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

STUCK_S = 90.0


@attrs.define
class StuckDisk:
    """Its journal hangs in a call for a while, once it is told to."""

    clock: VirtualClock
    stuck_s: float = 0.0

    def worker(self, name: str) -> Worker:
        """One that hangs for the journal."""
        good = InlineExecutor().worker(name)
        return StuckWorker(good, self) if name == "journal" else good


@attrs.define
class StuckWorker:
    """See ``StuckDisk``."""

    good: Worker
    disk: StuckDisk

    async def run(
        self, call: Callable[[*Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run it, late."""
        stuck_s, self.disk.stuck_s = self.disk.stuck_s, 0.0
        await self.disk.clock.sleep(stuck_s)
        return await self.good.run(call, *args)

    async def aclose(self) -> None:
        """Nothing of its own to release."""
        await self.good.aclose()


def test_a_disk_that_hangs_is_told_though_sinks_and_sockets_look_well(
    tmp_path: Path,
) -> None:
    async def story() -> dict[int, Health]:
        clock = VirtualClock()
        disk = StuckDisk(clock)
        market = Market(1, rate_hz=10.0, start_ns=clock.wall_ns())
        simulator = PluginRegistry().exchange("okx").simulator(market)
        assert isinstance(simulator, SimulatorBase)
        seen: dict[int, Health] = {}
        async with MemoryVenue(simulator, clock) as line:
            seams = Seams(clock, line.dialer, line.http, disk, random.Random(1))
            with use_seams(seams):
                manager = CollectorManager(
                    sinks=[{"use": "sqlite", "path": str(tmp_path / "market.db")}],
                    settings=EngineSettings(data_dir=tmp_path),
                )
                manager.add_collector(
                    ExchangeCollector("okx", ["BTC-USDT"], [DataType.TRADE])
                )
                assert await manager.start()
                assert manager.engine is not None
                for second in range(160):
                    if second == 30:
                        disk.stuck_s = STUCK_S
                    await anyio.sleep(1.0)
                    seen[second] = manager.engine.health()
                await manager.stop()
        return seen

    seen = run_virtual(story)

    ready = [second for second, health in seen.items() if health.ready]
    assert set(range(5, 59)) <= set(ready)
    assert not set(range(62, 119)) & set(ready)
    assert set(range(123, 160)) <= set(ready)
    assert seen[100].issues[0].startswith("the journal has stored nothing for 7")
