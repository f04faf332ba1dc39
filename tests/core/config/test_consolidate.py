"""``[consolidate.NAME]`` and ``audit``: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tapeline.config import TapelineConfig

Load = Callable[..., TapelineConfig]
Problems = Callable[..., list[tuple[str, str]]]

COLLECTORS = """
[collectors.one]
exchange = "acme"
symbols = ["BTC-USDT"]

[collectors.tickers]
exchange = "acme"
market = "swap"
symbols = ["BTC-USDT"]
data_types = ["ticker"]
"""
TABLE = COLLECTORS + '[consolidate.btc]\nsymbol = "BTC-USDT"\n'


def test_without_the_table_nothing_is_consolidated(load: Load) -> None:
    assert load(COLLECTORS).consolidate == {}


@pytest.mark.parametrize(
    ("text", "path", "parts"),
    [
        (COLLECTORS + "[consolidate]", "consolidate", ("leave [consolidate] out",)),
        (TABLE, "consolidate.btc.exchanges", ("list of text", "nothing")),
        (
            TABLE + 'exchanges = ["acme"]',
            "consolidate.btc.exchanges",
            ("two or more exchanges", "found 1"),
        ),
        (
            TABLE + 'exchanges = ["acme", "acme"]',
            "consolidate.btc.exchanges[1]",
            ("each exchange once", "'acme'"),
        ),
        (
            TABLE + 'exchanges = ["acme", "acmee"]',
            "consolidate.btc.exchanges[1]",
            ("a collector collects trades of BTC-USDT (spot)", "did you mean 'acme'?"),
        ),
        (
            TABLE + 'exchanges = ["other", "acme"]\nmarket = "swap"',
            "consolidate.btc.exchanges[1]",
            ("trades of BTC-USDT (swap)", "'acme' without one"),
        ),
        (
            TABLE + 'exchanges = ["acme", "b"]\nmarket = "spt"',
            "consolidate.btc.market",
            ("did you mean 'spot'?",),
        ),
        (
            TABLE + 'exchanges = ["acme", "b"]\ntimeframes = ["1m", "7m"]',
            "consolidate.btc.timeframes[1]",
            ("7m",),
        ),
        (
            TABLE + 'exchanges = ["acme", "b"]\ntimeframes = []',
            "consolidate.btc.timeframes",
            ("at least one timeframe",),
        ),
        (
            TABLE + 'exchanges = ["acme", "b"]\nwait_s = -1',
            "consolidate.btc.wait_s",
            ("at least 0",),
        ),
        (
            TABLE + 'exchange = ["acme", "b"]\nexchanges = ["acme", "b"]',
            "consolidate.btc.exchange",
            ("did you mean 'exchanges'?",),
        ),
        (
            COLLECTORS + '[consolidate.x]\nsymbol = "btcusdt"\nexchanges = ["a", "b"]',
            "consolidate.x.symbol",
            ("BTC-USDT",),
        ),
    ],
)
def test_what_is_wrong_is_told(
    text: str, path: str, parts: tuple[str, ...], problems_of: Problems
) -> None:
    told = dict(problems_of(text))
    assert path in told
    for part in parts:
        assert part in told[path]


def test_an_exchange_without_minute_candles_cannot_be_audited(
    problems_of: Problems, load: Load, plugins: Any
) -> None:
    channels = plugins.exchange("acme").capabilities.channels["candle"]
    has_minutes = any(channel.timeframe == "1m" for channel in channels)
    text = COLLECTORS.replace('"BTC-USDT"]\n', '"BTC-USDT"]\naudit = true\n', 1)

    if has_minutes:
        assert load(text).collectors["one"].audit is True
    else:
        assert "which has none" in dict(problems_of(text))["collectors.one.audit"]
