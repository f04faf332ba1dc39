"""Live sinks: from memory, at most once, each on its own."""

from __future__ import annotations

import json
import random
from typing import Any

import anyio
import pytest

from tapeline.delivery import LiveFanOut, LiveSettings
from tapeline.errors import SinkError
from tapeline.model import Coverage
from tapeline.testing import VirtualClock, run_virtual
from tapeline.testing.sinks import MemorySink


def make_live(settings: LiveSettings | None = None) -> LiveFanOut:
    """A fan-out on the running virtual loop."""
    return LiveFanOut(
        VirtualClock(),
        random.Random(1),
        reporter=lambda name, error: None,
        settings=settings,
    )


def test_a_live_sink_gets_what_it_accepts_and_the_facts(
    make_trade: Any, make_ticker: Any, stream: Any
) -> None:
    async def main() -> None:
        fan_out = make_live()
        sink = MemorySink()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            await fan_out.add_sink("pub", sink, ["trade"])
            covered = Coverage(stream, 1, None, 1, 2)
            fan_out.publish([make_trade(1), make_ticker(2), covered])
            fan_out.publish([make_ticker(3)])
            fan_out.publish([make_trade(4)])
            await fan_out.drain(1)
            tasks.cancel_scope.cancel()
        assert sink.database.records() == [make_trade(1), covered, make_trade(4)]
        assert [batch.first_position for batch in sink.batches] == [0, 1]
        assert sink.closes == 1

    run_virtual(main)


def test_a_live_sink_that_is_unavailable_is_opened_later(make_trade: Any) -> None:
    async def main() -> None:
        fan_out = make_live()
        sink = MemorySink()
        sink.open_failures = 5
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            await fan_out.add_sink("pub", sink, None)
            fan_out.publish([make_trade(1)])
            await anyio.sleep(120)
            assert sink.opens == 6
            assert sink.database.trades() == [make_trade(1)]
            tasks.cancel_scope.cancel()

    run_virtual(main)


def test_a_live_sink_that_can_never_open_is_refused_at_once() -> None:
    async def main() -> None:
        fan_out = make_live()
        sink = MemorySink()
        sink.open_error = SinkError("no such function")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            with pytest.raises(SinkError, match="no such function"):
                await fan_out.add_sink("pub", sink, None)
            assert fan_out.statistics()["sinks"] == {}
            assert sink.closes == 1
            tasks.cancel_scope.cancel()

    run_virtual(main)


def test_a_batch_that_failed_is_counted_and_not_sent_again(make_trade: Any) -> None:
    async def main() -> None:
        fan_out = make_live()
        sink = MemorySink()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            await fan_out.add_sink("pub", sink, None)
            sink.lost_replies = 1
            fan_out.publish([make_trade(1)])
            await anyio.sleep(5)
            sink.write_error = ValueError("odd")
            fan_out.publish([make_trade(2), make_trade(3)])
            await anyio.sleep(5)
            sink.write_error = None
            fan_out.publish([make_trade(4)])
            await fan_out.drain(5)
            figures: Any = json.loads(json.dumps(fan_out.statistics()))
            tasks.cancel_scope.cancel()
        assert [t.last_id for t in sink.database.trades()] == [1, 4]
        assert figures["sinks"]["pub"]["errors"] == 2
        assert figures["sinks"]["pub"]["failed_records"] == 3
        assert figures["sinks"]["pub"]["last_error"] == "ValueError: odd"

    run_virtual(main)


def test_a_live_sink_that_hangs_is_bounded_and_slows_nobody(make_trade: Any) -> None:
    async def main() -> None:
        fan_out = make_live(LiveSettings(max_items=10))
        stuck, alive = MemorySink(), MemorySink()
        stuck.hang()
        seen: list[object] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            await fan_out.add_sink("stuck", stuck, None)
            await fan_out.add_sink("alive", alive, None)
            fan_out.add("trade", seen.append)
            for n in range(100):
                fan_out.publish([make_trade(n)])
                await anyio.sleep(0.001)
            assert len(alive.database.trades()) == len(seen) == 100
            figures: Any = fan_out.statistics()
            assert figures["sinks"]["stuck"]["queued"] == 10
            assert figures["sinks"]["stuck"]["dropped"] == 89
            tasks.cancel_scope.cancel()
        assert stuck.closes == alive.closes == 1

    run_virtual(main)


class SlowToOpen(MemorySink):
    """Opens after *opening_s* seconds, or says what is wrong then."""

    opening_s = 25.0

    async def open(self, journal_id: str) -> int | None:
        """Take long."""
        await anyio.sleep(self.opening_s)
        return await super().open(journal_id)


def test_a_live_sink_that_hangs_while_opening_does_not_hold_up_the_start(
    make_trade: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        clock = VirtualClock()
        fan_out = make_live()
        sink = SlowToOpen()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            begin_ns = clock.monotonic_ns()
            await fan_out.add_sink("pub", sink, None)
            assert (clock.monotonic_ns() - begin_ns) / 1e9 == pytest.approx(10)
            fan_out.publish([make_trade(1)])
            await anyio.sleep(20)
            # One try, that went on; what came meanwhile waited in its queue.
            assert sink.opens == 1
            assert sink.database.trades() == [make_trade(1)]
            tasks.cancel_scope.cancel()

    run_virtual(main)
    assert [(r.name, r.levelname) for r in caplog.records] == [
        ("tapeline.sink.pub", "WARNING"),
        ("tapeline.sink.pub", "INFO"),
    ]


def test_a_live_sink_that_fails_after_the_start_is_reported() -> None:
    reported: list[tuple[str, str]] = []

    async def main() -> None:
        fan_out = LiveFanOut(
            VirtualClock(),
            random.Random(1),
            reporter=lambda name, error: reported.append((name, str(error))),
        )
        sink = SlowToOpen()
        sink.open_error = SinkError("no such function")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            await fan_out.add_sink("pub", sink, None)
            await anyio.sleep(20)
            tasks.cancel_scope.cancel()
        assert sink.closes == 1

    run_virtual(main)
    assert reported == [("pub", "no such function")]


def test_a_live_sink_that_is_away_is_logged_once(
    make_trade: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def main() -> None:
        fan_out = make_live()
        sink = MemorySink()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            await fan_out.add_sink("pub", sink, None)
            sink.write_failures = 3
            for n in range(6):
                fan_out.publish([make_trade(n)])
                await anyio.sleep(10)
            tasks.cancel_scope.cancel()

    run_virtual(main)
    assert [(r.name, r.levelname) for r in caplog.records] == [
        ("tapeline.sink.pub", "WARNING"),
        ("tapeline.sink.pub", "INFO"),
    ]
