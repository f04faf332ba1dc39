"""The promise, checked from outside: ``emitted = stored ⊎ recorded gap``.

It shares nothing with the product's own accounting: plain sets of single ids.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

from tapeline.model import CLOSED, Candle, Coverage, Gap, Record, Trade, width_ns
from tapeline.model.candles import COMPLETE, FROM_TRADES
from tapeline.testing.ledger import LedgerFill

NEVER_ISSUED = "never-issued"
CAUSES = frozenset(
    {
        "id-hole",
        "id-reset",
        "disconnect",
        "downtime",
        "stall",
        "rotation",
        "shed",
        "quarantine",
        "quota",
        "damage",
        "restored",
        "late-sink",
        "replay",
        NEVER_ISSUED,
        "beyond-reach",
        "sequence",
        "overlap",
    }
)
"""Every cause that a gap may have."""

AGGREGATE = "aggregate"
_MOST_PROBLEMS = 20

StreamKey = tuple[str, str, str]
"""``(exchange, market, symbol)``"""


@attrs.define
class Verdict:
    """What was found.

    Args:
        gaps: rows of table ``gaps``.
        problems: sentences; empty when the promise is kept.
        emitted: ids that the venue gave out inside coverage.
        stored, in_gaps: of those.
        gaps_open: rows that are neither closed nor given up.
        bars: complete ones that were compared.
        covered_to: the highest id inside coverage, by stream.
        aggregates: whether trades are stored by aggregates.
    """

    problems: list[str] = attrs.field(factory=list)
    emitted: int = 0
    stored: int = 0
    in_gaps: int = 0
    gaps: int = 0
    gaps_open: int = 0
    bars: int = 0
    covered_to: dict[StreamKey, int] = attrs.field(factory=dict)
    aggregates: bool = False

    def blame(self, problem: str) -> None:
        """Add *problem*; from many only the first ones are kept."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


@attrs.define
class _Stream:
    trades: list[Trade] = attrs.field(factory=list)
    gaps: dict[int, Gap] = attrs.field(factory=dict)
    coverage: dict[int, Coverage] = attrs.field(factory=dict)
    candles: dict[tuple[str, int], Candle] = attrs.field(factory=dict)


def judge(fills: Iterable[LedgerFill], records: Iterable[Record]) -> Verdict:
    """Hold what was stored, in journal order, against what a venue gave out.

    Args:
        fills: the venue's ledger. One with ``aggregate_id`` counts those where trades
            are stored by aggregates.
        records: trades, facts and candles; anything else is left aside.
    """
    verdict = Verdict()
    streams = _sort(records, verdict)
    ledger: dict[StreamKey, list[LedgerFill]] = {}
    for fill in fills:
        key = (fill.exchange, fill.market, fill.symbol)
        ledger.setdefault(key, []).append(fill)
    for key, stream in streams.items():
        _judge_stream(key, stream, ledger.get(key, []), verdict)
    return verdict


def _sort(records: Iterable[Record], verdict: Verdict) -> dict[StreamKey, _Stream]:
    streams: dict[StreamKey, _Stream] = {}
    for record in records:
        if not isinstance(record, Trade | Gap | Coverage | Candle):
            continue
        of = record.stream
        if isinstance(record, Gap) and record.cause not in CAUSES:
            verdict.blame(f"gap {record.gap_id} has the cause {record.cause!r}")
        if of.data_type != "trade" and not isinstance(record, Candle):
            continue
        stream = streams.setdefault((of.exchange, of.market, of.symbol), _Stream())
        if isinstance(record, Trade):
            stream.trades.append(record)
        elif isinstance(record, Coverage):
            stream.coverage[record.started_ns] = record
        elif isinstance(record, Candle):
            if record.source == FROM_TRADES:
                stream.candles[record.timeframe, record.open_ns] = record
        else:
            known = stream.gaps.get(record.gap_id)
            if known is None or record.revision >= known.revision:
                stream.gaps[record.gap_id] = record
    return streams


