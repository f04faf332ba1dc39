"""Reading as ``verify``, ``gaps`` and ``replay`` do."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import anyio.to_thread
import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.errors import DatabaseOperationError, UsageError
from tapeline.model import datetime_from_ns
from tapeline.plugins import PluginRegistry
from tapeline_postgres import PostgresAdapter

pytestmark = pytest.mark.anyio


@pytest.fixture
async def filled(make_sink: Any, records: Any, postgres_dsn: str) -> str:
    """The address of a database with a few rows of everything."""
    sink = make_sink()
    await sink.open("journal-a")
    await sink.write(
        records.batch(
            [records.coverage(first_id=1, last_id=30)],
            [records.trade(n) for n in range(30, 0, -1) if not 5 <= n <= 9],
            [records.gap(), records.candle(), records.book(), records.ticker()],
        )
    )
    await sink.close()
    return postgres_dsn


async def test_rows_are_in_the_order_of_their_key(filled: str, records: Any) -> None:
    """Exact and aware; a sequence, read as it is asked for."""
    reader: Any = PluginRegistry({}).open_reader(filled)
    try:
        trades = reader.trades()
        assert [row["last_id"] for row in trades] == [*range(1, 5), *range(10, 31)]
        assert len(trades) == 25
        assert trades[0]["price"] == Decimal("64321.10")
        assert str(trades[-1]["price"]) == "64321.10"
        assert trades[0]["timestamp"] == datetime_from_ns(records.trade(1).exchange_ns)
        assert [row["last_id"] for row in trades[2:5]] == [3, 4, 10]
        with pytest.raises(IndexError, match="expected one of 25 rows"):
            trades[25]
        assert [row["to_id"] for row in reader.gaps()] == [9]
        assert [row["last_id"] for row in reader.coverage()] == [30]
        assert [row["timeframe"] for row in reader.candles()] == ["1m"]
        assert [row["position"] for row in reader.cursors()] == [3]
        assert reader.counts()["tickers"] == 1
    finally:
        reader.close()
        reader.close()


async def test_a_reader_sees_one_moment(
    filled: str, make_sink: Any, records: Any
) -> None:
    """What is written after it was opened is not in it."""
    reader: Any = PostgresAdapter().open_reader(filled)
    try:
        sink = make_sink()
        await sink.open("journal-a")
        await sink.write(records.batch([records.trade(99)], first=9))
        await sink.close()
        assert len(reader.trades()) == 25
    finally:
        reader.close()


async def test_the_commands_take_the_address(filled: str) -> None:
    """As they take a path."""

    def run(*words: str) -> Any:
        result = CliRunner().invoke(app, [*words, "--database", filled, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    accounts = await anyio.to_thread.run_sync(run, "verify")
    assert accounts["ok"] is True
    gaps = await anyio.to_thread.run_sync(run, "gaps")
    assert [gap["from_id"] for gap in gaps["gaps"]] == [5]


@pytest.mark.parametrize(
    "url", ["market.db", "sqlite:///x.db", "redis://h", "postgresqlish"]
)
def test_other_addresses_are_not_ours(url: str) -> None:
    """Another sink may read them."""
    assert PostgresAdapter().open_reader(url) is None


async def test_what_cannot_be_read_is_a_sentence(
    empty_postgres_dsn: str, filled: str, query: Any
) -> None:
    """Without the password."""
    adapter = PostgresAdapter()
    with pytest.raises(UsageError, match=r"found .* without its tables"):
        adapter.open_reader(empty_postgres_dsn)
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:1/x") as caught:
        adapter.open_reader("postgresql://me:open-sesame@127.0.0.1:1/x")
    assert "open-sesame" not in str(caught.value)
    reader: Any = adapter.open_reader(filled)
    try:
        with pytest.raises(DatabaseOperationError, match="read on table 'nothing'"):
            reader.call("nothing", lambda: reader.connection.fetch("TABLE nothing"))
    finally:
        reader.close()
    await query("UPDATE tapeline_schema SET version = 99")
    with pytest.raises(UsageError, match="found version 99"):
        adapter.open_reader(filled)
