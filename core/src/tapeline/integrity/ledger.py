"""The ledger of all streams: what is stored, what is missing, what is covered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs
import msgspec

from tapeline.errors import JournalError
from tapeline.integrity.continuity import TradeContinuity
from tapeline.integrity.counters import ContinuityCounters, StreamStatistics
from tapeline.integrity.gap_ids import GapIds
from tapeline.integrity.settings import IntegritySettings
from tapeline.integrity.states import (
    VERSION,
    ContinuityState,
    LedgerState,
    StreamState,
    fields_of,
)
from tapeline.integrity.timeline import TimeContinuity
from tapeline.model import (
    FROM_VENUE,
    UNRECOVERABLE,
    Candle,
    Continuity,
    Coverage,
    Gap,
    MarketDataPoint,
    RawMessage,
    Record,
    Subscription,
    Trade,
)

SHED = "shed"

Taker = Callable[[Trade, int, list[Record]], bool]
"""``(event, now_ns, out) → keep it?``, bound to one stream."""


class StreamContinuity(Protocol):
    """What the ledger needs of a ``TradeContinuity`` or ``TimeContinuity``."""

    counters: ContinuityCounters
    epoch: int
    seen_ns: int | None

    def lost(self, cause: str, now_ns: int) -> None: ...
    def ended(self) -> None: ...
    def advance(self, now_ns: int, out: list[Record]) -> None: ...
    def settle(self, now_ns: int, out: list[Record]) -> None: ...
    def quarantined(
        self,
        first_id: int | None,
        last_id: int | None,
        now_ns: int,
        out: list[Record],
    ) -> None: ...
    def resolve(
        self, gap_id: int, state: str, cause: str | None, out: list[Record]
    ) -> bool: ...
    @property
    def high_water(self) -> int | None: ...
    @property
    def is_renumbered(self) -> bool: ...
    @property
    def pending(self) -> list[tuple[int, int]]: ...
    def covered(self) -> tuple[int | None, int | None]: ...
    def covered_until_ns(self) -> int | None: ...
    def open_gaps(self) -> list[Gap]: ...
    @property
    def gaps_open(self) -> int: ...
    def state(self) -> ContinuityState: ...
    def restore(self, state: ContinuityState) -> None: ...
    def fold(self, record: Record) -> None: ...


@attrs.define(eq=False)
class _Stream:
    """One stream of the ledger; *written* is its coverage row as last given out."""

    continuity_class: Continuity
    continuity: StreamContinuity
    taker: Taker
    started_ns: int | None = None
    last_started_ns: int = -1
    written: Coverage | None = None
    epoch: int = 0


class StreamLedger:
    """Continuity and coverage of every stream of a process; no clock, no I/O.

    All ``now_ns`` are our wall clock, nanoseconds UTC. Facts go to the *out* of
    the call, in the order in which they must be written.
    """

    def __init__(self, settings: IntegritySettings, gap_ids: GapIds) -> None:
        self._settings = settings
        self._gap_ids = gap_ids
        self._streams: dict[Subscription, _Stream] = {}
        self._refresh_at_ns = 0

    def register(self, subscription: Subscription, continuity: Continuity) -> None:
        """Follow *subscription*; nothing when it is followed already.

        A stream that was restored with another class keeps what fits the new one.
        """
        known = self._streams.get(subscription)
        if known is not None and known.continuity_class is continuity:
            return
        made = self._make(subscription, continuity)
        if known is not None:
            made.started_ns = known.started_ns
            made.last_started_ns = known.last_started_ns
            made.continuity.restore(known.continuity.state())
        self._streams[subscription] = made

    def streams(self) -> Sequence[Subscription]:
        """Everything registered or restored, in that order."""
        return tuple(self._streams)

    def opened(self, subscription: Subscription, now_ns: int) -> None:
        """The venue sends *subscription* from now on; coverage begins here."""
        stream = self._streams[subscription]
        if stream.started_ns is None:
            stream.started_ns = max(now_ns, stream.last_started_ns + 1)
            stream.last_started_ns = stream.started_ns

    def lost(self, subscription: Subscription, cause: str, now_ns: int) -> None:
        """From now on data of *subscription* may be missing, for *cause*."""
        stream = self._streams[subscription]
        if stream.continuity.seen_ns is None:
            # Nothing was ever seen, so there is nothing to be continuous with.
            stream.started_ns = None
        stream.continuity.lost(cause, now_ns)

    def shed(self, subscription: Subscription, now_ns: int) -> None:
        """We threw data of *subscription* away ourselves."""
        self.lost(subscription, SHED, now_ns)

    def dropped(
        self, subscription: Subscription, now_ns: int, out: list[Record]
    ) -> None:
        """*subscription* is not wanted any more; its coverage ends."""
        stream = self._streams[subscription]
        stream.continuity.settle(now_ns, out)
        self._cover(subscription, stream, out)
        stream.continuity.ended()
        stream.started_ns = None
        stream.written = None

    def is_over(self, subscription: Subscription) -> bool:
        """Whether *subscription* was dropped, and nothing of it has come since."""
        stream = self._streams.get(subscription)
        return stream is not None and stream.continuity.state().fresh

    def forget(
        self, subscription: Subscription, now_ns: int, out: list[Record]
    ) -> None:
        """Nobody will follow *subscription* again: what it misses is given up."""
        stream = self._streams.pop(subscription, None)
        if stream is None:
            return
        stream.continuity.settle(now_ns, out)
        for gap in stream.continuity.open_gaps():
            stream.continuity.resolve(gap.gap_id, UNRECOVERABLE, None, out)

    def quarantined(
        self,
        subscription: Subscription,
        first_id: int | None,
        last_id: int | None,
        now_ns: int,
        out: list[Record],
    ) -> None:
        """Something for *subscription* could not be read; ids where known."""
        stream = self._streams[subscription]
        stream.continuity.quarantined(first_id, last_id, now_ns, out)

    def take(self, event: MarketDataPoint, now_ns: int, out: list[Record]) -> bool:
        """True when *event* is to be kept; append it after what *out* got.

        Events of streams that were never registered are kept unchecked.
        """
        stream = self._streams.get(event.stream)  # type: ignore[attr-defined]
        if stream is None:
            return True
        return stream.taker(event, now_ns, out)  # type: ignore[arg-type]

    def taker(self, subscription: Subscription) -> Taker:
        """``take`` of one stream, without the look-up; for the hot path."""
        return self._streams[subscription].taker

    def advance(self, now_ns: int, out: list[Record]) -> None:
        """Let graces end, and write coverage when it is time; call often."""
        for stream in self._streams.values():
            stream.continuity.advance(now_ns, out)
        interval = self._settings.coverage_interval_ns
        if self._refresh_at_ns - interval <= now_ns < self._refresh_at_ns:
            return
        self._refresh_at_ns = now_ns + interval
        for subscription, stream in self._streams.items():
            self._cover(subscription, stream, out)

    def settle(self, now_ns: int, out: list[Record]) -> None:
        """Make gaps of all holes now, without waiting for late trades."""
        for stream in self._streams.values():
            stream.continuity.settle(now_ns, out)

    def close(self, now_ns: int, out: list[Record]) -> None:
        """The process stops: holes become gaps, coverage is written."""
        for subscription, stream in self._streams.items():
            stream.continuity.settle(now_ns, out)
            self._cover(subscription, stream, out)

    def resolve(
        self,
        subscription: Subscription,
        gap_id: int,
        state: str,
        out: list[Record],
        cause: str | None = None,
    ) -> bool:
        """Revise a gap: ``backfilling``, ``closed`` as never issued, given up.

        Returns:
            False when no open gap of *subscription* has that id.
        """
        stream = self._streams[subscription]
        return stream.continuity.resolve(gap_id, state, cause, out)

    def abandon(self, cause: str | None, now_ns: int, out: list[Record]) -> None:
        """Give all open gaps up; *cause* replaces theirs when it is given."""
        for stream in self._streams.values():
            stream.continuity.settle(now_ns, out)
            for gap in stream.continuity.open_gaps():
                stream.continuity.resolve(gap.gap_id, UNRECOVERABLE, cause, out)

    def open_gaps(self) -> list[Gap]:
        """The rows of all gaps that are neither closed nor given up, by id."""
        gaps = [
            gap
            for stream in self._streams.values()
            for gap in stream.continuity.open_gaps()
        ]
        return sorted(gaps, key=lambda gap: gap.gap_id)

    def open_gaps_of(self, subscription: Subscription) -> list[Gap]:
        """The open gaps of one stream, by id of what is missing; none if unknown."""
        stream = self._streams.get(subscription)
        return [] if stream is None else stream.continuity.open_gaps()

    def high_water(self, subscription: Subscription) -> int | None:
        """Highest id of one stream that is known to exist."""
        stream = self._streams.get(subscription)
        return None if stream is None else stream.continuity.high_water

    def renumbered(self) -> list[Subscription]:
        """Streams of which nothing is taken, as the venue numbers them afresh."""
        return [
            subscription
            for subscription, stream in self._streams.items()
            if stream.continuity.is_renumbered
        ]

    def statistics(self) -> dict[Subscription, StreamStatistics]:
        """What is known and was counted, per stream."""
        return {
            subscription: StreamStatistics.of(
                stream.continuity.counters,
                stream.continuity.high_water,
                stream.continuity.gaps_open,
                len(stream.continuity.pending),
            )
            for subscription, stream in self._streams.items()
        }

    def snapshot(self) -> bytes:
        """Everything needed to go on after a restart."""
        streams: list[StreamState] = []
        for subscription, stream in self._streams.items():
            state = stream.continuity.state()
            if state.fresh and not state.holes:
                # Dropped, with nothing missing: a restart need not know of it.
                continue
            streams.append(
                StreamState(
                    fields_of(subscription),
                    stream.continuity_class.value,
                    stream.started_ns,
                    state,
                )
            )
        return msgspec.msgpack.encode(LedgerState(VERSION, self._gap_ids.last, streams))

    def restore(self, data: bytes) -> None:
        """Go on from a ``snapshot``, which also registers its streams.

        Raises:
            JournalError: *data* is not a snapshot of this version; nothing changed.
        """
        try:
            state = msgspec.msgpack.decode(data, type=LedgerState)
            if state.version != VERSION:
                raise JournalError(
                    f"expected an integrity checkpoint of version {VERSION}, found "
                    f"{state.version}; it is skipped and the journal is read instead"
                )
            restored = [
                (Subscription(*one.subscription), Continuity(one.continuity_class), one)
                for one in state.streams
            ]
        except (msgspec.MsgspecError, ValueError) as error:
            raise JournalError(
                f"expected an integrity checkpoint, found {len(data)} bytes that "
                f"cannot be read ({error}); the journal is read instead"
            ) from error
        self._gap_ids.seen(state.gap_floor)
        for subscription, continuity, one in restored:
            stream = self._make(subscription, continuity)
            stream.continuity.restore(one.continuity)
            stream.started_ns = one.started_ns
            stream.last_started_ns = one.started_ns or 0
            self._streams[subscription] = stream

    def refold(self, records: Iterable[Record]) -> None:
        """Learn from journal rows that are younger than the snapshot, silently.

        Streams that no snapshot knows are followed from here on, too.
        """
        for record in records:
            if isinstance(record, Candle) and record.source != FROM_VENUE:
                # Its stream is that of the trades it was made from.
                continue
            subscription = getattr(record, "stream", None)
            if isinstance(record, RawMessage) or subscription is None:
                continue
            stream = self._streams.get(subscription)
            if stream is None:
                stream = self._make(subscription, _likely_class(record))
                self._streams[subscription] = stream
            if isinstance(record, Gap):
                self._gap_ids.seen(record.gap_id)
            elif isinstance(record, Coverage):
                stream.started_ns = record.started_ns
                stream.last_started_ns = record.started_ns
                stream.written = record
            stream.continuity.fold(record)

    def _make(self, subscription: Subscription, continuity: Continuity) -> _Stream:
        if continuity is Continuity.CONTIGUOUS:
            by_id = TradeContinuity(subscription, self._gap_ids, self._settings)
            return _Stream(continuity, by_id, by_id.take)
        by_time = TimeContinuity(
            subscription,
            self._gap_ids,
            self._settings,
            rising_ids=continuity is Continuity.MONOTONIC,
        )
        return _Stream(continuity, by_time, by_time.take)

    def _cover(
        self, subscription: Subscription, stream: _Stream, out: list[Record]
    ) -> None:
        """Write the coverage of *stream* when it changed."""
        continuity = stream.continuity
        ended_ns = continuity.covered_until_ns()
        if ended_ns is None:
            return
        if stream.started_ns is None or stream.epoch != continuity.epoch:
            # Nobody said when it began: it is followed at least from here on.
            stream.epoch = continuity.epoch
            stream.started_ns = max(ended_ns, stream.last_started_ns + 1)
            stream.last_started_ns = stream.started_ns
        first_id, last_id = continuity.covered()
        if first_id is not None and last_id is not None and last_id < first_id:
            first_id = last_id = None
        row = Coverage(
            subscription,
            stream.started_ns,
            max(ended_ns, stream.started_ns),
            first_id,
            last_id,
        )
        if row != stream.written:
            stream.written = row
            out.append(row)


def _likely_class(record: Record) -> Continuity:
    """The class of a stream of which only a journal row is known."""
    by_id = (
        isinstance(record, Trade)
        or (isinstance(record, Gap) and record.from_id is not None)
        or (isinstance(record, Coverage) and record.first_id is not None)
    )
    return Continuity.CONTIGUOUS if by_id else Continuity.NONE