def _judge_stream(
    key: StreamKey, stream: _Stream, fills: list[LedgerFill], verdict: Verdict
) -> None:
    name = ":".join(key)
    aggregates = any(trade.stream.id_kind == AGGREGATE for trade in stream.trades)
    verdict.aggregates |= aggregates
    made: dict[int, list[LedgerFill]] = {}
    for fill in fills:
        number = fill.aggregate_id if aggregates else fill.id
        assert number is not None
        made.setdefault(number, []).append(fill)
    stored = _judge_trades(name, stream.trades, made, verdict)
    missing: set[int] = set()
    denied: dict[int, int] = {}
    for gap in stream.gaps.values():
        verdict.gaps += 1
        if gap.state in ("open", "backfilling"):
            verdict.gaps_open += 1
        if gap.from_id is None or gap.to_id is None:
            continue
        ids = range(gap.from_id, gap.to_id + 1)
        if gap.state != CLOSED:
            missing.update(ids)
        elif gap.cause == NEVER_ISSUED:
            denied.update(dict.fromkeys(ids, gap.gap_id))
    for number in sorted(made.keys() & denied.keys() - stored - missing):
        verdict.blame(
            f"{name}: {number} was issued, gap {denied[number]} says it never was"
        )
    covered: set[int] = set()
    for row in stream.coverage.values():
        if row.first_id is not None and row.last_id is not None:
            covered.update(range(row.first_id, row.last_id + 1))
    if covered:
        verdict.covered_to[key] = max(covered)
    for number in sorted(made.keys() & covered):
        verdict.emitted += 1
        if number in stored:
            verdict.stored += 1
            if number in missing:
                verdict.blame(f"{name}: {number} is stored and in a gap")
        elif number in missing:
            verdict.in_gaps += 1
        else:
            verdict.blame(f"{name}: {number} is lost")
    if stored:
        reach = [n for n in made if min(stored) <= n <= max(stored)]
        away = [n for n in reach if n not in covered]
        if away:
            verdict.blame(
                f"{name}: {len(away)} ids from {min(away)} on lie between stored "
                "trades and outside coverage"
            )
    _judge_bars(name, stream.candles.values(), fills, verdict)


def _judge_trades(
    name: str,
    trades: Iterable[Trade],
    made: Mapping[int, list[LedgerFill]],
    verdict: Verdict,
) -> set[int]:
    stored: set[int] = set()
    for trade in trades:
        parts: list[LedgerFill] = []
        for number in range(trade.first_id, trade.last_id + 1):
            if number in stored:
                verdict.blame(f"{name}: {number} is stored twice")
            stored.add(number)
            if number not in made:
                verdict.blame(f"{name}: {number} was never issued")
            parts += made.get(number, ())
        size = sum((Decimal(part.size) for part in parts), Decimal(0))
        same = all(
            (Decimal(part.price), part.side, part.exchange_ns)
            == (trade.price, trade.side, trade.exchange_ns)
            for part in parts
        )
        if parts and (not same or size != trade.size or len(parts) != trade.fills):
            verdict.blame(f"{name}: trade {trade.trade_id} differs from its fills")
    return stored


def _judge_bars(
    name: str, candles: Iterable[Candle], fills: list[LedgerFill], verdict: Verdict
) -> None:
    """Bars that claim to be complete have every fill of their time."""
    times = sorted(fill.exchange_ns for fill in fills)
    for candle in candles:
        if candle.state != COMPLETE:
            continue
        verdict.bars += 1
        begin_ns = candle.open_ns
        end_ns = begin_ns + width_ns(candle.timeframe)
        made = bisect_left(times, end_ns) - bisect_left(times, begin_ns)
        if made != (candle.trades_count or 0):
            verdict.blame(
                f"{name}: the {candle.timeframe} bar at {begin_ns} is complete with "
                f"{candle.trades_count} fills of {made}"
            )
