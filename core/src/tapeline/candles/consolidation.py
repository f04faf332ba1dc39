"""One symbol over several exchanges: bars merged from the venues' own bars.

A consolidated bar follows from the newest bars of its parts and from nothing else,
so a bar that is revised revises it, and a restart that knows the parts' bars cannot
make a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import attrs
import msgspec

from tapeline.candles.bars import EXACT
from tapeline.candles.consolidation_merge import (
    MISSING,
    WHOLE,
    Merged,
    PartBar,
    Units,
    merge,
)
from tapeline.candles.consolidation_settings import ConsolidationSettings
from tapeline.candles.consolidation_slots import Runs, Slot, Slots
from tapeline.errors import JournalError
from tapeline.model import (
    CONSOLIDATED,
    CONSOLIDATED_EXCHANGE,
    FROM_TRADES,
    Candle,
    ConsolidatedCandle,
    ConsolidatedTrade,
    DataType,
    Instrument,
    Subscription,
    Trade,
    quick_constructor,
    width_ns,
)

VERSION = 1

_Trade = quick_constructor(ConsolidatedTrade)


@attrs.define(eq=False)
class Part:
    """One venue of a consolidation.

    Args:
        stream: its trades; None until a collector follows them.
        instrument: as it was known last.
        units: what its sizes count; None until its instrument was known once.
        seen_ns: when the last thing of it was received, nanoseconds UTC.
        trades: number of its trades since the start.
        volume: of these trades, in base units.
    """

    exchange: str
    stream: Subscription | None = None
    instrument: Instrument | None = None
    units: Units | None = None
    seen_ns: int | None = None
    trades: int = 0
    volume: Decimal = Decimal(0)


class _Line(msgspec.Struct):
    timeframe: str
    from_ns: int
    slots: list[Slot]
    whole: list[tuple[int, int]]
    given_up: list[tuple[int, int]]


class _State(msgspec.Struct):
    version: int
    exchanges: list[str]
    units: list[tuple[Decimal | None, bool] | None]
    lines: list[_Line]


class Consolidator:
    """Trades and candles of one symbol over several exchanges; no clock, no I/O.

    A bar is given out once all parts are whole, or ``wait_s`` after its end with the
    state of the worst part, and again whenever a part's bar changes it.

    Args:
        from_ns: begin here, wall nanoseconds UTC; older bars of the parts do not
            count.
    """

    def __init__(self, settings: ConsolidationSettings, from_ns: int = 0) -> None:
        self.settings = settings
        self._began_ns = from_ns
        self.parts = {name: Part(name) for name in settings.exchanges}
        self.trades_stream = self._stream(DataType.TRADE.value, "")
        self.last: dict[str, ConsolidatedCandle] = {}
        self._number = {name: at for at, name in enumerate(settings.exchanges)}
        self._streams = {
            name: self._stream(DataType.CANDLE.value, name)
            for name in settings.timeframes
        }
        self.lines = {
            name: Slots(name, width_ns(name), len(self.parts), from_ns)
            for name in settings.timeframes
        }

    def _stream(self, data_type: str, timeframe: str) -> Subscription:
        settings = self.settings
        return Subscription(
            CONSOLIDATED_EXCHANGE,
            settings.market,
            settings.symbol,
            data_type,
            settings.name,
            "",
            timeframe,
        )

    def begin_after(self, now_ns: int) -> None:
        """Leave the bars alone that are open at *now_ns*: others made them."""
        for line in self.lines.values():
            line.from_ns = now_ns + line.width_ns

    def wants(self, stream: Subscription) -> bool:
        """Whether *stream* is the trades of one of the venues."""
        settings = self.settings
        return (
            stream.exchange in self.parts
            and stream.market == settings.market
            and stream.symbol == settings.symbol
            and stream.data_type == DataType.TRADE.value
        )

    def bind(self, stream: Subscription) -> bool:
        """Follow *stream*; the first of a venue counts, others would count twice."""
        if not self.wants(stream):
            return False
        part = self.parts[stream.exchange]
        if part.stream is None:
            part.stream = stream
        return part.stream == stream

    def know(self, exchange: str, instrument: Instrument) -> None:
        """Convert sizes of *exchange* as *instrument* says."""
        part = self.parts[exchange]
        if part.instrument is not instrument:
            part.instrument = instrument
            part.units = Units.of(instrument)

    # hot path
    def trade(self, trade: Trade) -> ConsolidatedTrade | None:
        """*trade* in the consolidated stream; None when its units are not known."""
        part = self.parts[trade.stream.exchange]
        part.seen_ns = trade.received_ns
        units = part.units
        if units is None:
            return None
        base, quote = units.trade(trade.price, trade.size)
        part.trades += 1
        part.volume = EXACT.add(part.volume, base)
        return _Trade(
            self.trades_stream,
            trade.trade_id,
            trade.first_id,
            trade.last_id,
            trade.fills,
            trade.side,
            trade.price,
            base,
            trade.exchange_ns,
            trade.received_ns,
            trade.source,
            None,
            trade.stream.exchange,
            quote,
            trade,
        )

    def candle(self, candle: Candle) -> None:
        """Take a bar of a part, new or revised; ``advance`` gives what follows."""
        line = self.lines.get(candle.timeframe)
        if line is None or candle.source != FROM_TRADES:
            return
        line.put(
            self._number[candle.stream.exchange], candle.open_ns, PartBar.of(candle)
        )

    def advance(self, now_ns: int, out: list[ConsolidatedCandle]) -> None:
        """Give out what is due; call often.

        Args:
            now_ns: our clock, nanoseconds UTC.
        """
        for line in self.lines.values():
            for open_ns in self._due(line, now_ns):
                self._consider(line, line.slots[open_ns], now_ns, False, out)
            line.evict(now_ns, self.settings.keep_ns, self.settings.max_open)

    def flush(self, now_ns: int, out: list[ConsolidatedCandle]) -> None:
        """Give out everything that was not yet, as it is: collection stops here."""
        for line in self.lines.values():
            for open_ns in sorted(line.dirty | line.waiting):
                self._consider(line, line.slots[open_ns], now_ns, True, out)

    def _due(self, line: Slots, now_ns: int) -> list[int]:
        due = set(line.dirty)
        if line.waiting:
            end_ns = now_ns - self.settings.wait_ns - line.width_ns
            due |= {open_ns for open_ns in line.waiting if open_ns <= end_ns}
            if any(self.is_stale(part, now_ns) for part in self.parts.values()):
                due |= line.waiting
        return sorted(due)

    def is_stale(self, part: Part, now_ns: int) -> bool:
        """Whether nothing came from *part* for too long."""
        since_ns = self._began_ns if part.seen_ns is None else part.seen_ns
        return now_ns - since_ns > self.settings.stale_after_ns

    def _consider(
        self,
        line: Slots,
        slot: Slot,
        now_ns: int,
        force: bool,
        out: list[ConsolidatedCandle],
    ) -> None:
        parts = list(self.parts.values())
        bars = [
            (part, bar)
            for part, bar in zip(parts, slot.bars, strict=True)
            if bar is not None
        ]
        known = [(bar, part.units) for part, bar in bars if part.units is not None]
        if len(known) < len(bars) or not bars:
            # Its instrument will be known before anything new comes from it.
            return
        line.dirty.discard(slot.open_ns)
        states = line.states(slot)
        if slot.sent is None and not force:
            end_ns = slot.open_ns + line.width_ns
            in_time = now_ns < end_ns + self.settings.wait_ns
            if in_time and self._waits(parts, states, now_ns):
                line.waiting.add(slot.open_ns)
                return
        line.waiting.discard(slot.open_ns)
        merged, volumes = merge(known, states)
        if merged == slot.sent:
            return
        slot.sent = merged
        slot.revision += 1
        if slot.revision:
            line.counters.revised += 1
        else:
            line.counters.given += 1
        shares = dict.fromkeys(self.parts, Decimal(0))
        shares.update(
            (part.exchange, base) for (part, _), base in zip(bars, volumes, strict=True)
        )
        by_part = dict(zip(self.parts, states, strict=True))
        given = self._candle(line, slot, merged, shares, by_part)
        newest = self.last.get(line.timeframe)
        if newest is None or newest.open_ns <= given.open_ns:
            self.last[line.timeframe] = given
        out.append(given)

    def _waits(self, parts: list[Part], states: list[str], now_ns: int) -> bool:
        """Whether a part that is not whole may still become so in time."""
        return any(
            state not in WHOLE
            and not (state == MISSING and self.is_stale(part, now_ns))
            for part, state in zip(parts, states, strict=True)
        )

    def _candle(
        self,
        line: Slots,
        slot: Slot,
        merged: Merged,
        volumes: dict[str, Decimal],
        states: dict[str, str],
    ) -> ConsolidatedCandle:
        return ConsolidatedCandle(
            self._streams[line.timeframe],
            line.timeframe,
            slot.open_ns,
            merged.open,
            merged.high,
            merged.low,
            merged.close,
            merged.volume,
            merged.quote_volume,
            merged.taker_buy_volume,
            merged.trades_count,
            None,
            None,
            merged.state,
            slot.revision,
            CONSOLIDATED,
            max(bar.received_ns for bar in slot.bars if bar is not None),
            volumes=volumes,
            states=states,
        )

    # -- restart ------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything needed to go on after a restart."""
        units = [
            None if part.units is None else attrs.astuple(part.units)
            for part in self.parts.values()
        ]
        lines = [
            _Line(
                name,
                line.from_ns,
                list(line.slots.values()),
                line.whole.pairs(),
                line.given_up.pairs(),
            )
            for name, line in self.lines.items()
        ]
        state = _State(VERSION, list(self.parts), units, lines)
        return msgspec.msgpack.encode(state)

    def restore(self, data: bytes) -> bool:
        """Go on from a ``snapshot``; False when it was made of other exchanges.

        Raises:
            JournalError: *data* is not a snapshot of this version.
        """
        try:
            state = msgspec.msgpack.decode(data, type=_State)
        except (msgspec.MsgspecError, ValueError) as error:
            raise JournalError(
                f"expected a checkpoint of consolidation {self.settings.name!r}, found "
                f"{len(data)} bytes that cannot be read ({error}); it begins anew"
            ) from error
        if state.version != VERSION or state.exchanges != list(self.parts):
            return False
        for part, units in zip(self.parts.values(), state.units, strict=True):
            part.units = None if units is None else Units(*units)
        for saved in state.lines:
            line = self.lines.get(saved.timeframe)
            if line is not None:
                line.from_ns = saved.from_ns
                line.whole = Runs(saved.whole)
                line.given_up = Runs(saved.given_up)
                line.hold(saved.slots)
        return True

    def refold(self, records: Iterable[object]) -> None:
        """Learn from journal rows that are younger than the snapshot, silently.

        What differs from the bars in them comes with the next ``advance``.
        """
        for record in records:
            if not isinstance(record, Candle):
                continue
            if record.source == CONSOLIDATED:
                self._refold_own(record)
            elif self.wants(record.stream):
                self.candle(record)

    def _refold_own(self, candle: Candle) -> None:
        if candle.stream != self._streams.get(candle.timeframe):
            return
        line = self.lines[candle.timeframe]
        slot = line.slots.get(candle.open_ns) or line.make(candle.open_ns)
        if slot is not None and candle.revision >= slot.revision:
            slot.sent = Merged.of(candle)
            slot.revision = candle.revision
