"""The configuration as values; one class for each kind of section.

Field metadata: ``description`` for the reference, ``items`` for the words of a
sentence about a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
from attrs.validators import and_, ge, gt, le, lt

from tapeline.config.environment import Defaults
from tapeline.errors import one_of
from tapeline.model.secrets import Secret

_MiB = 1 << 20
_DAY_S = 86_400
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def _doc(description: str, items: str = "") -> dict[str, str]:
    return {"description": description, "items": items}


def _proxy(
    instance: object, attribute: attrs.Attribute[Any], value: Secret | None
) -> None:
    """Refuse what is no proxy address, without repeating it: it holds a password."""
    if value is None:
        return
    try:
        parts = urlsplit(value.reveal())
        usable = parts.scheme in PROXY_SCHEMES and bool(parts.hostname)
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "expected a proxy address such as http://host:port "
            f"({one_of(PROXY_SCHEMES)}), found another text"
        )


@attrs.frozen
class RuntimeConfig:
    """``[runtime]``: what all collectors and sinks share."""

    data_dir: Path = attrs.field(
        default=Path("data"),
        metadata=_doc(
            "Folder of the journal and the embedded database; made when missing."
        ),
    )
    log_dir: Path = attrs.field(
        default=Path("logs"),
        metadata=_doc("Folder of the log files; made at the first line."),
    )
    log_level: Literal["debug", "info", "warning", "error"] = attrs.field(
        default="info", metadata=_doc("Least level that is logged.")
    )
    log_json: bool = attrs.field(
        default=False, metadata=_doc("Write log lines as JSON objects instead of text.")
    )
    log_max_bytes: int = attrs.field(
        default=10 * _MiB,
        validator=and_(ge(1024), lt(1 << 40)),
        metadata=_doc("Size in bytes at which a log file is rotated."),
    )
    log_files: int = attrs.field(
        default=5,
        validator=and_(ge(0), le(1000)),
        metadata=_doc("Rotated log files that are kept beside the current one."),
    )
    commit_ms: int = attrs.field(
        default=5,
        validator=and_(ge(0), le(60_000)),
        metadata=_doc(
            "Least time between two commits of the journal, in milliseconds."
        ),
    )
    quota_bytes: int = attrs.field(
        default=4096 * _MiB,
        validator=and_(ge(16 * _MiB), lt(1 << 62)),
        metadata=_doc(
            "Disk space that the journal may take before the slowest sink loses rows."
        ),
    )
    memory_bytes: int = attrs.field(
        default=256 * _MiB,
        validator=and_(ge(_MiB), lt(1 << 62)),
        metadata=_doc(
            "Memory that rows waiting for sinks may take; beyond it they are read back "
            "from the journal."
        ),
    )
    candle_grace_s: float = attrs.field(
        default=2.0,
        validator=and_(ge(0), le(3600)),
        metadata=_doc(
            "Seconds that a candle waits after its end for late trades when no later "
            "trade ends it, or when trades before it are missing."
        ),
    )
    empty_candles: bool = attrs.field(
        default=False,
        metadata=_doc(
            "Whether an interval in which nobody traded gets a flat candle of volume "
            "0, once a later trade or the exchange's answer proves it; silence proves "
            "nothing."
        ),
    )
    plugins: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_doc(
            "Plugins to load though no collector, sink or service names them: those "
            "that only watch or trace."
        ),
    )
    proxy: Secret | None = attrs.field(
        default=None,
        validator=_proxy,
        metadata=_doc(
            "Proxy for all connections to exchanges, as an address, 'env:NAME' or "
            "'file:/path'; without it the environment's proxy variables count."
        ),
    )


@attrs.frozen
class CollectorSection:
    """``[collectors.NAME]``: streams of one market of one exchange."""

    name: str
    exchange: str = attrs.field(
        metadata=_doc("Name of the exchange, as its plugin offers it.")
    )
    symbols: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_doc(
            "Symbols in canonical form, e.g. BTC-USDT; not needed for balances alone.",
            "symbols",
        ),
    )
    market: str = attrs.field(
        default="spot", metadata=_doc("Kind of market: spot, swap, future or option.")
    )
    data_types: tuple[str, ...] = attrs.field(
        default=("trade",),
        metadata=_doc(
            "What to collect: trade, orderbook, ticker, balance, or candle for candles "
            "built from trades.",
            "data types",
        ),
    )
    timeframes: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_doc(
            "Timeframes of the candles built from trades; given alone they imply "
            'candle, and candle alone means ["1m"].',
            "timeframes",
        ),
    )
    venue_timeframes: tuple[str, ...] = attrs.field(
        default=(),
        metadata=_doc(
            "Timeframes of the exchange's own candles to collect as well.", "timeframes"
        ),
    )
    audit: bool = attrs.field(
        default=False,
        metadata=_doc(
            "Whether candles are compared with the exchange's own while running; both "
            'are then built and collected in "1m" too.'
        ),
    )
    enabled: bool = attrs.field(
        default=True, metadata=_doc("Whether it starts with the service.")
    )
    auto_restart: bool = attrs.field(
        default=True, metadata=_doc("Whether it is restarted after a failure.")
    )
    max_restarts: int = attrs.field(
        default=5,
        validator=and_(ge(0), le(10_000)),
        metadata=_doc(
            "Restarts an hour after failures that are not the connection's; then the "
            "collector has failed. Connections are tried again without end."
        ),
    )
    health_check_interval: float = attrs.field(
        default=30.0,
        validator=and_(gt(0), le(_DAY_S)),
        metadata=_doc(
            "Seconds between two health checks; its default comes from "
            "DEFAULT_HEALTH_CHECK_INTERVAL."
        ),
    )
    store_raw_data: bool | Literal["files"] = attrs.field(
        default=False,
        metadata=_doc(
            "Whether the exchange's own messages are stored too: true for the sinks, "
            '"files" for recordings in data_dir/raw/NAME.'
        ),
    )
    redundancy: int = attrs.field(
        default=1,
        validator=and_(ge(1), le(2)),
        metadata=_doc("Connections that carry the same streams at once: 1 or 2."),
    )
    account: str = attrs.field(
        default="",
        metadata=_doc(
            "Name for the account whose balances are collected, stored with each of "
            "them; needed where several accounts of one exchange are collected."
        ),
    )
    options: object = attrs.field(
        default=None, metadata=_doc("Table of the exchange plugin's own options.")
    )


@attrs.frozen
class SinkSection:
    """``[sinks.NAME]``: one place where events go.

    The sink plugin's own options are further keys of the same table.
    """

    name: str
    use: str = attrs.field(metadata=_doc("Name of the sink, as its plugin offers it."))
    options: object = attrs.field(
        default=None, metadata=_doc("The sink plugin's own options.")
    )
    data_types: tuple[str, ...] | None = attrs.field(
        default=None,
        metadata=_doc(
            "Data types that go there; all that the sink accepts when left out.",
            "data types",
        ),
    )


@attrs.frozen
class ConsolidateSection:
    """``[consolidate.NAME]``: one symbol over several exchanges."""

    name: str
    symbol: str = attrs.field(
        metadata=_doc("Symbol in canonical form, the same on every exchange.")
    )
    exchanges: tuple[str, ...] = attrs.field(
        metadata=_doc(
            "Exchanges that make it up, two or more; a collector of each must collect "
            "its trades.",
            "exchanges",
        )
    )
    market: str = attrs.field(
        default="spot",
        metadata=_doc("Kind of market on all of them: spot, swap, future or option."),
    )
    timeframes: tuple[str, ...] = attrs.field(
        default=("1m",),
        metadata=_doc(
            "Timeframes of the consolidated candles; those of the exchanges are built "
            "as well.",
            "timeframes",
        ),
    )
    wait_s: float = attrs.field(
        default=5.0,
        validator=and_(ge(0), le(3600)),
        metadata=_doc(
            "Seconds that a candle waits after its end for exchanges that are not "
            "whole yet; then it is given out, and again when they are."
        ),
    )
    stale_after_s: float = attrs.field(
        default=60.0,
        validator=and_(gt(0), le(_DAY_S)),
        metadata=_doc(
            "Silence in seconds after which an exchange is stale: candles do not wait "
            "for it."
        ),
    )


@attrs.frozen
class ServiceSection:
    """``[services.NAME]``: something that runs beside the collection.

    The service plugin's own options are further keys of the same table.
    """

    name: str
    use: str = attrs.field(
        default="",
        metadata=_doc(
            "Name of the service, as its plugin offers it; NAME when left out."
        ),
    )
    options: object = attrs.field(
        default=None, metadata=_doc("The service plugin's own options.")
    )


@attrs.frozen
class TapelineConfig:
    """A whole configuration, checked.

    Args:
        collectors, sinks, services, consolidate: by name, in the order of the file.
        source_path: the file it was read from; None when it was given as text.
        defaults: what the environment variables say.
    """

    runtime: RuntimeConfig
    collectors: Mapping[str, CollectorSection]
    sinks: Mapping[str, SinkSection]
    services: Mapping[str, ServiceSection] = attrs.field(factory=dict)
    consolidate: Mapping[str, ConsolidateSection] = attrs.field(factory=dict)
    source_path: Path | None = None
    defaults: Defaults = attrs.field(factory=Defaults)
