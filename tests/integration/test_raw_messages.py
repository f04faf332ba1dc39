"""What the venue itself said: to the table, or to files that can be replayed."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.errors import ConfigError
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    InlineExecutor,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)
from tapeline_binance import simulator_account as binance
from tapeline_okx import simulator_account as okx

ALL = [DataType.TRADE, DataType.TICKER, DataType.ORDERBOOK, DataType.BALANCE]
OKX_KEY = okx.DEFAULT_KEY
BINANCE_KEY = binance.DEFAULT_KEY
KEYS: Mapping[str, Mapping[str, Any]] = {
    "okx": {
        "api_key": OKX_KEY.key,
        "api_secret": OKX_KEY.secret,
        "passphrase": OKX_KEY.passphrase,
    },
    "binance": {"api_key": BINANCE_KEY.key, "api_secret": BINANCE_KEY.secret},
}


def collect(
    folder: Path,
    exchange: str,
    raw: Any,
    data_types: Sequence[DataType] = ALL,
    **params: Any,
) -> Counter[str]:
    """Collect for a while; counts of the live events per data type."""
    seen: Counter[str] = Counter()

    async def main() -> None:
        clock = VirtualClock()
        adapter = PluginRegistry().exchange(exchange)
        market = Market(3, rate_hz=10.0, start_ns=clock.wall_ns(), depth=20)
        simulator = adapter.simulator(market)
        assert isinstance(simulator, SimulatorBase)
        async with MemoryVenue(simulator, clock) as venue:
            seams = Seams(
                clock, venue.dialer, venue.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                manager = CollectorManager(
                    sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
                    settings=EngineSettings(data_dir=folder),
                )
                collector = ExchangeCollector(
                    exchange,
                    ["BTC-USDT"],
                    data_types,
                    component_name="mine",
                    store_raw_data=raw,
                    custom_params={**params, "timeframes": []},
                )
                for data_type in data_types:
                    collector.add_data_callback(
                        data_type, lambda event: seen.update([str(event.data_type)])
                    )
                manager.add_collector(collector)
                assert await manager.start()
                await anyio.sleep(30)
                await manager.stop()

    run_virtual(main)
    return seen


def raw_rows(folder: Path) -> dict[str, list[str]]:
    """Data type → texts in ``raw_trades``."""
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(folder / "market.db")) as connection:
        for data_type, text in connection.execute(
            "SELECT data_type, raw_data FROM raw_trades ORDER BY position, ordinal"
        ):
            found.setdefault(data_type, []).append(text)
    return found


@pytest.mark.parametrize("exchange", ["okx", "binance"])
def test_the_table_has_one_row_for_every_event_of_every_data_type(
    tmp_path: Path, exchange: str
) -> None:
    seen = collect(tmp_path, exchange, True, **KEYS[exchange])

    raw = raw_rows(tmp_path)
    assert {kind: len(texts) for kind, texts in raw.items()} == dict(seen)
    assert set(seen) == {str(data_type) for data_type in ALL}
    for texts in raw.values():
        assert all(isinstance(json.loads(text), (dict, list)) for text in texts)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("exchange", ["okx", "binance"])
def test_files_replay_to_the_same_trades_and_the_table_stays_empty(
    tmp_path: Path, exchange: str
) -> None:
    types = [DataType.TRADE, DataType.TICKER]
    collect(tmp_path, exchange, "files", types)

    assert raw_rows(tmp_path) == {}
    folder = tmp_path / "raw" / "mine"
    assert [path.name.partition(".")[2] for path in folder.iterdir()]
    assert all(path.name.endswith(".jsonl.gz") for path in folder.iterdir())
    again = tmp_path / "again.db"
    done = CliRunner().invoke(
        app,
        ["replay", str(folder), "--exchange", exchange, "--database", str(again)],
    )
    assert done.exit_code == 0, done.output
    assert len(trades(again)) > 100
    assert trades(again) == trades(tmp_path / "market.db")


def test_files_of_an_account_hold_its_balances_and_no_secret(tmp_path: Path) -> None:
    seen = collect(tmp_path, "okx", "files", ALL, **KEYS["okx"])

    assert seen["balance"]
    lines = [
        json.loads(line)
        for path in sorted((tmp_path / "raw" / "mine").iterdir())
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert any('"account"' in line["raw"] for line in lines if "dir" not in line)
    text = json.dumps(lines)
    assert not any(secret in text for secret in KEYS["okx"].values())
    assert "sign" not in text


def trades(database: Path) -> list[Any]:
    """Identity and content of the stored trades."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT symbol, first_id, last_id, side, price, size, exchange_ns "
            "FROM trades ORDER BY last_id"
        ).fetchall()


def test_another_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected True, False or 'files'"):
        ExchangeCollector("okx", "BTC-USDT", store_raw_data="file")  # type: ignore[arg-type]
