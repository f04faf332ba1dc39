"""Servers that die, freeze, cut and refuse: nothing lost, nothing twice, no restart."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import pytest

from tapeline.testing.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio

HURRY = {"connect_timeout_s": 2.0, "statement_timeout_s": 2.0}


async def in_thread(call: Any, *args: Any) -> None:
    """The server's controls block."""
    await anyio.to_thread.run_sync(call, *args)


def proxied(dsn: str, proxy: TcpProxy) -> str:
    """*dsn* by way of *proxy*."""
    head, _, database = dsn.partition("?")[0].rpartition("/")
    return f"{head.rstrip('@')}@127.0.0.1:{proxy.port}/{database}?sslmode=disable"


async def test_a_killed_server_costs_nothing(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    expect_everything_once: Any,
) -> None:
    """SIGKILL to all of it, twice, while rows keep coming."""
    delivery = await deliver(make_sink(**HURRY))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(delivery.produce, 2.0)
        for _ in range(2):
            await anyio.sleep(0.4)
            await in_thread(postgres_server.kill)
            await anyio.sleep(0.2)
            await in_thread(postgres_server.start)
    await delivery.stored()
    await expect_everything_once(delivery)


async def test_a_stopped_server_costs_nothing(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    expect_everything_once: Any,
    pytestconfig: pytest.Config,
) -> None:
    """SIGSTOP: sockets stay open and nobody answers. What was sent before may still
    be done after, when the same rows have come again on another connection."""
    seconds = pytestconfig.getoption("--freeze-seconds")
    delivery = await deliver(make_sink(**HURRY))
    await delivery.append(50)
    await delivery.stored()
    await in_thread(postgres_server.freeze)
    try:
        await delivery.produce(seconds)
        assert delivery.runner.state == "unavailable"
    finally:
        await in_thread(postgres_server.thaw)
    await delivery.stored(30.0)
    await delivery.append(50)
    await delivery.stored(30.0)
    await expect_everything_once(delivery)


async def test_a_reply_that_is_lost_after_the_commit_costs_nothing(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    postgres_dsn: str,
    expect_everything_once: Any,
) -> None:
    """The server has the rows; the client never hears of it."""
    async with TcpProxy(str(postgres_server.socket_path)) as proxy:
        sink = make_sink(dsn=proxied(postgres_dsn, proxy), **HURRY)
        delivery = await deliver(sink)
        await delivery.append(1)
        await delivery.stored()
        for _ in range(10):
            proxy.cut_reply_to(b'"live"')
            await delivery.append(5)
            await delivery.stored()
        assert proxy.cuts == 10
        await expect_everything_once(delivery)


async def test_connections_that_are_cut_at_any_moment_cost_nothing(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    postgres_dsn: str,
    expect_everything_once: Any,
) -> None:
    """Also while connecting, and while the proxy swallows everything."""
    async with TcpProxy(str(postgres_server.socket_path)) as proxy:
        delivery = await deliver(
            make_sink(
                dsn=proxied(postgres_dsn, proxy),
                connect_timeout_s=0.5,
                statement_timeout_s=0.5,
            )
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(delivery.produce, 3.0)
            for turn in range(40):
                await anyio.sleep(0.003 * (turn % 13))
                proxy.cut()
            proxy.freeze()
            await anyio.sleep(0.5)
            proxy.cut()
            proxy.thaw()
        await delivery.stored()
        await expect_everything_once(delivery)


async def test_a_server_that_became_a_standby_is_left_and_found_again(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    expect_everything_once: Any,
) -> None:
    """SQLSTATE 25006, first on the open connection, then on every new one."""
    read_only = "ALTER SYSTEM SET default_transaction_read_only = {}"
    reload = "SELECT pg_reload_conf()"
    delivery = await deliver(make_sink(**HURRY))
    await delivery.append(20)
    await delivery.stored()
    await in_thread(postgres_server.execute, read_only.format("on"))
    await in_thread(postgres_server.execute, reload)
    try:
        with anyio.fail_after(20):
            while delivery.runner.state != "unavailable":
                await delivery.append(5)
                await anyio.sleep(0.05)
        await delivery.produce(0.5)
    finally:
        await in_thread(postgres_server.execute, read_only.format("off"))
        await in_thread(postgres_server.execute, reload)
    await delivery.stored()
    await expect_everything_once(delivery)


@pytest.mark.parametrize(
    "code", ["40001", "40P01", "53100", "53200", "55P03", "57014", "58030", "XX000"]
)
async def test_what_passes_is_waited_for(
    make_sink: Any,
    deliver: Any,
    query: Any,
    expect_everything_once: Any,
    code: str,
) -> None:
    """The server itself raises it: a full disk, no memory, a deadlock."""
    await query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END $$"
    )
    await query(
        "CREATE TRIGGER refuse BEFORE INSERT ON trades EXECUTE FUNCTION refuse()"
    )
    delivery = await deliver(make_sink(**HURRY))
    await delivery.append(20)
    with anyio.fail_after(20):
        while delivery.runner.state != "unavailable":  # noqa: ASYNC110 - as seen
            await anyio.sleep(0.02)
    assert code in delivery.runner.reason
    assert await query("SELECT count(*) FROM tickers") == [(0,)]
    await query("DROP TRIGGER refuse ON trades")
    await delivery.stored()
    await expect_everything_once(delivery)


