"""Own bars against the venue's while running; what the venue did not send is asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import attrs

from tapeline.candles import BarAudit, BarName
from tapeline.clock import Clock
from tapeline.errors import RequestFailed
from tapeline.model import (
    FROM_TRADES,
    FROM_VENUE,
    Candle,
    Gap,
    Subscription,
    width_ns,
)
from tapeline.runtime.feed import Feed
from tapeline.runtime.pipeline import Output

logger = logging.getLogger("tapeline.audit")

_PATIENCE_S = 10.0
_LOOK_S = 2.0
_PAGE_S = 30.0
_TRIES = 4
_ASKED_KEPT = 1_000


@attrs.define
class AuditStatistics:
    """What was asked for over REST."""

    requests: int = 0
    failures: int = 0
    recovered: int = 0


class Audits:
    """The audits of an engine, fed from what its pipeline gives out."""

    def __init__(self) -> None:
        self._audits: dict[BarName, BarAudit] = {}
        self._streams: dict[Subscription, BarAudit] = {}

    def __bool__(self) -> bool:
        return bool(self._audits)

    def follow(self, stream: Subscription) -> None:
        """Compare the candles of the venue's *stream* with ours from now on."""
        name = BarName(stream.exchange, stream.market, stream.symbol, stream.timeframe)
        audit = self._audits.setdefault(name, BarAudit(name))
        self._streams[stream] = audit

    def take(self, out: Output) -> None:
        """Compare the bars in *out*."""
        # hot path
        for event in out.live:
            if type(event) is not Candle:
                continue
            told = None
            if event.source == FROM_VENUE:
                audit = self._streams.get(event.stream)
                if audit is not None:
                    told = audit.venue(event)
            elif event.source == FROM_TRADES:
                of = event.stream
                name = BarName(of.exchange, of.market, of.symbol, event.timeframe)
                audit = self._audits.get(name)
                if audit is not None:
                    told = audit.own(event)
            if told is not None:
                logger.warning("bar differs from the venue's: %s", told)

    def missing(self, stream: Subscription, now_ns: int) -> list[int]:
        """Open times of bars that *stream* should have brought and did not."""
        audit = self._streams.get(stream)
        if audit is None:
            return []
        ended_ns = now_ns - int(_PATIENCE_S * 1e9) - width_ns(stream.timeframe)
        return audit.missing(ended_ns)

    def status(self) -> dict[str, object]:
        """Stream → figures, JSON-ready."""
        return {
            str(name): {**audit.result.as_dict(), "waiting": audit.waiting}
            for name, audit in self._audits.items()
        }

    def matched(self, stream: Subscription) -> str:
        """``matched/compared`` of the venue's *stream*; empty when not compared."""
        audit = self._streams.get(stream)
        if audit is None:
            return ""
        return f"{audit.result.matched}/{audit.result.compared}"

    def totals(self) -> tuple[int, int]:
        """Bars compared and bars matched, of all streams."""
        results = [audit.result for audit in self._audits.values()]
        return sum(r.compared for r in results), sum(r.matched for r in results)


class CandleFetcher:
    """Asks REST for the closes that one feed's candle channels did not bring.

    Args:
        emit: takes what was found.
    """

    def __init__(
        self,
        feed: Feed,
        audits: Audits,
        *,
        emit: Callable[[Output], None],
        clock: Clock,
    ) -> None:
        self.statistics = AuditStatistics()
        self._feed = feed
        self._audits = audits
        self._emit = emit
        self._clock = clock
        self._asked: dict[tuple[Subscription, int], int] = {}

    async def run(self) -> None:
        """Look and ask until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_S)
            if not self._audits:
                continue
            for stream in list(self._feed.wanted):
                missing = [
                    open_ns
                    for open_ns in self._audits.missing(stream, self._clock.wall_ns())
                    if self._asked.get((stream, open_ns), 0) < _TRIES
                ]
                if missing:
                    await self._ask(stream, missing)

    async def _ask(self, stream: Subscription, missing: Sequence[int]) -> None:
        for open_ns in missing:
            key = (stream, open_ns)
            self._asked[key] = self._asked.get(key, 0) + 1
        while len(self._asked) > _ASKED_KEPT:
            del self._asked[next(iter(self._asked))]
        hole = Gap(
            stream, 0, 0, None, None, min(missing), max(missing), "audit", missing[0]
        )
        settings = self._feed.settings
        pages = settings.adapter.backfill(settings.config, hole)
        if pages is None:
            return
        candles: list[Candle] = []
        wanted = frozenset(missing)
        try:
            while (fetch := pages.next()) is not None:
                self.statistics.requests += 1
                page = pages.read(await self._feed.link.rest.fetch(fetch, _PAGE_S))
                candles += [one for one in page.candles if one.open_ns in wanted]
        except RequestFailed as error:
            self.statistics.failures += 1
            logger.info("candles of %s: %s", stream, error)
        if candles:
            self.statistics.recovered += len(candles)
            self._emit(Output(list(candles), list(candles)))
