"""Our own bars against the venue's: equal in every figure, or explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs

from tapeline.model import COMPLETE, REPAIRED, Candle, Market

WHOLE = frozenset({COMPLETE, REPAIRED})
MATCHED = "matched"
MISMATCHED = "mismatched"

GAP_TOUCHES = "gap"
"""Cause of a mismatch: a recorded gap touches the bar."""
LATE_TRADE = "late-trade"
"""Cause of a mismatch: trades came after the bar was given out first."""
VENUE_REVISION = "venue-revision"
"""Cause of a mismatch: the venue has changed its bar."""
UNEXPLAINED = "unexplained"
"""Cause of a mismatch: none of the others."""

_KEPT = 240
_EXAMPLES = 20
_MOST_SCALES = 64


@attrs.frozen
class BarName:
    """Which bars are compared."""

    exchange: str
    market: str
    symbol: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.market}:{self.symbol}:{self.timeframe}"


@attrs.frozen
class Figures:
    """What two bars of one interval must agree on; None where it is not told."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None
    taker_buy_volume: Decimal | None
    trades_count: int | None

    @classmethod
    def of(cls, row: Candle | Mapping[str, Any]) -> Figures:
        """Those of a candle, or of a row of table ``market_data``."""
        if isinstance(row, Mapping):
            return cls(*(row[name] for name in _NAMES))
        return cls(*(getattr(row, name) for name in _NAMES))


_NAMES = tuple(field.name for field in attrs.fields(Figures))


