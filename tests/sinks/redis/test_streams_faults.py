"""Streams under faults: nothing lost, nothing twice, no restart of the process.

A real server is killed, stopped, filled, demoted and emptied under a real runner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tapeline.clock import SystemClock, now
from tapeline.errors import SinkUnavailable
from tapeline.testing import TcpProxy

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]
Make = Callable[..., Any]

TRADES = "tapeline:okx:spot:BTC-USDT:trade"
GAPS = "tapeline:okx:spot:BTC-USDT:gap"


def stored(server: Any) -> list[int]:
    """Ids of the trades in the stream, in its order."""
    return [told["last_id"] for _, told in server.entries(TRADES)]


async def feed(delivery: Any, records: Any, first: int, count: int) -> None:
    """Append trades, one position each, a few at a time."""
    for n in range(first, first + count):
        delivery.append([records.trade(n)])
        if n % 50 == 0:
            await anyio.sleep(0.002)


async def test_a_killed_server_gets_everything_once(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    async with deliver(make_streams(timeout_s=1.0)) as delivery:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed, delivery, records, 0, 6_000)
            for _ in range(3):
                await anyio.sleep(0.05)
                server.kill()
                await anyio.sleep(0.02)
                server.start()
        await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(6_000))


async def test_a_server_that_stands_still_gets_everything_once(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    """What it had received and carries out late is not stored a second time."""
    async with deliver(make_streams(timeout_s=0.2)) as delivery:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed, delivery, records, 0, 6_000)
            for _ in range(3):
                await anyio.sleep(0.03)
                server.freeze()
                await delivery.until_state("unavailable")
                server.thaw()
        await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(6_000))


async def test_a_lost_answer_is_not_a_second_append(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    async with TcpProxy(str(server.socket)) as proxy:
        sink = make_streams(url=f"redis://127.0.0.1:{proxy.port}")
        async with deliver(sink) as delivery:
            for round_ in range(10):
                proxy.cut_reply_to(b"EVAL")
                await feed(delivery, records, 300 * round_, 300)
                await delivery.until(delivery.journal.last)
        assert proxy.cuts >= 5
        assert delivery.runner.status()["retries"] >= 5
    assert stored(server) == list(range(3_000))


async def test_cut_connections_are_made_again(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    async with TcpProxy(str(server.socket)) as proxy:
        sink = make_streams(url=f"redis://127.0.0.1:{proxy.port}", timeout_s=0.5)
        async with deliver(sink) as delivery:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed, delivery, records, 0, 4_000)
                for _ in range(5):
                    await anyio.sleep(0.03)
                    proxy.cut()
                proxy.freeze()
                await delivery.until_state("unavailable")
                proxy.thaw()
            await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(4_000))


async def test_full_memory_is_waited_out(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    async with deliver(make_streams()) as delivery:
        await feed(delivery, records, 0, 100)
        await delivery.until(delivery.journal.last)
        server.run("CONFIG", "SET", "maxmemory", "1")
        await feed(delivery, records, 100, 100)
        await delivery.until_state("unavailable")
        assert "OOM" in delivery.runner.reason
        assert stored(server) == list(range(100))
        server.run("CONFIG", "SET", "maxmemory", "0")
        await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(200))


async def test_a_demoted_server_is_waited_out(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    async with deliver(make_streams()) as delivery:
        await feed(delivery, records, 0, 100)
        await delivery.until(delivery.journal.last)
        server.run("REPLICAOF", "127.0.0.1", "1")
        await feed(delivery, records, 100, 100)
        await delivery.until_state("unavailable")
        assert "READONLY" in delivery.runner.reason
        server.run("REPLICAOF", "NO", "ONE")
        await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(200))


async def test_a_server_that_still_loads_is_waited_for(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    sink = make_streams(timeout_s=1.0)
    async with deliver(sink) as delivery:
        await feed(delivery, records, 0, 100)
        await delivery.until(delivery.journal.last)
        server.run("DEBUG", "POPULATE", "4000", "filler", "4096")
        server.run("CONFIG", "SET", "rdbcompression", "no")
        server.run("BGREWRITEAOF")
        while int(server.run("INFO", "persistence")["aof_rewrite_in_progress"]):  # noqa: ASYNC110 - another process
            await anyio.sleep(0.02)
        server.kill()
        server.start("--key-load-delay", "300", wait=False)
        reasons = set()
        await feed(delivery, records, 100, 100)
        with anyio.fail_after(60):
            while (delivery.runner.cursor or 0) < delivery.journal.last:
                reasons.add(delivery.runner.reason)
                await anyio.sleep(0.01)
    assert any("loading" in reason for reason in reasons), reasons
    assert stored(server) == list(range(200))


async def test_a_connection_ended_for_its_buffer_is_made_again(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    """As Redis does with a client over its output buffer limit."""
    async with deliver(make_streams()) as delivery:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed, delivery, records, 0, 3_000)
            for _ in range(5):
                await anyio.sleep(0.02)
                server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(3_000))


async def test_a_server_without_its_data_gets_what_is_left_and_gaps_for_the_rest(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    async with deliver(make_streams(timeout_s=1.0)) as delivery:
        await feed(delivery, records, 0, 1_000)
        await delivery.until(delivery.journal.last)
        with anyio.fail_after(30):
            while delivery.journal.floor < delivery.journal.last:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        server.wipe()
        await feed(delivery, records, 1_000, 1_000)
        await delivery.until(delivery.journal.last)
        [issue] = [delivery.runner.status()["issues"]]
        assert issue == []
    missing: Counter[int] = Counter()
    for _, gap in server.entries(GAPS):
        missing.update(range(gap["from_id"], gap["to_id"] + 1))
    missing.update(stored(server))
    assert missing == Counter(range(2_000))
    assert stored(server)[-1] == 1_999


async def test_a_refused_login_later_on_is_waited_out(
    server: Any, make_streams: Make, deliver: Any, records: Any
) -> None:
    """A server that came up before its users did."""
    async with deliver(make_streams()) as delivery:
        await feed(delivery, records, 0, 10)
        await delivery.until(delivery.journal.last)
        server.run("CONFIG", "SET", "requirepass", "not-yet-told")
        server.run("CLIENT", "KILL", "TYPE", "normal", password="not-yet-told")
        await feed(delivery, records, 10, 10)
        await delivery.until_state("unavailable")
        server.run("CONFIG", "SET", "requirepass", "", password="not-yet-told")
        await delivery.until(delivery.journal.last)
    assert stored(server) == list(range(20))


async def test_a_stopped_server_does_not_pile_up_memory_or_sockets(
    server: Any, make_streams: Make, records: Any
) -> None:
    """Each failed try is gone as a whole, however much of it was unsent."""
    sink = make_streams(timeout_s=0.1)
    await sink.open("journal-a")
    server.freeze()
    big = records.batch([records.raw("x" * 4_000_000)])
    for _ in range(10):
        with pytest.raises(SinkUnavailable):
            await sink.write(big)
    server.thaw()
    with anyio.fail_after(30):
        while True:
            try:
                await sink.write(big)
                break
            except SinkUnavailable:
                await anyio.sleep(0.05)
    counters = sink.health(now(SystemClock())).counters
    assert counters.get("entries", 0) + counters.get("repeated", 0) <= 1
    assert server.run("XLEN", TRADES.replace(":trade", ":raw")) == 1
    await sink.close()
    clients = server.run("CLIENT", "LIST").splitlines()
    assert len(clients) <= 2
