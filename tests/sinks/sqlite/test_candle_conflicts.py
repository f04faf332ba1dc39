"""Two versions of one candle in a real file: which one stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapeline.config import parse_config
from tapeline.hookspecs import ExchangeAdapter, PluginInfo, SinkContext, hookimpl
from tapeline.plugins import PluginRegistry
from tapeline.testing import MiniAdapter

pytestmark = pytest.mark.anyio

Query = Callable[[str], list[tuple[Any, ...]]]

CONFIG = """
[collectors.one]
exchange = "mini"
symbols = ["A-B"]

[sinks.local]
use = "sqlite"
path = '{path}'
{line}
"""


class Mini:
    """A plugin with a small exchange: a configuration needs one."""

    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        """Who it is."""
        return PluginInfo(name="mini", api=(1, 0), summary="Trades.")

    @hookimpl
    def tapeline_exchanges(self) -> Sequence[ExchangeAdapter]:
        """The exchange."""
        return [MiniAdapter()]


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("", "first"),
        ("force_update_candles = false", "first"),
        ("force_update_candles = true", "second"),
    ],
)
async def test_the_key_decides_between_candles_of_equal_revision(
    context: SinkContext,
    database: Path,
    query: Query,
    records: Any,
    line: str,
    stays: str,
) -> None:
    registry = PluginRegistry(plugins={"mini": Mini()})
    text = CONFIG.format(path=database.as_posix(), line=line)
    section = parse_config(text, registry, {}).sinks["local"]
    sink = registry.sink("sqlite").sink(section.options, context)
    await sink.open("journal-a")
    for position, close in enumerate(("1.1", "2.2"), 1):
        bar = records.candle(revision=3, close=Decimal(close))
        await sink.write(records.batch([bar], first=position))
    await sink.close()

    kept = {"first": "1.1", "second": "2.2"}[stays]
    assert query("SELECT close, revision FROM market_data") == [(kept, 3)]


@pytest.mark.parametrize("force", [False, True])
async def test_a_higher_revision_always_replaces_every_field_and_a_lower_one_none(
    make_sink: Any, query: Query, records: Any, force: bool
) -> None:
    sink = make_sink(force_update_candles=force)
    await sink.open("journal-a")
    whole = records.candle(
        revision=2,
        state="repaired",
        open=Decimal("5"),
        high=Decimal("9"),
        low=Decimal("4"),
        close=Decimal("6"),
        volume=Decimal("20.5"),
        quote_volume=Decimal("111.25"),
        taker_buy_volume=Decimal("3"),
        trades_count=9,
        first_id=11,
        last_id=19,
    )
    older = records.candle(revision=1, state="gap")
    for position, bar in enumerate((older, whole, older), 1):
        await sink.write(records.batch([bar], first=position))
    await sink.close()

    columns = (
        "open, high, low, close, volume, quote_volume, taker_buy_volume, "
        "trades_count, first_id, last_id, state, revision"
    )
    assert query(f"SELECT {columns} FROM market_data") == [
        ("5", "9", "4", "6", "20.5", "111.25", "3", 9, 11, 19, "repaired", 2)
    ]


async def test_revisions_within_one_batch_leave_the_highest(
    make_sink: Any, query: Query, records: Any
) -> None:
    sink = make_sink()
    await sink.open("journal-a")
    bars = [records.candle(revision=r, close=Decimal(r + 1)) for r in (0, 2, 1)]
    await sink.write(records.batch(bars))
    await sink.close()

    assert query("SELECT close, revision FROM market_data") == [("3", 2)]
