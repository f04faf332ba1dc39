"""Which events reach the function, and what happens when it raises."""

from __future__ import annotations

import logging
import sys
from typing import Any

import anyio
import pytest

from tapeline.clock import Now
from tapeline.errors import SinkError
from tapeline_callbacks.sink import CALLS_PER_TURN, REPORT_INTERVAL_NS

pytestmark = pytest.mark.anyio

NOW = Now(0, 0, 0)
PLAIN = "seen = []\ndef on_event(event):\n    seen.append(event)\n"
ASYNC = """
import anyio
seen = []
async def on_event(event):
    await anyio.sleep(0)
    seen.append(event)
class Handler:
    async def __call__(self, event):
        seen.append(event)
    def method(self, event):
        return self(event)
handler = Handler()
"""
RAISING = """
seen = []
def on_event(event):
    seen.append(event)
    if len(seen) % 2:
        raise RuntimeError("odd")
async def later(event):
    on_event(event)
"""


def seen() -> list[Any]:
    """What the function of the test was called with."""
    found: list[Any] = sys.modules["target"].seen
    return found


async def test_every_event_is_given_in_order(
    make_sink: Any, write_module: Any, records: Any
) -> None:
    """Nothing is kept, so there is no position."""
    write_module("target", PLAIN)
    sink = make_sink("target:on_event")
    assert await sink.open("journal-a") is None
    events = [records.trade(1), records.ticker(), records.delta(), records.candle()]
    await sink.write(records.batch(events[:2], events[2:]))
    assert [id(event) for event in seen()] == [id(event) for event in events]
    assert sink.health(NOW).counters == {"called": 4, "failed": 0}
    await sink.close()


@pytest.mark.parametrize(
    "target", ["target:on_event", "target:handler", "target:handler.method"]
)
async def test_an_async_function_is_awaited(
    make_sink: Any, write_module: Any, records: Any, target: str
) -> None:
    """Also an object, and a plain function that gives something to await."""
    write_module("target", ASYNC)
    sink = make_sink(target)
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(1), records.trade(2)]))
    assert [event.last_id for event in seen()] == [1, 2]
    await sink.close()


async def test_facts_are_not_events(
    make_sink: Any, write_module: Any, records: Any
) -> None:
    """They have no place in a callback's vocabulary."""
    write_module("target", PLAIN)
    sink = make_sink("target:on_event")
    await sink.open("journal-a")
    await sink.write(records.batch([records.gap(), records.coverage(), records.raw()]))
    assert seen() == []
    await sink.close()


async def test_only_the_wanted_data_types_and_symbols_are_given(
    make_sink: Any, write_module: Any, records: Any
) -> None:
    """Both filters hold."""
    write_module("target", PLAIN)
    sink = make_sink("target:on_event", data_types=("trade",), symbols=("BTC-USDT",))
    await sink.open("journal-a")
    other = type(records.stream)("okx", "spot", "ETH-USDT", "trade", "trades", "fill")
    await sink.write(
        records.batch(
            [records.ticker(), records.trade(1), records.trade(2, stream=other)]
        )
    )
    assert [event.last_id for event in seen()] == [1]
    await sink.close()


@pytest.mark.parametrize("name", ["on_event", "later"])
async def test_a_function_that_raises_is_counted_and_named(
    make_sink: Any,
    write_module: Any,
    records: Any,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """The events behind it still come."""
    write_module("target", RAISING)
    sink = make_sink(f"target:{name}")
    await sink.open("journal-a")
    await sink.write(records.batch([records.trade(n) for n in range(4)]))
    assert [event.last_id for event in seen()] == [0, 1, 2, 3]
    health = sink.health(NOW)
    assert health.counters == {"called": 4, "failed": 2}
    assert health.issues == (f"callback target:{name} raised RuntimeError: odd",)
    [report] = caplog.records
    assert report.getMessage() == (
        f"callback target:{name} raised RuntimeError: odd (0 more since the last "
        "report)"
    )
    await sink.close()


async def test_failures_are_reported_once_in_a_while(
    make_sink: Any,
    write_module: Any,
    records: Any,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the count of those in between, and the rest at the end."""
    write_module("target", RAISING)
    sink = make_sink("target:on_event")
    await sink.open("journal-a")
    batch = records.batch([records.trade(n) for n in range(6)])
    await sink.write(batch)
    clock.now_ns += REPORT_INTERVAL_NS
    await sink.write(batch)
    await sink.close()
    assert [record.getMessage().rpartition("odd")[2] for record in caplog.records] == [
        " (0 more since the last report)",
        " (2 more since the last report)",
        "callback target:on_event raised 2 more times",
    ]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].levelno == logging.ERROR


async def test_cancellation_passes_through_a_callback(
    make_sink: Any, write_module: Any, records: Any
) -> None:
    """A callback that hangs does not keep the process from stopping."""
    write_module(
        "target",
        "import anyio\nseen = []\n"
        "async def on_event(event):\n"
        "    seen.append(event)\n"
        "    await anyio.sleep_forever()\n",
    )
    sink = make_sink("target:on_event")
    await sink.open("journal-a")
    with anyio.move_on_after(0.05) as scope:
        await sink.write(records.batch([records.trade(1), records.trade(2)]))
    assert scope.cancelled_caught
    assert len(seen()) == 1
    assert sink.health(NOW).counters["failed"] == 0
    await sink.close()


async def test_a_long_batch_gives_the_others_a_turn(
    make_sink: Any, write_module: Any, records: Any
) -> None:
    """Plain functions would otherwise hold the loop for the whole of it."""
    write_module("target", PLAIN)
    sink = make_sink("target:on_event")
    await sink.open("journal-a")
    seen_by_other: list[int] = []

    async def other() -> None:
        seen_by_other.append(len(seen()))

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await sink.write(
            records.batch([records.trade(n) for n in range(3 * CALLS_PER_TURN)])
        )
    assert seen_by_other == [CALLS_PER_TURN]
    await sink.close()


async def test_writing_before_opening_is_refused(make_sink: Any, records: Any) -> None:
    """And closing is safe twice and unopened."""
    sink = make_sink("target:on_event")
    await sink.close()
    with pytest.raises(SinkError, match="to be opened before"):
        await sink.write(records.batch([records.trade(1)]))
    await sink.close()
