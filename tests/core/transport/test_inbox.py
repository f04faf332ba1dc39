"""The hand-over: order, bounds, wake-ups."""

from __future__ import annotations

import anyio
import pytest

from tapeline.model import Subscription
from tapeline.transport import Inbox, StreamDropped

pytestmark = pytest.mark.anyio


def mark(number: int) -> StreamDropped:
    return StreamDropped(Subscription("x", "spot", "S", "trade", "trades"), number)


async def test_items_come_out_in_order_and_once() -> None:
    inbox = Inbox()
    inbox.put(mark(1), mark(2))
    inbox.put(mark(3))
    assert inbox.swap() == [mark(1), mark(2), mark(3)]
    assert inbox.swap() == []
    assert inbox.peak == 3


async def test_a_waiting_pipeline_is_woken() -> None:
    inbox = Inbox()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(inbox.wait)
        await anyio.lowlevel.checkpoint()
        inbox.items.append(mark(1))
        inbox.wake()
    await inbox.wait()


async def test_everybody_who_waits_for_room_goes_on() -> None:
    inbox = Inbox(max_items=1)
    inbox.put(mark(1))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(inbox.room)
            await anyio.lowlevel.checkpoint()
            inbox.swap()
    assert not inbox.full
