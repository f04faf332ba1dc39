"""The examples of the docs, run with the plugins that they use."""

from __future__ import annotations

import os
import runpy
import sqlite3
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.config import load_config, parse_config
from tapeline.plugins import PluginRegistry

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
CONFIGS = [
    path for path in sorted(EXAMPLES.glob("*.toml")) if path.name != "faults.toml"
]
ENVIRON: Mapping[str, str] = MappingProxyType(
    {
        "OKX_API_KEY": "key-1",
        "OKX_API_SECRET": "secret-1",
        "OKX_PASSPHRASE": "pass-1",
        "ALERT_URL": "https://alerts.example/hook",
        "TAPELINE_REDIS_URL": "redis://localhost:6379/0",
        "TAPELINE_TOKEN": "token-of-the-service",
    }
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_example_configuration_is_accepted(path: Path) -> None:
    config = load_config(path, PluginRegistry({}), ENVIRON)
    assert config.collectors
    assert config.sinks


@pytest.mark.parametrize(
    "readme", ["plugins/okx", "sinks/sqlite", "sinks/callbacks", "sinks/redis"], ids=str
)
def test_the_configurations_of_the_readmes_are_accepted(readme: str) -> None:
    text = (DOCS.parent / readme / "README.md").read_text(encoding="utf-8")
    toml = text.partition("```toml\n")[2].partition("```")[0]
    if "collectors" not in tomllib.loads(toml):
        toml += '[collectors.x]\nexchange = "okx"\nsymbols = ["BTC-USDT"]\n'
    assert parse_config(toml, PluginRegistry({}), {}).sinks


@pytest.mark.anyio
async def test_the_callback_example_prints_trades_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    await runpy.run_path(str(EXAMPLES / "callback.py"))["main"](2.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.split()[1] == "BTC-USDT" for line in lines)
    assert os.listdir(tmp_path) == []


@pytest.mark.anyio
async def test_the_manager_example_stores_trades_and_candles(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    await runpy.run_path(str(EXAMPLES / "manager.py"))["main"](4.0)
    assert capsys.readouterr().out == "['okx_btc_usdt']\n"
    with sqlite3.connect(tmp_path / "data" / "market.db") as connection:
        for table in ("trades", "market_data"):
            query = f"SELECT DISTINCT symbol FROM {table} ORDER BY symbol"
            found = [symbol for (symbol,) in connection.execute(query)]
            assert found == ["BTC-USDT", "ETH-USDT"], table
    connection.close()


def test_what_init_writes_passes_the_check(tmp_path: Path) -> None:
    path = tmp_path / "tapeline.toml"
    for words in (["init", str(path)], ["check", str(path)]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    again = CliRunner().invoke(app, ["init", str(path)])
    assert again.exit_code == 2
