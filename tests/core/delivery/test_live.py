"""Live callbacks: at once, each on its own, and never in the way of the pipeline."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tapeline.delivery import LiveFanOut, LiveSettings
from tapeline.model import DataType, Gap, Trade
from tapeline.testing import VirtualClock, run_virtual

OpenLive = Callable[..., AbstractAsyncContextManager[LiveFanOut]]


@pytest.fixture
def reports() -> list[tuple[str, str]]:
    """What was reported: name of the consumer and the error's text."""
    return []


@pytest.fixture
def live(reports: list[tuple[str, str]]) -> OpenLive:
    """A fan-out that runs until the block ends."""

    @asynccontextmanager
    async def opened(settings: LiveSettings | None = None) -> AsyncIterator[LiveFanOut]:
        fan_out = LiveFanOut(
            VirtualClock(),
            reporter=lambda name, error: reports.append((name, str(error))),
            settings=settings,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fan_out.run)
            yield fan_out
            tasks.cancel_scope.cancel()

    return opened


def test_each_callback_gets_its_data_type_in_order(
    live: OpenLive, make_trade: Any, make_ticker: Any
) -> None:
    async def main() -> None:
        async with live() as fan_out:
            trades: list[object] = []
            tickers: list[object] = []
            both: list[object] = []
            slow: list[object] = []

            async def later(event: object) -> None:
                await anyio.sleep(0.001)
                slow.append(event)

            fan_out.add(DataType.TRADE, trades.append)
            fan_out.add("ticker", tickers.append)
            fan_out.add(None, both.append)
            fan_out.add(DataType.TRADE, later)
            events = [make_trade(1), make_ticker(2), make_trade(3)]
            fan_out.publish(events)
            assert trades == []
            await fan_out.drain(1)
            assert trades == slow == [events[0], events[2]]
            assert tickers == [events[1]]
            assert both == events

    run_virtual(main)


def test_only_the_wanted_symbols_are_given(live: OpenLive, make_trade: Any) -> None:
    async def main() -> None:
        async with live() as fan_out:
            seen: list[Trade] = []
            fan_out.add("trade", seen.append, symbols=["ETH-USDT"])
            fan_out.publish([make_trade(1), make_trade(2, "ETH-USDT")])
            await fan_out.drain(1)
            assert [trade.symbol for trade in seen] == ["ETH-USDT"]

    run_virtual(main)


def test_facts_are_no_events(live: OpenLive, make_trade: Any, stream: Any) -> None:
    async def main() -> None:
        async with live() as fan_out:
            seen: list[object] = []
            fan_out.add(None, seen.append)
            fan_out.publish([Gap(stream, 1, 1, 1, 2, 3, 4, "stall", 5), make_trade(1)])
            await fan_out.drain(1)
            assert seen == [make_trade(1)]

    run_virtual(main)


def test_a_callback_that_raises_is_counted_and_named_and_the_others_are_called(
    live: OpenLive, reports: list[tuple[str, str]], make_trade: Any
) -> None:
    async def main() -> None:
        async with live() as fan_out:
            seen: list[object] = []

            def bad(event: object) -> None:
                raise ValueError("mine")

            async def bad_later(event: object) -> None:
                raise ValueError("mine too")

            first = fan_out.add("trade", bad)
            second = fan_out.add("trade", bad_later, name="slow one")
            fan_out.add("trade", seen.append)
            fan_out.publish([make_trade(n) for n in range(3)])
            await fan_out.drain(1)
            assert len(seen) == 3
            assert (first.errors, second.errors) == (3, 3)
            assert first.last_error == "ValueError: mine"
            assert sorted(set(reports)) == [
                ("slow one", "mine too"),
                (first.name, "mine"),
            ]
            assert "bad" in first.name

    run_virtual(main)


def test_a_slow_asynchronous_callback_misses_the_oldest_and_nobody_else_does(
    live: OpenLive, make_trade: Any
) -> None:
    async def main() -> None:
        async with live(LiveSettings(max_items=10)) as fan_out:
            slow: list[int] = []
            fast: list[int] = []

            async def later(trade: Trade) -> None:
                await anyio.sleep(1)
                slow.append(trade.last_id)

            consumer = fan_out.add("trade", later)
            fan_out.add("trade", lambda trade: fast.append(trade.last_id))
            for n in range(100):
                fan_out.publish([make_trade(n)])
                await anyio.sleep(0.001)
            assert consumer.queue.items <= 10
            await fan_out.drain(100)
            assert fast == list(range(100))
            assert slow[0] == 0
            assert slow[1:] == list(range(90, 100))
            assert consumer.statistics()["dropped"] == 89

    run_virtual(main)


def test_the_bound_counts_bytes_too(live: OpenLive, make_book: Any) -> None:
    async def main() -> None:
        async with live(LiveSettings(max_bytes=1_000_000)) as fan_out:

            async def never(event: object) -> None:
                await anyio.sleep_forever()

            consumer = fan_out.add("orderbook", never)
            for n in range(50):
                fan_out.publish([make_book(n)])
                await anyio.sleep(0.001)
            assert 0 < consumer.queue.nbytes <= 1_000_000
            assert consumer.statistics()["dropped"] == 49 - consumer.queue.items

    run_virtual(main)


