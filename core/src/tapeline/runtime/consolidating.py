"""All consolidated symbols of an engine, fed from what its pipeline gives out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import attrs

from tapeline.candles import ConsolidationSettings, Consolidator
from tapeline.clock import Clock
from tapeline.errors import JournalError
from tapeline.journal import JournalLike
from tapeline.model import (
    FROM_TRADES,
    Candle,
    ConsolidatedCandle,
    Instrument,
    MarketDataPoint,
    Record,
    Subscription,
    Trade,
    datetime_from_ns,
)
from tapeline.runtime.pipeline import Output

logger = logging.getLogger("tapeline.consolidation")

_NAME = "consolidation:"
_SAVE_EVERY_NS = 10 * 10**9

Instruments = Mapping[str, Mapping[tuple[str, str], Instrument]]


class Consolidations:
    """Turns trades and bars of single venues into consolidated ones.

    Args:
        instruments: exchange → its instruments; owned by the engine.
    """

    def __init__(self, clock: Clock, instruments: Instruments) -> None:
        self._clock = clock
        self._instruments = instruments
        self._by_name: dict[str, Consolidator] = {}
        self._by_stream: dict[Subscription, list[Consolidator]] = {}
        self._saved_ns: int | None = None

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def add(self, settings: ConsolidationSettings) -> Consolidator:
        """Consolidate *settings*, from now on.

        Names, and pairs of market and symbol, must differ: they are keys of rows.
        """
        made = Consolidator(settings, self._clock.wall_ns())
        self._by_name[settings.name] = made
        self._saved_ns = None
        return made

    def timeframes_of(self, stream: Subscription) -> list[str]:
        """The timeframes that *stream* needs, beyond those its collector wants."""
        return [
            timeframe
            for one in self._by_name.values()
            if one.wants(stream)
            for timeframe in one.settings.timeframes
        ]

    def bind(self, stream: Subscription) -> None:
        """*stream* is collected from now on."""
        for one in self._by_name.values():
            users = self._by_stream.setdefault(stream, [])
            if one.wants(stream) and one not in users:
                if one.bind(stream):
                    users.append(one)
                else:
                    logger.warning(
                        "consolidation %s: %s is left out, as %s is counted already",
                        one.settings.name,
                        stream,
                        one.parts[stream.exchange].stream,
                    )

    def take(self, out: Output, now_ns: int, *, ends: bool = False) -> None:
        """Add to *out* what follows from it, and what is due.

        Args:
            ends: collection stops here, so bars are given out as they are.
        """
        # hot path
        live = out.live
        by_stream = self._by_stream
        made: list[MarketDataPoint] = []
        for event in live:
            kind = type(event)
            if kind is Trade:
                for one in by_stream.get(event.stream, ()):  # type: ignore[attr-defined]
                    trade = one.trade(event)  # type: ignore[arg-type]
                    if trade is None:
                        self._learn(one)
                        trade = one.trade(event)  # type: ignore[arg-type]
                    if trade is not None:
                        made.append(trade)
            elif kind is Candle and event.source == FROM_TRADES:  # type: ignore[attr-defined]
                for one in by_stream.get(event.stream, ()):  # type: ignore[attr-defined]
                    one.candle(event)  # type: ignore[arg-type]
        live += made
        given: list[ConsolidatedCandle] = []
        for one in self._by_name.values():
            self._learn(one)
            one.advance(now_ns, given)
            if ends:
                one.flush(now_ns, given)
        plain: list[Record] = [candle.plain() for candle in given]
        out.journal += plain
        out.live += given

    def _learn(self, one: Consolidator) -> None:
        key = (one.settings.market, one.settings.symbol)
        for exchange, part in one.parts.items():
            known = self._instruments.get(exchange)
            if known is None or part.stream is None:
                continue
            instrument = known.get(key)
            if instrument is not None:
                one.know(exchange, instrument)

    # -- restart ------------------------------------------------------------------

    @property
    def checkpoint_names(self) -> Sequence[str]:
        """Names of its checkpoints in the journal."""
        return [f"{_NAME}{name}" for name in self._by_name]

    async def restore(self, journal: JournalLike) -> None:
        """Go on from the last checkpoints and the rows behind them."""
        saved = journal.checkpoints()
        for name, one in self._by_name.items():
            found = saved.get(f"{_NAME}{name}")
            if found is None:
                continue
            position, payload = found
            try:
                if not one.restore(payload):
                    one.begin_after(self._clock.wall_ns())
                    logger.warning(
                        "consolidation %s begins anew: its exchanges changed", name
                    )
                    continue
            except JournalError as error:
                logger.warning("%s", error)
                continue
            async for _, records in journal.read_from(position):
                one.refold(records)

    def save(self, journal: JournalLike, *, force: bool = False) -> None:
        """Hand the state as of the last position to the journal, when it is time."""
        now_ns = self._clock.monotonic_ns()
        saved_ns = self._saved_ns
        if not force and saved_ns is not None and now_ns - saved_ns < _SAVE_EVERY_NS:
            return
        self._saved_ns = now_ns
        for name, one in self._by_name.items():
            journal.checkpoint(f"{_NAME}{name}", journal.last, one.snapshot())

    # -- status -------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Each consolidation with the share and staleness of its parts, JSON-ready."""
        now_ns = self._clock.wall_ns()
        return {name: _status(one, now_ns) for name, one in self._by_name.items()}


def _status(one: Consolidator, now_ns: int) -> dict[str, object]:
    settings = one.settings
    total = sum(part.volume for part in one.parts.values())
    parts: dict[str, object] = {}
    for exchange, part in one.parts.items():
        age_s = None if part.seen_ns is None else (now_ns - part.seen_ns) / 1e9
        parts[exchange] = {
            "stream": None if part.stream is None else str(part.stream),
            "share": float(part.volume / total) if total else 0.0,
            "volume": str(part.volume),
            "trades": part.trades,
            "last_trade_age_s": age_s,
            "stale": one.is_stale(part, now_ns),
        }
    return {
        "symbol": settings.symbol,
        "market": settings.market,
        "parts": parts,
        "timeframes": {
            name: {
                **attrs.asdict(line.counters),
                "unsettled": sum(not slot.settled for slot in line.slots.values()),
                "last": _last(one.last.get(name)),
            }
            for name, line in one.lines.items()
        },
    }


def _last(candle: ConsolidatedCandle | None) -> dict[str, object] | None:
    if candle is None:
        return None
    vwap = candle.vwap
    return {
        "timestamp": datetime_from_ns(candle.open_ns).isoformat(),
        "state": candle.state,
        "revision": candle.revision,
        "volume": str(candle.volume),
        "vwap": None if vwap is None else str(vwap),
        "shares": {venue: float(share) for venue, share in candle.shares.items()},
        "states": dict(candle.states),
    }
