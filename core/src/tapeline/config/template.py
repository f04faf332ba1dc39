"""The commented configuration that ``tapeline init`` writes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

from tapeline.config.describing import ConfigKey, describe_config

_HEAD: Final = """\
# Configuration of Tapeline. Check it with: tapeline check FILE
# A line that starts with "# key =" shows the default; take off the "# " to change it.
# A secret is best written as "env:NAME" or "file:/path" instead of the text itself.
"""
_COLLECTOR: Final = {
    "symbols": '["BTC-USDT", "ETH-USDT"]',
    "data_types": '["trade", "orderbook", "ticker"]',
    "timeframes": '["1s", "1m", "1h"]',
}
_CONSOLIDATE: Final = """\
# One stream of trades and candles over several exchanges, each with a collector:
# [consolidate.btc]
"""
_CONSOLIDATED: Final = {"symbol": '"BTC-USDT"'}
_EXAMPLES: Final = {"proxy": '"env:HTTPS_PROXY"'}
_SINKS: Final = """\
# Without any sink everything goes to a database in data_dir, as if written:
# [sinks.local]
# use = "{use}"
# path = "data/market.db"
"""
_PLACEHOLDERS: Final = ("AN-EXCHANGE", "ANOTHER-EXCHANGE")


def template(exchanges: Sequence[str] = (), embedded: str = "") -> str:
    """TOML with every key, its meaning and its default; it loads as it is.

    Args:
        exchanges: what is installed, the one to collect from first.
        embedded: the sink that is used when none is named; empty for none.
    """
    keys = describe_config()
    # Placeholders stand where too few are installed.
    first, second = [*exchanges, *_PLACEHOLDERS][:2]
    name = f"{first.replace('.', '-')}-majors"
    collector = {"exchange": f'"{first}"'} | _COLLECTOR
    consolidated = _CONSOLIDATED | {"exchanges": f'["{first}", "{second}"]'}
    parts = [_HEAD, "[runtime]"]
    parts += [_entry(key, {}) for key in keys if key.section == "runtime"]
    parts += [f"[collectors.{name}]"]
    parts += [
        _entry(key, collector)
        for key in keys
        if key.section == "collectors.NAME" and key.key != "options"
    ]
    parts += [
        "# Options of the exchange plugin itself, e.g. depth, addresses or keys.",
        f"[collectors.{name}.options]\n",
        _CONSOLIDATE,
        *(
            _entry(key, consolidated, commented="# ")
            for key in keys
            if key.section == "consolidate.NAME"
        ),
    ]
    if embedded:
        parts.append(_SINKS.format(use=embedded))
    return "\n".join(parts)


def _entry(key: ConfigKey, chosen: dict[str, str], commented: str = "") -> str:
    comment = textwrap.fill(
        key.description, width=84, initial_indent="# ", subsequent_indent="# "
    )
    if key.key in chosen:
        return f"{comment}\n{commented}{key.key} = {chosen[key.key]}\n"
    example = _EXAMPLES.get(key.key, key.default)
    return f"{comment}\n# {key.key} = {example}\n"
