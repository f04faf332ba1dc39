"""From the inbox to batches: continuity, candles, books; pure of I/O.

One pipeline serves all sockets of an engine, so a stream that arrives twice (two
collectors, a rotation, redundancy) is counted once: first in wins.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs
import msgspec

from tapeline.candles import CandleAggregator, CandleSettings
from tapeline.errors import DataValidationError, JournalError
from tapeline.integrity import QUARANTINE, BookSettings, StreamLedger
from tapeline.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Channel,
    Continuity,
    DataType,
    Gap,
    Malformed,
    MarketDataPoint,
    RawMessage,
    Record,
    Rejected,
    Subscription,
    Ticker,
    Trade,
)
from tapeline.runtime.book_desk import SEQUENCE, BookDesk, BookEvent, Checksum
from tapeline.runtime.repeats import Repeats
from tapeline.runtime.stream_state import Output, StreamState
from tapeline.transport import (
    FrameLost,
    Item,
    Sourced,
    StreamDropped,
    StreamLost,
    StreamMissed,
    StreamOpened,
)

__all__ = ["SEQUENCE", "Output", "Pipeline", "StreamState"]

logger = logging.getLogger("tapeline.pipeline")

_encode_raw = msgspec.json.Encoder().encode


class Pipeline:
    """Turns items into records and events; synchronous, no clock of its own.

    Args:
        ledger: continuity of all streams.
        book_sample_ns: least time between two stored snapshots of one book.
        book_depth: levels a side of snapshots of local books.
    """

    def __init__(
        self,
        ledger: StreamLedger,
        *,
        book_sample_ns: int = 10**9,
        book_depth: int = 50,
        candle_settings: CandleSettings | None = None,
        book_settings: BookSettings | None = None,
    ) -> None:
        self.ledger = ledger
        self.streams: dict[Subscription, StreamState] = {}
        self.saved_candles: dict[Subscription, bytes] = {}
        self.later: dict[Subscription, list[Trade | Candle]] = {}
        self.cause_of_drop: Callable[[Subscription], str] = lambda _: ""
        self.failures = 0
        self.unknown = 0
        self.shedding = False
        self._shed = 0
        self._candle_settings = candle_settings or CandleSettings()
        self._desk = BookDesk(
            ledger,
            _raw_message,
            sample_ns=book_sample_ns,
            depth=book_depth,
            settings=book_settings or BookSettings(),
        )
        self._now_ns = 0
        self._out = Output()
        # Neither ids, nor a chain, nor the next state make up for what is missed.
        self._unproven: list[StreamState] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            Trade: self._trade,
            Ticker: self._event,
            Balance: self._event,
            Candle: self._event,
            BookSnapshot: self._book_event,
            BookDelta: self._book_event,
            Sourced: self._sourced,
            StreamOpened: self._opened,
            StreamLost: self._lost,
            StreamMissed: self._missed,
            FrameLost: self._frame_lost,
            StreamDropped: self._dropped,
            Malformed: self._malformed,
            RawMessage: self._raw,
            Rejected: self._ignore,
        }

    def register(
        self,
        subscription: Subscription,
        channel: Channel,
        *,
        timeframes: Sequence[str] = (),
        checksum: Checksum | None = None,
        raw: bool = False,
    ) -> StreamState:
        """Know *subscription* from now on; safe to repeat, timeframes add up."""
        state = self.streams.get(subscription)
        if state is None:
            self.ledger.register(subscription, channel.continuity)
            state = StreamState(subscription, channel, self.ledger.taker(subscription))
            self.streams[subscription] = state
            if channel.continuity in (Continuity.MONOTONIC, Continuity.NONE):
                self._unproven.append(state)
        state.raw = state.raw or raw
        if timeframes and subscription.data_type == DataType.TRADE:
            if state.candles is None:
                contiguous = channel.continuity is Continuity.CONTIGUOUS
                state.candles = CandleAggregator(
                    subscription,
                    timeframes,
                    attrs.evolve(self._candle_settings, contiguous_ids=contiguous),
                )
                if not contiguous:
                    state.take = _taking_gaps(state.take, state.candles)
                self._restore_candles(state.candles, subscription)
            else:
                state.candles.add_timeframes(timeframes)
        if channel.continuity is Continuity.SEQUENCED and state.book is None:
            state.book = self._desk.new_book(state, checksum)
        return state

    def _restore_candles(
        self, candles: CandleAggregator, subscription: Subscription
    ) -> None:
        saved = self.saved_candles.pop(subscription, None)
        if saved is not None:
            try:
                candles.restore(saved)
            except JournalError as error:
                logger.warning("%s: %s", subscription, error)
        candles.refold(self.later.pop(subscription, ()))

    @property
    def shed(self) -> int:
        """Events that were given out live only, because nothing could be stored."""
        return self._shed + self._desk.shed

    @property
    def keeps_time(self) -> bool:
        """True when ``advance`` is needed often, though nothing comes.

        Silence ends bars, and a book may have to be asked for again.
        """
        return self.shedding or any(
            state.candles is not None
            or (state.book is not None and not state.book.valid)
            for state in self.streams.values()
        )

    def quiet(self, subscription: Subscription, last_id: int, until_ns: int) -> None:
        """Up to then the venue has no trade of this stream after *last_id*."""
        state = self.streams.get(subscription)
        if state is not None and state.candles is not None:
            state.candles.quiet(last_id, until_ns)

    def refuse(self, full: bool, now_ns: int) -> None:
        """Take no event while *full*: what is taken must be stored.

        Refused events still go out live, trades in rising order of their ids. Their
        streams have a gap from the last event that was taken to the next one. Bars
        hold what is stored, so silence makes none meanwhile.
        """
        if full is self.shedding:
            return
        self.shedding = full
        for state in self.streams.values():
            if state.candles is None:
                continue
            if full:
                state.candles.not_live()
            elif state.sources:
                state.candles.live(now_ns)

    def process(self, items: Sequence[Item], now_ns: int) -> Output:
        """Take *items* in order and give what follows from them."""
        # hot path
        self._now_ns = now_ns
        self._out = out = Output()
        self._desk.begin(out, now_ns, self.shedding)
        handlers = self._handlers
        for item in items:
            handler = handlers.get(type(item))
            # A supervisor: one item that cannot be handled must not cost the rest.
            try:
                if handler is None:
                    self._other(item)
                else:
                    handler(item)
            except Exception:
                self._failed(item)
        return out

    def advance(self, now_ns: int) -> Output:
        """Let deadlines pass: reorder graces, coverage, bars that end by clock."""
        self._now_ns = now_ns
        self._out = out = Output()
        self.ledger.advance(now_ns, out.journal)
        for state in self.streams.values():
            if state.candles is not None:
                candles: list[Candle] = []
                state.candles.advance(now_ns, candles)
                out.journal += candles
                out.live += candles
        return out

    def recover(
        self, subscription: Subscription, trades: Sequence[Trade], now_ns: int
    ) -> Output:
        """Take *trades* of one stream that were fetched for its open gaps.

        Of the revisions of one gap only the last is given out, before the trades.
        """
        self._now_ns = now_ns
        self._out = out = Output()
        state = self.streams.get(subscription)
        newest = None if state is None else state.last
        for trade in trades:
            self._trade(trade)
        if state is not None:
            state.last = newest
        gaps = {r.gap_id: r for r in out.journal if isinstance(r, Gap)}
        rest = [r for r in out.journal if not isinstance(r, Gap)]
        out.journal = [*gaps.values(), *rest]
        return out

    def settle(self, now_ns: int) -> Output:
        """Make gaps of what is missing now, without waiting for late trades."""
        self._out = out = Output()
        self.ledger.settle(now_ns, out.journal)
        return out

    def finish(self, now_ns: int) -> Output:
        """The end: close coverage, give open bars out as partial."""
        self._out = out = Output()
        self.ledger.close(now_ns, out.journal)
        for state in self.streams.values():
            if state.candles is not None:
                candles: list[Candle] = []
                state.candles.flush(candles)
                out.journal += candles
                out.live += candles
        return out

    def _trade(self, trade: Trade) -> None:
        # hot path
        state = self.streams.get(trade.stream)
        if state is None:
            self.unknown += 1
            return
        state.received += 1
        out = self._out
        journal = out.journal
        if self.shedding:
            self._shed_trade(state, trade)
            return
        if not state.take(trade, self._now_ns, journal):
            return
        state.accepted += 1
        state.last = trade
        journal.append(trade)
        if trade.last_id > state.told_to or trade.first_id < state.told_from:
            out.live.append(trade)
        if state.raw and trade.raw is not None:
            journal.append(_raw_message(trade))
        if state.candles is not None:
            candles: list[Candle] = []
            state.candles.add(trade, candles)
            if candles:
                journal += candles
                out.live += candles

    def _shed_trade(self, state: StreamState, trade: Trade) -> None:
        """Give *trade* out live at most once, now or when it is fetched for its gap.

        Nothing is known here of what is missing, so one that comes out of order
        counts as told.
        """
        self._shed += 1
        self.ledger.shed(trade.stream, self._now_ns)
        if state.channel.continuity is not Continuity.NONE:
            high_water = self.ledger.high_water(trade.stream)
            known = state.told_to if high_water is None else high_water
            if trade.last_id <= max(known, state.told_to):
                return
            if state.told_to < state.told_from:
                state.told_from = trade.first_id
            state.told_to = trade.last_id
        self._out.live.append(trade)

    def _event(self, event: Any) -> None:
        state = self.streams.get(event.stream)
        if state is None:
            self.unknown += 1
            return
        state.received += 1
        out = self._out
        if self.shedding:
            self._shed += 1
            self.ledger.shed(event.stream, self._now_ns)
            out.live.append(event)
            return
        if not state.take(event, self._now_ns, out.journal):
            return
        state.accepted += 1
        state.last = event
        out.journal.append(event)
        out.live.append(event)
        if state.raw and event.raw is not None:
            out.journal.append(_raw_message(event))

    def _book_event(self, event: BookEvent) -> None:
        state = self.streams.get(event.stream)
        if state is None:
            self.unknown += 1
        else:
            self._desk.take(state, event)

    def _sourced(self, item: Sourced) -> None:
        """An event of a stream that several connections carry: first in wins."""
        event: Any = item.event
        state = self.streams.get(event.stream)
        handler = self._handlers.get(type(event), self._other)
        if state is None:
            handler(event)
        elif state.book is not None:
            self._desk.take(state, event, item.connection)
        else:
            repeats = state.repeats
            if repeats is None:
                repeats = state.repeats = Repeats(state.last)
            if repeats.is_repeat(event, item.connection):
                state.received += 1
            else:
                handler(event)

    def _opened(self, mark: StreamOpened) -> None:
        state = self.streams.get(mark.subscription)
        if state is not None:
            state.sources.add(mark.connection)
            self.ledger.opened(mark.subscription, mark.at_ns)
            self._desk.opened(state, mark.connection)
            if state.candles is not None and not self.shedding:
                state.candles.live(mark.at_ns)

    def _lost(self, mark: StreamLost) -> None:
        state = self.streams.get(mark.subscription)
        if state is not None:
            self._leave(state, (mark.connection,), mark.cause, mark.at_ns)

    def _missed(self, mark: StreamMissed) -> None:
        state = self.streams.get(mark.subscription)
        if state is None:
            return
        if state.book is not None:
            self._desk.missed(state, mark.connection)
        else:
            # Another connection may have lost the same: what it is, nobody knows.
            self.ledger.lost(mark.subscription, SEQUENCE, mark.at_ns)

    def _frame_lost(self, mark: FrameLost) -> None:
        """It may have been of any stream of its connection, but of those that tell."""
        for state in self._unproven:
            if mark.connection in state.sources:
                self.ledger.lost(state.subscription, QUARANTINE, mark.at_ns)

    def _dropped(self, mark: StreamDropped) -> None:
        state = self.streams.get(mark.subscription)
        if state is None:
            return
        wanted = self.cause_of_drop(mark.subscription)
        cause = wanted or "dropped"
        self._leave(state, mark.connections, cause, mark.at_ns)
        if state.sources:
            # Another collector's connection carries it on.
            return
        self._lose(state, cause, mark.at_ns)
        if not wanted:
            self.ledger.dropped(mark.subscription, mark.at_ns, self._out.journal)
        self._out.ended = True

    def _leave(
        self, state: StreamState, connections: Collection[int], cause: str, at_ns: int
    ) -> None:
        """Some *connections* carry a stream no more."""
        for connection in connections:
            if connection not in state.sources:
                continue
            state.sources.remove(connection)
            if state.repeats is not None:
                state.repeats.forget(connection)
            if state.book is not None:
                self._desk.gone(state, connection, cause, at_ns)
        if not state.sources:
            self._lose(state, cause, at_ns)

    def _lose(self, state: StreamState, cause: str, at_ns: int) -> None:
        """Nothing carries a stream any more."""
        self.ledger.lost(state.subscription, cause, at_ns)
        if state.candles is not None:
            state.candles.not_live()
        if state.book is not None:
            state.book.invalidate(cause)

    def _failed(self, item: Item) -> None:
        """Count and log an item that raised; what is known of it is a gap."""
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:
            logger.exception(
                "a %s could not be handled (%d so far)",
                type(item).__name__,
                self.failures,
            )
        if isinstance(item, Trade) and item.stream in self.streams:
            self.ledger.quarantined(
                item.stream,
                item.first_id,
                item.last_id,
                self._now_ns,
                self._out.journal,
            )
        elif getattr(item, "stream", None) in self.streams:
            self.ledger.lost(item.stream, QUARANTINE, self._now_ns)  # type: ignore[union-attr]

    def _malformed(self, mark: Malformed) -> None:
        stream = mark.subscription
        if stream is None or stream not in self.streams:
            return
        if self.shedding:
            # As anything else that came: the gap will hold it.
            self.ledger.shed(stream, self._now_ns)
        else:
            self.ledger.quarantined(
                stream,
                mark.first_id,
                mark.last_id,
                self._now_ns,
                self._out.journal,
            )

    def _raw(self, mark: RawMessage) -> None:
        if self.shedding:
            self._shed += 1
        else:
            self._out.journal.append(mark)

    def _ignore(self, mark: object) -> None:
        """Rejections are the link's to report; the pipeline holds nothing of them."""

    def _other(self, item: Item) -> None:
        if not isinstance(item, MarketDataPoint):
            raise DataValidationError(
                f"expected an event or a mark, found {type(item).__name__}"
            )
        self._out.live.append(item)
        if self.shedding:
            self._shed += 1
        else:
            self._out.journal.append(item)


def _taking_gaps(
    take: Callable[[Any, int, list[Record]], bool], candles: CandleAggregator
) -> Callable[[Any, int, list[Record]], bool]:
    """*take*, which also tells *candles* of gaps that their ids do not show."""

    def take_and_tell(event: Any, now_ns: int, out: list[Record]) -> bool:
        before = len(out)
        kept = take(event, now_ns, out)
        for record in out[before:]:
            if isinstance(record, Gap):
                from_ns, to_ns = record.from_ns, record.to_ns
                if from_ns is not None and to_ns is not None:
                    candles.interrupted(from_ns, to_ns)
        return kept

    return take_and_tell


def _raw_message(event: Any) -> RawMessage:
    raw = event.raw
    text = raw if isinstance(raw, str) else _encode_raw(raw).decode()
    return RawMessage(event.stream, event.received_ns, text)
