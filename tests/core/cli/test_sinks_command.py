"""``tapeline sinks``: what a folder tells, and what a collection does when asked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.errors import SinkUnavailable
from tapeline.model import CLOSED, MarketDataPoint
from tapeline.runtime import Engine, EngineSettings, SinkSettings, use_seams
from tapeline.runtime.sink_desk import EVERY_S
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    MemoryNetwork,
    MemorySink,
    MemorySinkAdapter,
    VirtualClock,
    run_virtual,
)

START = datetime(2025, 1, 1, tzinfo=UTC)


def point(number: int) -> MarketDataPoint:
    """What a collector of the user's own made."""
    at = START + timedelta(seconds=number)
    return MarketDataPoint("mine", "BTC-USDT", at, "mine.rate", {"number": number})


def is_point(*numbers: int) -> Callable[[object], bool]:
    """True for points with these numbers."""
    return lambda record: (
        isinstance(record, MarketDataPoint) and record.data.get("number") in numbers
    )


def numbers(adapter: MemorySinkAdapter) -> list[object]:
    """The points that are stored."""
    return sorted(
        record.data["number"]
        for record in adapter.database.records()
        if isinstance(record, MarketDataPoint)
    )  # type: ignore[type-var]


def sinks(folder: Path, *words: str) -> Any:
    """Run the command; its document."""
    result = CliRunner().invoke(
        app, ["sinks", "--data-dir", str(folder), "--json", *words]
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def collect(tmp_path: Path) -> Any:
    """``collect(adapters, body)``: a collection in virtual time, its engine to body."""

    def run(adapters: dict[str, MemorySinkAdapter], body: Any) -> None:
        async def main() -> None:
            clock = VirtualClock()
            network = MemoryNetwork({})
            seams = Seams(
                clock,
                network.dialer,
                network.http,
                InlineExecutor(),
                random.Random(1),
            )
            with use_seams(seams):
                engine = Engine(seams, EngineSettings(data_dir=tmp_path))
                for name, adapter in adapters.items():
                    engine.add_sink(SinkSettings(name, adapter, {}))
                await engine.start()
                try:
                    await body(engine, clock)
                finally:
                    await engine.stop()

        run_virtual(main)

    return run


def test_a_running_collection_tells_how_its_sinks_are_and_obeys(
    collect: Any, tmp_path: Path
) -> None:
    def prepare(sink: MemorySink) -> None:
        sink.refuse = is_point(1, 3)

    good, away = MemorySinkAdapter(prepare=prepare), MemorySinkAdapter()

    async def body(engine: Engine, clock: VirtualClock) -> None:
        away.sinks[0].write_error = SinkUnavailable("expected an answer, found none")
        for n in range(5):
            engine.publish([point(n)])
        await clock.sleep(2 * EVERY_S)
        shown = sinks(tmp_path)
        assert shown["running"]
        by_name = {sink["name"]: sink for sink in shown["sinks"]}
        assert by_name["good"]["state"] == "running"
        assert by_name["good"]["dead_letters"] == 2
        assert [letter["ordinal"] for letter in by_name["good"]["letters"]]
        assert by_name["good"]["lag_rows"] == 0
        assert by_name["away"]["state"] == "unavailable"
        assert "found none" in by_name["away"]["reason"]
        assert by_name["away"]["lag_rows"] > 0
        assert by_name["away"]["lag_bytes"] > 0
        assert by_name["away"]["lag_seconds"] >= EVERY_S

        good.sinks[0].refuse = None
        asked = sinks(tmp_path, "--retry", "good")["asked"]
        assert asked == [{"action": "retry", "sink": "good"}]
        await clock.sleep(2 * EVERY_S)
        assert numbers(good) == [0, 1, 2, 3, 4]
        assert {gap.state for gap in good.database.gaps()} == {CLOSED}
        [mine] = [one for one in sinks(tmp_path)["sinks"] if one["name"] == "good"]
        assert (mine["dead_letters"], mine["retrying"]) == (0, 0)
        away.sinks[0].write_error = None

    collect({"good": good, "away": away}, body)


def test_without_a_collection_the_folder_still_tells_and_the_next_start_obeys(
    collect: Any, tmp_path: Path
) -> None:
    wrong: list[Any] = [is_point(1, 3)]

    def prepare(sink: MemorySink) -> None:
        sink.refuse = wrong[0]

    adapter = MemorySinkAdapter(prepare=prepare)

    async def first(engine: Engine, clock: VirtualClock) -> None:
        for n in range(5):
            engine.publish([point(n)])
        await clock.sleep(1)

    collect({"good": adapter}, first)
    shown = sinks(tmp_path)
    assert not shown["running"]
    [sink] = shown["sinks"]
    assert (sink["state"], sink["dead_letters"]) == ("not running", 2)
    text = CliRunner().invoke(app, ["sinks", "--data-dir", str(tmp_path)]).stdout
    assert "no collection is running" in text
    assert text.count("good refused position") == 2

    sinks(tmp_path, "--retry", "good")
    wrong[0] = None

    async def second(engine: Engine, clock: VirtualClock) -> None:
        await clock.sleep(2 * EVERY_S)

    collect({"good": adapter}, second)
    assert numbers(adapter) == [0, 1, 2, 3, 4]
    assert sinks(tmp_path)["sinks"][0]["dead_letters"] == 0
    assert not (tmp_path / "sinks.request.taken").exists()


def test_what_is_dropped_is_gone(collect: Any, tmp_path: Path) -> None:
    def prepare(sink: MemorySink) -> None:
        sink.refuse = is_point(1)

    async def body(engine: Engine, clock: VirtualClock) -> None:
        engine.publish([point(1)])
        await clock.sleep(1)
        sinks(tmp_path, "--drop", "good")
        await clock.sleep(2 * EVERY_S)
        assert sinks(tmp_path)["sinks"][0]["dead_letters"] == 0

    collect({"good": MemorySinkAdapter(prepare=prepare)}, body)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--retry", "god"], "did you mean 'good'?"),
        (["--drop", "good"], "expected dead letters of sink 'good'"),
        (["no.toml"], "expected a configuration or --data-dir, found both"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(
    collect: Any, tmp_path: Path, words: list[str], sentence: str
) -> None:
    async def body(engine: Engine, clock: VirtualClock) -> None:
        await clock.sleep(1)

    collect({"good": MemorySinkAdapter()}, body)
    result = CliRunner().invoke(app, ["sinks", "--data-dir", str(tmp_path), *words])
    assert result.exit_code == 2
    assert sentence in result.output


def test_a_folder_without_a_journal_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sinks", "--data-dir", str(tmp_path)])
    assert result.exit_code == 2
    assert "journal.db" in result.output