def test_publishing_never_waits_even_when_nobody_takes(make_trade: Any) -> None:
    async def main() -> None:
        fan_out = LiveFanOut(VirtualClock(), settings=LiveSettings(max_items=100))
        fan_out.add("trade", print)
        for n in range(1_000):
            fan_out.publish([make_trade(n)])
        statistics = fan_out.statistics()
        assert statistics["queued"] == 100
        assert statistics["dropped"] == 900

    run_virtual(main)


def test_a_removed_callback_is_called_no_more(live: OpenLive, make_trade: Any) -> None:
    async def main() -> None:
        async with live() as fan_out:
            seen: list[object] = []
            slow: list[object] = []

            async def later(event: object) -> None:
                await anyio.sleep(1)
                slow.append(event)

            consumers = [fan_out.add("trade", seen.append), fan_out.add(None, later)]
            fan_out.publish([make_trade(n) for n in range(5)])
            await anyio.sleep(0.5)
            for consumer in consumers:
                fan_out.remove(consumer)
                fan_out.remove(consumer)
            fan_out.publish([make_trade(9)])
            await anyio.sleep(10)
            assert len(seen) == 5
            assert len(slow) == 1
            assert fan_out.statistics()["consumers"] == []

    run_virtual(main)


def test_a_callback_may_remove_itself_and_add_another(
    live: OpenLive, make_trade: Any
) -> None:
    async def main() -> None:
        async with live() as fan_out:
            seen: list[str] = []

            def once(event: object) -> None:
                seen.append("once")
                fan_out.remove(consumer)
                fan_out.add("trade", lambda event: seen.append("then"))

            consumer = fan_out.add("trade", once)
            fan_out.publish([make_trade(1), make_trade(2)])
            await fan_out.drain(1)
            assert seen == ["once", "then"]

    run_virtual(main)


def test_callables_of_every_kind_are_awaited_when_they_are_asynchronous(
    live: OpenLive, make_trade: Any
) -> None:
    async def main() -> None:
        async with live() as fan_out:
            seen: list[str] = []

            class Callable_:
                async def __call__(self, event: object) -> None:
                    seen.append("object")

                async def method(self, event: object) -> None:
                    seen.append("method")

            async def two(name: str, event: object) -> None:
                await anyio.sleep(0.001)
                seen.append(name)

            fan_out.add("trade", Callable_())
            fan_out.add("trade", Callable_().method)
            fan_out.add("trade", functools.partial(two, "partial"))
            fan_out.add("trade", lambda event: two("lambda", event))
            for n in range(3):
                fan_out.publish([make_trade(n)])
            await fan_out.drain(1)
            assert sorted(seen) == sorted(["object", "method", "partial", "lambda"] * 3)

    run_virtual(main)


def test_callbacks_added_before_it_runs_are_called(make_trade: Any) -> None:
    fan_out = LiveFanOut()
    seen: list[object] = []

    async def later(event: object) -> None:
        seen.append(event)

    fan_out.add("trade", seen.append)
    fan_out.add("trade", later)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            fan_out.publish([make_trade(1)])
            tasks.start_soon(fan_out.run)
            await anyio.sleep(0.01)
            await fan_out.drain(1)
            tasks.cancel_scope.cancel()
        assert seen == [make_trade(1)] * 2

    run_virtual(main)


def test_a_flood_leaves_other_tasks_their_turns(
    live: OpenLive, make_trade: Any
) -> None:
    async def main() -> None:
        async with live(LiveSettings(turn=10)) as fan_out:
            turns: list[int] = []
            calls = 0

            def count(event: object) -> None:
                nonlocal calls
                calls += 1

            async def other() -> None:
                while calls < 1_000:
                    turns.append(calls)
                    await anyio.lowlevel.checkpoint()

            fan_out.add("trade", count)
            fan_out.publish([make_trade(n) for n in range(1_000)])
            with anyio.fail_after(5):
                await other()
            assert len(turns) > 50

    run_virtual(main)


def test_the_statistics_are_json(live: OpenLive, make_trade: Any) -> None:
    async def main() -> None:
        async with live() as fan_out:
            fan_out.add("trade", lambda event: None, name="mine")
            fan_out.publish([make_trade(1)])
            await fan_out.drain(1)
            figures = json.loads(json.dumps(fan_out.statistics()))
            assert figures["published"] == 1
            (mine,) = figures["consumers"]
            assert (mine["name"], mine["calls"], mine["errors"]) == ("mine", 1, 0)

    run_virtual(main)


def test_draining_is_bounded(live: OpenLive, make_trade: Any) -> None:
    async def main() -> None:
        async with live() as fan_out:

            async def never(event: object) -> None:
                await anyio.sleep_forever()

            fan_out.add("trade", never)
            fan_out.publish([make_trade(1)])
            with anyio.fail_after(3):
                await fan_out.drain(2)

    run_virtual(main)


def test_callbacks_go_on_when_it_runs_again(make_trade: Any) -> None:
    async def main() -> None:
        fan_out = LiveFanOut(VirtualClock())
        seen: list[int] = []

        async def later(trade: Trade) -> None:
            seen.append(trade.last_id)

        fan_out.add("trade", later)
        fan_out.add("trade", lambda trade: seen.append(-trade.last_id))
        for n in (1, 2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fan_out.run)
                await anyio.sleep(0.01)
                fan_out.publish([make_trade(n)])
                await fan_out.drain(1)
                tasks.cancel_scope.cancel()
        assert sorted(seen) == [-2, -1, 1, 2]

    run_virtual(main)