async def test_exhausted_connection_slots_are_waited_for(
    make_sink: Any,
    deliver: Any,
    query: Any,
    postgres_server: Any,
    postgres_dsn: str,
    expect_everything_once: Any,
) -> None:
    """SQLSTATE 53300, until somebody else lets go."""
    role = f"few_{postgres_dsn.partition('?')[0].rpartition('/')[2]}"
    await query(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    await query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    dsn = postgres_dsn.replace("//postgres@", f"//{role}@")
    delivery = await deliver(make_sink(dsn=dsn, **HURRY))
    await delivery.append(20)
    with anyio.fail_after(20):
        while delivery.runner.state != "unavailable":  # noqa: ASYNC110 - as seen
            await anyio.sleep(0.02)
    assert "53300" in delivery.runner.reason
    await query(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    await delivery.stored()
    await expect_everything_once(delivery)
    await delivery.runner.stop(5.0)
    await query(f"DROP OWNED BY {role}")
    await query(f"DROP ROLE {role}")


async def test_a_deadlock_with_another_writer_passes(
    make_sink: Any, records: Any, query: Any, postgres_dsn: str
) -> None:
    """Who is chosen as its victim tries again."""
    import asyncpg

    from tapeline.errors import SinkUnavailable

    sink = make_sink()
    await sink.open("journal-a")
    batch = records.batch([records.trade(1), records.trade(2)])
    insert = (
        "INSERT INTO trades SELECT 'okx', 'spot', 'BTC-USDT', 'fill', n, n, n::text, "
        "1, 'buy', 1, 1, 1, 1, now(), 'live' FROM generate_series({0}, {0}) AS n"
    )
    other = await asyncpg.connect(postgres_dsn)
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(insert.format(2))
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                try:
                    await sink.write(batch)
                except SinkUnavailable as error:
                    if "deadlock" not in str(error):
                        raise
                    await sink.write(batch)

            tasks.start_soon(write)
            await anyio.sleep(0.3)
            try:
                await other.execute(insert.format(1))
            except asyncpg.DeadlockDetectedError:
                pass
            finally:
                await transaction.rollback()
    finally:
        await other.close()
    assert await query("SELECT last_id FROM trades ORDER BY 1") == [(1,), (2,)]
    await sink.close()


async def test_a_new_empty_database_gets_what_the_journal_has(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    postgres_dsn: str,
    expect_everything_once: Any,
) -> None:
    """Dropped and made anew while we write: the tables are made again."""
    name = postgres_dsn.partition("?")[0].rpartition("/")[2]
    delivery = await deliver(make_sink(**HURRY))
    await delivery.append(20)
    await delivery.stored()
    await in_thread(postgres_server.drop_database, name)
    await delivery.append(20)
    await in_thread(postgres_server.create_database, name)
    await delivery.append(20)
    await delivery.stored()
    await expect_everything_once(delivery)


async def test_a_restored_database_gets_again_what_it_lacks(
    make_sink: Any,
    deliver: Any,
    postgres_server: Any,
    postgres_dsn: str,
    expect_everything_once: Any,
) -> None:
    """An older copy takes the place of the database while we write."""
    name = postgres_dsn.partition("?")[0].rpartition("/")[2]
    async with TcpProxy(str(postgres_server.socket_path)) as proxy:
        delivery = await deliver(make_sink(dsn=proxied(postgres_dsn, proxy), **HURRY))
        await delivery.append(20)
        await delivery.stored()
        proxy.refusing = True
        proxy.cut()
        copy = f"{name}_copy"
        await in_thread(postgres_server.create_database, copy, name)
        proxy.refusing = False
        await delivery.append(20)
        await delivery.stored()
        proxy.refusing = True
        proxy.cut()
        await in_thread(postgres_server.drop_database, name)
        await in_thread(
            postgres_server.execute, f'ALTER DATABASE "{copy}" RENAME TO "{name}"'
        )
        proxy.refusing = False
        await delivery.append(20)
        await delivery.stored()
        await expect_everything_once(delivery)
