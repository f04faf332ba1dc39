"""What code passes to the runtime; operators write ``tapeline.config`` instead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from tapeline.hookspecs import ExchangeAdapter, SinkAdapter
from tapeline.model import Record


@attrs.frozen
class FeedSettings:
    """One collector's wish: which streams of which exchange.

    Args:
        name: of the collector, unique in an engine.
        adapter: the exchange.
        config: the adapter's own options.
        symbols: canonical symbols.
        data_types: ``candle`` means candles built from trades.
        timeframes: of those candles.
        venue_timeframes: candle channels of the venue to store as well.
        store_raw: keep the venue's own object of every event, in the sinks.
        raw_files: record all frames and REST answers to files in the data folder.
        restart_limit: restarts an hour after faults that are not the transport's.
        redundancy: sockets that carry the same streams: 1 or 2.
        account: name of the account whose balances are collected; see
            ``Balance.account``.
        logs: makes the logger of one part (``link``, ``feed``, ``watch``, …); None
            for loggers below ``tapeline``.
    """

    name: str
    adapter: ExchangeAdapter
    config: Any
    market: str
    symbols: Sequence[str]
    data_types: Sequence[str]
    timeframes: Sequence[str] = ()
    venue_timeframes: Sequence[str] = ()
    store_raw: bool = False
    raw_files: bool = False
    restart_limit: int = 5
    redundancy: int = 1
    account: str = ""
    logs: Callable[[str], logging.Logger] | None = None

    def logger(self, part: str) -> logging.Logger:
        """Where *part* of this collector logs."""
        if self.logs is not None:
            return self.logs(part)
        return logging.getLogger(f"tapeline.{part}.{self.name}")


@attrs.frozen
class SinkSettings:
    """One sink: its adapter, its options and what it takes (None for all).

    Args:
        name: of the sink, unique in an engine; its cursor is kept under it.
        adapter: the kind of sink.
        config: the adapter's own options.
        data_types: what it gets; None for all that it takes.
        only: says which records it gets; None for all.
    """

    name: str
    adapter: SinkAdapter
    config: Any
    data_types: Sequence[str] | None = None
    only: Callable[[Record], bool] | None = None


@attrs.frozen
class EngineSettings:
    """Everything about one engine that is not a feed or a sink.

    Args:
        reconnect_delay_s: first pause before a lost connection is tried again.
        data_dir: where the journal lives; ``data`` when None. It is only used with
            a durable sink; without one the journal is in memory.
        commit_ms: least time between two group commits.
        quota_bytes: size of the journal above which laggards lose their backlog.
        memory_bytes: bound of what waits in memory for the disk.
        checkpoint_s: how often open bars and stream state are saved.
        book_sample_s: least time between two stored snapshots of one book.
        book_depth: levels a side of stored snapshots of local books.
        stop_timeout_s: how long the end may take; sinks flush in what is left of it.
        heal_timeout_s: how long open gaps may still be filled at the end.
        max_silence_s: longest silence of a stream that is never asked about.
        candle_grace_s: how long after its end a bar waits for trades.
        empty_candles: give out a flat bar where it is known that nobody traded.
    """

    data_dir: Path | None = None
    commit_ms: float = 5.0
    quota_bytes: int = 4 * 2**30
    memory_bytes: int = 256 * 2**20
    checkpoint_s: float = 1.0
    book_sample_s: float = 1.0
    book_depth: int = 50
    stop_timeout_s: float = 8.0
    heal_timeout_s: float = 3.0
    max_silence_s: float = 300.0
    reconnect_delay_s: float = 5.0
    candle_grace_s: float = 2.0
    empty_candles: bool = False
