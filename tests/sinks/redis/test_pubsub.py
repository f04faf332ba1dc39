"""Live output: to whoever listens now, and nobody waits for anybody."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis

from tapeline.clock import SystemClock, now
from tapeline.errors import SinkError, SinkUnavailable

pytestmark = pytest.mark.anyio
Make = Callable[..., Any]


async def heard(listener: Any, count: int) -> list[tuple[str, dict[str, Any]]]:
    """The next *count* messages: channel and document."""
    found: list[tuple[str, dict[str, Any]]] = []
    with anyio.fail_after(30):
        while len(found) < count:
            message = await listener.get_message(
                ignore_subscribe_messages=True, timeout=1
            )
            if message is not None:
                channel = message["channel"].decode()
                found.append((channel, json.loads(message["data"])))
    return found


async def test_each_event_goes_to_the_channel_of_its_stream_in_order(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    sink = make_pubsub()
    assert await sink.open("live") is None
    async with (
        Redis(unix_socket_path=str(server.socket)) as client,
        client.pubsub() as listener,
    ):
        await listener.psubscribe("tapeline:okx:*")
        await sink.write(
            records.batch(
                [records.trade(1), records.trade(2)],
                [records.ticker(), records.candle()],
            )
        )
        messages = await heard(listener, 4)
    await sink.close()
    assert [channel for channel, _ in messages] == [
        "tapeline:okx:spot:BTC-USDT:trade",
        "tapeline:okx:spot:BTC-USDT:trade",
        "tapeline:okx:spot:BTC-USDT:ticker",
        "tapeline:okx:spot:BTC-USDT:candle",
    ]
    assert [told.get("last_id") for _, told in messages[:2]] == [1, 2]
    counters = sink.health(now(SystemClock())).counters
    assert counters["published"] == counters["deliveries"] == 4


async def test_it_works_again_after_a_restart_of_the_server(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    sink = make_pubsub()
    await sink.open("live")
    server.kill()
    with pytest.raises(SinkUnavailable):
        await sink.write(records.batch([records.trade(1)]))
    assert not sink.health(now(SystemClock())).ok
    server.start()
    await sink.write(records.batch([records.trade(2)]))
    assert sink.health(now(SystemClock())).ok
    await sink.close()


async def test_a_connection_that_the_server_ends_is_replaced(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    sink = make_pubsub()
    await sink.open("live")
    server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    with pytest.raises(SinkUnavailable):
        await sink.write(records.batch([records.trade(1)]))
    await sink.write(records.batch([records.trade(2)]))
    await sink.close()


async def test_a_subscriber_that_does_not_read_is_dropped_and_holds_nobody_up(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    server.run("CONFIG", "SET", "client-output-buffer-limit", "pubsub 256kb 0 0")
    sink = make_pubsub()
    await sink.open("live")
    channel = "tapeline:okx:spot:BTC-USDT:raw"
    # A bare socket, which nobody reads from: a client would connect again.
    reader, writer = await asyncio.open_unix_connection(str(server.socket))
    writer.write(f"SUBSCRIBE {channel}\r\n".encode())
    await reader.readuntil(b":1\r\n")
    batch = records.batch([records.raw("x" * 50_000)] * 20)
    with anyio.fail_after(60):
        while server.run("PUBSUB", "NUMSUB", channel)[1]:
            await sink.write(batch)
    writer.close()
    await writer.wait_closed()
    assert sink.health(now(SystemClock())).ok
    await sink.close()


async def test_full_memory_and_a_read_only_server_do_not_stop_publishing(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    sink = make_pubsub()
    await sink.open("live")
    server.run("CONFIG", "SET", "maxmemory", "1")
    await sink.write(records.batch([records.trade(1)]))
    server.run("CONFIG", "SET", "maxmemory", "0")
    server.run("REPLICAOF", "127.0.0.1", "1")
    await sink.write(records.batch([records.trade(1)]))
    await sink.close()


async def test_a_server_that_stands_still_costs_no_more_than_the_deadline(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    sink = make_pubsub(timeout_s=0.3)
    await sink.open("live")
    server.freeze()
    with anyio.fail_after(10):
        with pytest.raises(SinkUnavailable):
            await sink.write(records.batch([records.raw("x" * 4_000_000)]))
        with pytest.raises(SinkUnavailable):
            await sink.write(records.batch([records.trade(1)]))
    server.thaw()
    with anyio.fail_after(30):
        while True:
            try:
                await sink.write(records.batch([records.trade(2)]))
                break
            except SinkUnavailable:
                await anyio.sleep(0.05)
    await sink.close()


async def test_a_cancelled_write_takes_its_connection_along(
    server: Any, make_pubsub: Make, records: Any
) -> None:
    """Else the next call would read the answer to the cancelled one."""
    sink = make_pubsub()
    await sink.open("live")
    server.freeze()
    with anyio.move_on_after(0.2) as scope:
        await sink.write(records.batch([records.trade(1)] * 3))
    assert scope.cancelled_caught
    server.thaw()
    await sink.open("live")
    await sink.write(records.batch([records.trade(2)]))
    assert sink.health(now(SystemClock())).ok
    await sink.close()


async def test_a_wrong_password_is_final_and_stays_out_of_the_sentence(
    server: Any, make_pubsub: Make
) -> None:
    server.run("CONFIG", "SET", "requirepass", "the-right-one")
    path = server.url.removeprefix("unix://")
    for word in ("", ":a-wrong-one@"):
        sink = make_pubsub(url=f"unix://{word}{path}")
        with pytest.raises(SinkError, match="let us in") as caught:
            await sink.open("live")
        assert not isinstance(caught.value, SinkUnavailable)
        assert "wrong-one" not in str(caught.value)
        await sink.close()
    sink = make_pubsub(url=f"unix://:the-right-one@{path}")
    await sink.open("live")
    await sink.close()


async def test_a_record_that_no_json_can_hold_is_left_out(
    make_pubsub: Make, records: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sink = make_pubsub()
    await sink.open("live")
    broken = records.raw("half of a pair: \ud800")
    await sink.write(records.batch([broken, records.trade(1), broken]))
    counters = sink.health(now(SystemClock())).counters
    assert (counters["published"], counters["refused"]) == (1, 2)
    assert len(re.findall("no JSON can hold", caplog.text)) == 1
    await sink.close()