class Comparison:
    """Compares bars of one stream, exactly.

    Sizes of derivatives are contracts, their quote volume is not. There it must be
    ours times one constant, that of most bars that are equal in all else; of contracts
    settled in the base currency it is not compared.
    """

    def __init__(self, name: BarName) -> None:
        self._scale: Fraction | None = None
        self._scales: Counter[Fraction] = Counter()
        self._quotes = True
        if name.market == Market.SPOT.value:
            self._scale = Fraction(1)
        else:
            self._quotes = name.symbol.split("-")[1:2] != ["USD"]
        self.learns = self._quotes and self._scale is None

    def learn(self, own: Figures, venue: Figures) -> bool:
        """Count what two bars say of the constant; True when it is another one now.

        Bars that differ in anything else say nothing of it. Nothing is learned where
        ``learns`` is false.
        """
        mine, told = own.quote_volume, venue.quote_volume
        if not self.learns or not mine or not told or self._plain(own, venue):
            return False
        scales = self._scales
        scale = Fraction(told) / Fraction(mine)
        scales[scale] += 1
        if len(scales) > _MOST_SCALES:
            self._scales = scales = Counter(dict(scales.most_common(_MOST_SCALES // 2)))
        if self._scale is not None and scales[scale] <= scales[self._scale]:
            return False
        changed, self._scale = scale != self._scale, scale
        return changed

    def differing(self, own: Figures, venue: Figures) -> list[str]:
        """Names of the figures that both have and that differ."""
        names = self._plain(own, venue)
        if not self._same_quote(own.quote_volume, venue.quote_volume):
            names.append("quote_volume")
        return names

    def _plain(self, own: Figures, venue: Figures) -> list[str]:
        found = []
        for name in _NAMES:
            mine, told = getattr(own, name), getattr(venue, name)
            if name != "quote_volume" and None not in (mine, told) and mine != told:
                found.append(name)
        return found

    def _same_quote(self, mine: Decimal | None, told: Decimal | None) -> bool:
        if mine is None or told is None or not self._quotes:
            return True
        if not mine or not told:
            return mine == told
        if self._scale is None:
            return True
        return Fraction(mine) * self._scale == Fraction(told)


@attrs.define
class AuditResult:
    """How the bars of one stream compare.

    Args:
        compared: bars of which ours is whole and the venue's is final.
        matched: those that are equal in every figure that both tell.
        causes: cause → number of mismatches.
        not_judged: state of ours that is not whole → number of bars.
        healed: cause → bars that matched only after they, or the venue's, changed.
        venue_missing: our whole bars that the venue never gave.
        own_missing: bars with trades of the venue, after our first one, for which
            there is none of ours.
        examples: sentences about the newest mismatches.
    """

    name: BarName
    compared: int = 0
    matched: int = 0
    causes: dict[str, int] = attrs.field(factory=dict)
    not_judged: dict[str, int] = attrs.field(factory=dict)
    healed: dict[str, int] = attrs.field(factory=dict)
    venue_missing: int = 0
    own_missing: int = 0
    examples: list[str] = attrs.field(factory=list)

    @property
    def match_rate(self) -> float | None:
        """Matched bars as a part of those compared; None before the first."""
        return self.matched / self.compared if self.compared else None

    @property
    def mismatched(self) -> int:
        """Bars that differ."""
        return self.compared - self.matched

    def remember(self, example: str) -> None:
        """Keep *example*, and only the newest of them."""
        self.examples = [*self.examples[1 - _EXAMPLES :], example]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "exchange": self.name.exchange,
            "market": self.name.market,
            "symbol": self.name.symbol,
            "timeframe": self.name.timeframe,
            "compared": self.compared,
            "matched": self.matched,
            "mismatched": self.mismatched,
            "match_rate": self.match_rate,
            "causes": dict(self.causes),
            "not_judged": dict(self.not_judged),
            "healed": dict(self.healed),
            "venue_missing": self.venue_missing,
            "own_missing": self.own_missing,
            "examples": self.examples[-5:],
        }


@attrs.define
class _Pair:
    own: Candle | None = None
    venue: Candle | None = None
    own_changed: bool = False
    venue_changed: bool = False
    verdict: str = ""
    cause: str = ""
    learned: bool = False


class BarAudit:
    """Compares the bars of one stream as they come; no clock, no I/O.

    A verdict follows the bars: when one of them is revised, it is given anew. Only
    the newest bars can be revised here; the figures of older ones stand.
    """

    def __init__(self, name: BarName) -> None:
        self.result = AuditResult(name)
        self._compare = Comparison(name)
        self._pairs: dict[int, _Pair] = {}
        self._oldest_ns = 0
        self._first_ns: int | None = None

    def own(self, candle: Candle) -> str | None:
        """Take our bar; a sentence when it makes a mismatch."""
        pair = self._pair(candle.open_ns)
        if pair is None:
            return None
        if self._first_ns is None:
            self._first_ns = candle.open_ns
        pair.own_changed = pair.own is not None and pair.own.state in WHOLE
        pair.own = candle
        return self._judge(pair)

    def venue(self, candle: Candle) -> str | None:
        """Take the venue's bar, unless it is not final; a sentence as above."""
        pair = self._pair(candle.open_ns)
        if candle.state != COMPLETE or pair is None:
            return None
        if pair.venue is not None and Figures.of(pair.venue) != Figures.of(candle):
            pair.venue_changed = True
        pair.venue = candle
        return self._judge(pair)

    def missing(self, ended_ns: int) -> list[int]:
        """Open times of our whole bars up to *ended_ns* that the venue's lacks."""
        return [
            open_ns
            for open_ns, pair in self._pairs.items()
            if pair.venue is None
            and open_ns <= ended_ns
            and pair.own is not None
            and pair.own.state in WHOLE
        ]

    @property
    def waiting(self) -> int:
        """Bars of which only one of the two has come."""
        return sum(
            (pair.own is None) != (pair.venue is None) for pair in self._pairs.values()
        )

    def _pair(self, open_ns: int) -> _Pair | None:
        pair = self._pairs.get(open_ns)
        if pair is None and open_ns >= self._oldest_ns:
            pair = self._pairs[open_ns] = _Pair()
            if len(self._pairs) > _KEPT:
                self._forget(min(self._pairs))
        return pair

    def _forget(self, open_ns: int) -> None:
        pair = self._pairs.pop(open_ns)
        self._oldest_ns = max(self._oldest_ns, open_ns + 1)
        if pair.venue is None and pair.own is not None and pair.own.state in WHOLE:
            self.result.venue_missing += 1
        elif (
            pair.own is None
            and pair.venue is not None
            and pair.venue.volume
            and self._first_ns is not None
            and open_ns > self._first_ns
        ):
            self.result.own_missing += 1

    def _judge(self, pair: _Pair, *, again: bool = False) -> str | None:
        """Compare the bars of *pair*; *again*: neither of them has changed."""
        own, venue = pair.own, pair.venue
        if own is None or venue is None:
            return None
        before = pair.verdict
        self._count(pair, -1)
        told = None
        if own.state not in WHOLE:
            pair.verdict, pair.cause = own.state, ""
        else:
            mine, theirs = Figures.of(own), Figures.of(venue)
            self._learn(pair, mine, theirs)
            names = self._compare.differing(mine, theirs)
            pair.verdict = MISMATCHED if names else MATCHED
            pair.cause = self._cause(pair) if names else ""
            if names:
                told = sentence(self.result.name, own.timestamp, mine, theirs, names)
                told = f"{told} ({pair.cause})"
                self.result.remember(told)
            elif before == MISMATCHED and not again:
                cause = VENUE_REVISION if pair.venue_changed else LATE_TRADE
                self.result.healed[cause] = self.result.healed.get(cause, 0) + 1
        self._count(pair, 1)
        return told

    def _learn(self, pair: _Pair, mine: Figures, theirs: Figures) -> None:
        """Once for each pair; what was judged by another constant is judged anew."""
        if not self._compare.learns or pair.learned:
            return
        pair.learned = True
        if self._compare.learn(mine, theirs):
            for other in self._pairs.values():
                if other is not pair and other.verdict in (MATCHED, MISMATCHED):
                    self._judge(other, again=True)

    def _cause(self, pair: _Pair) -> str:
        if pair.venue_changed:
            return VENUE_REVISION
        if pair.own is not None and pair.own.state == REPAIRED:
            return GAP_TOUCHES
        return LATE_TRADE if pair.own_changed else UNEXPLAINED

    def _count(self, pair: _Pair, by: int) -> None:
        result, verdict = self.result, pair.verdict
        if verdict in (MATCHED, MISMATCHED):
            result.compared += by
            result.matched += by if verdict == MATCHED else 0
            if pair.cause:
                add(result.causes, pair.cause, by)
        elif verdict:
            add(result.not_judged, verdict, by)


def add(counts: dict[str, int], key: str, by: int) -> None:
    """Count *key*; what is back at 0 is left out."""
    counts[key] = counts.get(key, 0) + by
    if not counts[key]:
        del counts[key]


def sentence(
    name: BarName, at: object, own: Figures, venue: Figures, names: list[str]
) -> str:
    """A mismatch in words."""
    parts = [
        f"{figure} {getattr(own, figure)} instead of {getattr(venue, figure)}"
        for figure in names
    ]
    return f"{name} at {at}: " + ", ".join(parts)
