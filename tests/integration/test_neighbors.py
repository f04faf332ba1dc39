"""Collectors of one manager: what happens to one does not happen to the others."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline import CollectorManager, DataType, ExchangeCollector, UsageError
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, audit, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Ledger,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)

Body = Callable[[MemoryVenue], Awaitable[Any]]


def simulate(
    body: Body, folder: Path | None = None, faults: Sequence[Fault] = ()
) -> Any:
    """Run *body* with OKX simulated in this process."""

    async def inside() -> Any:
        clock = VirtualClock()
        adapter = PluginRegistry().exchange("okx")
        ledger = Ledger(None if folder is None else folder / "ledger.jsonl")
        market = Market(4, rate_hz=10.0, start_ns=clock.wall_ns())
        simulator = adapter.simulator(market, faults=faults, ledger=ledger)
        assert simulator is not None
        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                result = await body(venue)
        ledger.close()
        return result

    return run_virtual(inside)


def collector(
    name: str, *symbols: str, types: Sequence[str] = ("trade",), **params: Any
) -> ExchangeCollector:
    """A collector called *name*."""
    return ExchangeCollector(
        "okx",
        list(symbols or ("BTC-USDT",)),
        list(types),
        component_name=name,
        custom_params=params,
    )


def settings(folder: Path) -> EngineSettings:
    """An engine in *folder*."""
    return EngineSettings(data_dir=folder)


def sqlite(folder: Path, name: str) -> dict[str, str]:
    """A sink in *folder*."""
    return {"use": "sqlite", "path": str(folder / f"{name}.db")}


def rows(folder: Path, name: str, table: str = "trades") -> list[Any]:
    """Rows of one database."""
    reader = PluginRegistry().open_reader(str(folder / f"{name}.db"))
    try:
        return list(getattr(reader, table)())
    finally:
        reader.close()


def test_removing_one_of_two_collectors_of_a_stream_costs_the_other_nothing(
    tmp_path: Path,
) -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(
            sinks=[sqlite(tmp_path, "m")], settings=settings(tmp_path)
        )
        manager.add_collector(collector("a"))
        manager.add_collector(collector("b"))
        await manager.start()
        await anyio.sleep(20)
        manager.remove_collector("a")
        await anyio.sleep(20)
        await manager.stop()

    simulate(body, tmp_path)

    reader = PluginRegistry().open_reader(str(tmp_path / "m.db"))
    accounts = audit(reader, [tmp_path / "ledger.jsonl"])
    assert accounts.ok, accounts.as_dict()
    assert len(list(reader.coverage())) == 1
    stored = list(reader.trades())
    reader.close()
    # Without a break from the first second to the last.
    assert stored[-1]["exchange_ns"] - stored[0]["exchange_ns"] > 38 * 10**9


def test_tickers_that_two_collectors_get_are_stored_once(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(
            sinks=[sqlite(tmp_path, "m")], settings=settings(tmp_path)
        )
        for name in ("a", "b"):
            manager.add_collector(collector(name, types=("ticker",)))
        await manager.start()
        await anyio.sleep(20)
        await manager.stop()

    simulate(body)

    reader = PluginRegistry().open_reader(str(tmp_path / "m.db"))
    counted = reader.counts()["tickers"]
    reader.close()
    # At most one a 100 ms, as the venue sends them.
    assert 50 < counted <= 200


def test_a_restart_of_a_collector_is_a_downtime_and_is_filled(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(
            sinks=[sqlite(tmp_path, "m")],
            settings=settings(tmp_path),
            restart_delay=0.0,
        )
        manager.add_collector(collector("a"))
        await manager.start()
        await anyio.sleep(20)
        venue.set_reachable(False)
        restart = await manager.restart_collector("a")
        await anyio.sleep(10)
        venue.set_reachable(True)
        await anyio.sleep(40)
        await manager.stop()
        assert restart

    simulate(body, tmp_path)

    stored = rows(tmp_path, "m")
    for before, after in itertools.pairwise(stored):
        assert after["first_id"] == before["last_id"] + 1
    assert any(gap["state"] == "closed" for gap in rows(tmp_path, "m", "gaps"))


def test_a_sink_of_one_collector_gets_that_collectors_streams_alone(
    tmp_path: Path,
) -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(settings=settings(tmp_path))
        for name, symbol in (("a", "BTC-USDT"), ("b", "ETH-USDT")):
            member = collector(name, symbol)
            member.add_sink(sqlite(tmp_path, name))
            manager.add_collector(member)
        await manager.start()
        await anyio.sleep(10)
        await manager.stop()

    simulate(body)

    assert {row["symbol"] for row in rows(tmp_path, "a")} == {"BTC-USDT"}
    assert {row["symbol"] for row in rows(tmp_path, "b")} == {"ETH-USDT"}


def test_a_collector_with_sinks_is_refused_by_a_running_manager(
    tmp_path: Path,
) -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(settings=settings(tmp_path))
        await manager.start()
        late = collector("late")
        late.add_sink(sqlite(tmp_path, "late"))
        with pytest.raises(UsageError, match="before the manager starts"):
            manager.add_collector(late)
        assert manager.list_collectors() == []
        await manager.stop()

    simulate(body)


def test_a_callback_that_comes_late_is_called_whatever_its_kind() -> None:
    async def body(venue: MemoryVenue) -> None:
        member = collector("a")
        await member.start()
        seen: list[object] = []

        async def note(point: object) -> None:
            seen.append(point)

        member.add_data_callback(DataType.TRADE, note)
        await anyio.sleep(20)
        await member.stop()

        assert len(seen) > 50

    simulate(body)


def noting(timeframes: set[str]) -> Callable[[Any], None]:
    """A callback that notes the timeframe of each bar."""

    def note(bar: Any) -> None:
        timeframes.add(bar.timeframe)

    return note


def test_a_collector_gets_its_own_timeframes_alone() -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager()
        seen: dict[str, set[str]] = {"a": set(), "b": set()}
        for name, timeframe in (("a", "1s"), ("b", "5s")):
            member = collector(name, timeframes=[timeframe])
            member.add_data_callback(DataType.CANDLE, noting(seen[name]))
            manager.add_collector(member)
        await manager.start()
        await anyio.sleep(30)
        await manager.stop()

        assert seen == {"a": {"1s"}, "b": {"5s"}}

    simulate(body)


def test_rest_that_is_away_for_an_hour_at_the_start_is_waited_for() -> None:
    async def body(venue: MemoryVenue) -> None:
        member = collector("a")
        seen: list[object] = []
        member.add_data_callback(DataType.TRADE, seen.append)
        await member.start()
        await anyio.sleep(1_800)
        during = member.get_status()
        await anyio.sleep(2_000)
        after = member.get_status()
        await member.stop()

        assert during["status"] == "error"
        assert during["statistics"]["last_error"]
        assert during["statistics"]["reconnect_attempts"] >= 5
        assert after["status"] == "running"
        assert seen

    simulate(body, faults=[Fault(kind="rest-status", for_s=3_600.0, status=503)])


def test_quick_changes_of_mind_end_in_what_was_said_last() -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager()
        manager.add_collector(collector("a"))
        await manager.start()
        manager.disable_collector("a")
        manager.enable_collector("a")
        await anyio.sleep(15)
        assert manager.get_running_collectors() == ["a"]
        manager.remove_collector("a")
        manager.add_collector(collector("a"))
        await anyio.sleep(15)
        assert manager.get_running_collectors() == ["a"]
        assert manager.get_failed_collectors() == []
        manager.disable_collector("a")
        assert await manager.restart_collector("a") is False
        await anyio.sleep(15)
        assert manager.get_running_collectors() == []
        await manager.stop()

    simulate(body)


def test_an_engine_that_died_is_an_error_of_every_collector() -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager()
        manager.add_collector(collector("a"))
        await manager.start()
        assert manager.engine is not None
        await manager.engine.stop(force=True)
        await anyio.sleep(5)

        assert manager.get_failed_collectors() == ["a"]
        health = manager.get_status()["collectors"]["a"]
        assert "engine stopped" in health["statistics"]["last_error"]
        await manager.stop()

    simulate(body)


def test_a_start_that_is_cancelled_leaves_the_folder_free(tmp_path: Path) -> None:
    async def body(venue: MemoryVenue) -> None:
        def build() -> CollectorManager:
            manager = CollectorManager(
                sinks=[sqlite(tmp_path, "m")], settings=settings(tmp_path)
            )
            manager.add_collector(collector("a"))
            return manager

        with anyio.move_on_after(0):
            await build().start()
        again = build()
        assert await again.start() is True
        await again.stop()

    simulate(body)


def test_resources_and_messages_are_in_the_status() -> None:
    async def body(venue: MemoryVenue) -> None:
        manager = CollectorManager(restart_delay=0.0)
        manager.add_collector(collector("a"))
        await manager.start()
        await anyio.sleep(10)
        before = manager.get_status()
        await manager.restart_collector("a")
        await anyio.sleep(5)
        after = manager.get_status()
        await manager.stop()

        assert before["resources"]["sockets"] == 1
        assert before["resources"]["rss_bytes"] > 10**6
        assert before["resources"]["cpu_seconds"] > 0
        received = [s["statistics"]["messages_received"] for s in (before, after)]
        assert received[1] > received[0] > 0

    simulate(body)
