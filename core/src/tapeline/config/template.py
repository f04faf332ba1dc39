"""The commented configuration that ``tapeline init`` writes."""

from __future__ import annotations

import textwrap
from typing import Final

from tapeline.config.describing import ConfigKey, describe_config

_HEAD: Final = """\
# Configuration of Tapeline. Check it with: tapeline check FILE
# A line that starts with "# key =" shows the default; take off the "# " to change it.
# A secret is best written as "env:NAME" or "file:/path" instead of the text itself.
"""
_COLLECTOR: Final = {
    "exchange": '"okx"',
    "symbols": '["BTC-USDT", "ETH-USDT"]',
    "data_types": '["trade", "orderbook", "ticker"]',
    "timeframes": '["1s", "1m", "1h"]',
}
_CONSOLIDATE: Final = """\
# One stream of trades and candles over several exchanges, each with a collector:
# [consolidate.btc]
"""
_CONSOLIDATED: Final = {"symbol": '"BTC-USDT"', "exchanges": '["okx", "binance"]'}
_EXAMPLES: Final = {"proxy": '"env:HTTPS_PROXY"'}
_SINKS: Final = """\
# Without any sink everything goes to an SQLite database in data_dir, as if written:
# [sinks.local]
# use = "sqlite"
# path = "data/market.db"
"""


def template() -> str:
    """TOML with every key, its meaning and its default; it loads as it is."""
    keys = describe_config()
    parts = [_HEAD, "[runtime]"]
    parts += [_entry(key, {}) for key in keys if key.section == "runtime"]
    parts += ["[collectors.okx-majors]"]
    parts += [
        _entry(key, _COLLECTOR)
        for key in keys
        if key.section == "collectors.NAME" and key.key != "options"
    ]
    parts += [
        "# Options of the exchange plugin itself, e.g. depth, addresses or keys.",
        "[collectors.okx-majors.options]\n",
        _CONSOLIDATE,
        *(
            _entry(key, _CONSOLIDATED, commented="# ")
            for key in keys
            if key.section == "consolidate.NAME"
        ),
        _SINKS,
    ]
    return "\n".join(parts)


def _entry(key: ConfigKey, chosen: dict[str, str], commented: str = "") -> str:
    comment = textwrap.fill(
        key.description, width=84, initial_indent="# ", subsequent_indent="# "
    )
    if key.key in chosen:
        return f"{comment}\n{commented}{key.key} = {chosen[key.key]}\n"
    example = _EXAMPLES.get(key.key, key.default)
    return f"{comment}\n# {key.key} = {example}\n"
