"""Own bars against the venue's, from a database."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from tapeline.candles import (
    GAP_TOUCHES,
    LATE_TRADE,
    UNEXPLAINED,
    VENUE_REVISION,
    AuditResult,
    BarName,
    Comparison,
    Figures,
)
from tapeline.candles.audit import WHOLE, add, sentence
from tapeline.hookspecs import DatabaseReader
from tapeline.model import COMPLETE, FROM_TRADES, FROM_VENUE, ns_from_datetime, width_ns


@attrs.frozen
class CandleAccounts:
    """The comparison of every stream that has bars of its own and of the venue."""

    streams: Sequence[AuditResult]

    @property
    def compared(self) -> int:
        """Whole bars that the venue has too."""
        return sum(stream.compared for stream in self.streams)

    @property
    def matched(self) -> int:
        """Those that are equal."""
        return sum(stream.matched for stream in self.streams)

    @property
    def match_rate(self) -> float | None:
        """Matched bars as a part of those compared; None without any."""
        return self.matched / self.compared if self.compared else None

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "compared": self.compared,
            "matched": self.matched,
            "match_rate": self.match_rate,
            "streams": [stream.as_dict() for stream in self.streams],
        }


@attrs.define
class _Stream:
    result: AuditResult
    compare: Comparison
    width_ns: int
    venue: dict[datetime, tuple[Figures, int]] = attrs.field(factory=dict)
    gaps: list[tuple[int, int]] = attrs.field(factory=list)
    first: datetime | None = None

    def learn(self, row: Mapping[str, Any]) -> None:
        """Learn from our *row* what its quote volume is to the venue's."""
        venue = self.venue.get(row["timestamp"])
        if venue is not None and row["state"] in WHOLE:
            self.compare.learn(Figures.of(row), venue[0])

    def judge(self, row: Mapping[str, Any]) -> None:
        """Compare our *row* with the venue's bar of its interval."""
        result, at = self.result, row["timestamp"]
        self.first = at if self.first is None else min(self.first, at)
        venue = self.venue.pop(at, None)
        if venue is None:
            result.venue_missing += row["state"] in WHOLE
            return
        if row["state"] not in WHOLE:
            add(result.not_judged, row["state"], 1)
            return
        theirs, revision = venue
        own = Figures.of(row)
        names = self.compare.differing(own, theirs)
        result.compared += 1
        if not names:
            result.matched += 1
            return
        cause = self._cause(row, revision)
        add(result.causes, cause, 1)
        told = sentence(result.name, at, own, theirs, names)
        result.remember(f"{told} ({cause})")

    def _cause(self, row: Mapping[str, Any], venue_revision: int) -> str:
        open_ns = ns_from_datetime(row["timestamp"])
        at = bisect_right(self.gaps, (open_ns + self.width_ns, -1))
        touched = any(to_ns >= open_ns for _, to_ns in self.gaps[:at])
        if touched or row["state"] != COMPLETE:
            return GAP_TOUCHES
        if venue_revision:
            return VENUE_REVISION
        return LATE_TRADE if row["revision"] else UNEXPLAINED


def compare_with_venue(reader: DatabaseReader) -> CandleAccounts:
    """Compare all bars that were built from trades with the venue's own."""
    streams: dict[BarName, _Stream] = {}
    for row in reader.candles():
        if row["source"] == FROM_VENUE and row["state"] == COMPLETE:
            name = _name(row)
            stream = streams.get(name)
            if stream is None:
                stream = streams[name] = _Stream(
                    AuditResult(name), Comparison(name), width_ns(name.timeframe)
                )
            stream.venue[row["timestamp"]] = (Figures.of(row), row["revision"])
    if not streams:
        return CandleAccounts(())
    _read_gaps(reader, streams)
    if any(stream.compare.learns for stream in streams.values()):
        for row in reader.candles():
            if row["source"] == FROM_TRADES and _name(row) in streams:
                streams[_name(row)].learn(row)
    for row in reader.candles():
        if row["source"] != FROM_TRADES:
            continue
        stream = streams.get(_name(row))
        if stream is not None:
            stream.judge(row)
    # Without any of ours there is nothing to compare: they were only collected.
    both = [streams[name] for name in sorted(streams, key=str) if streams[name].first]
    for stream in both:
        stream.result.own_missing = sum(
            bool(figures.volume)
            for at, (figures, _) in stream.venue.items()
            if stream.first is not None and at > stream.first
        )
    return CandleAccounts([stream.result for stream in both])


def _name(row: Mapping[str, Any]) -> BarName:
    return BarName(row["exchange"], row["market"], row["symbol"], row["timeframe"])


def _read_gaps(reader: DatabaseReader, streams: Mapping[BarName, _Stream]) -> None:
    by_symbol: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for row in reader.gaps():
        known = row["from_ns"] is not None and row["to_ns"] is not None
        if row["data_type"] == "trade" and known:
            key = (row["exchange"], row["market"], row["symbol"])
            by_symbol.setdefault(key, []).append((row["from_ns"], row["to_ns"]))
    for name, stream in streams.items():
        gaps = by_symbol.get((name.exchange, name.market, name.symbol), [])
        stream.gaps = sorted(gaps)
