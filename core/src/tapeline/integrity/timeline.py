"""Continuity of streams whose ids do not step by one, or that have none."""

from __future__ import annotations

from tapeline.integrity.continuity import QUARANTINE
from tapeline.integrity.counters import ContinuityCounters
from tapeline.integrity.gap_ids import GapIds
from tapeline.integrity.states import ContinuityState
from tapeline.model import (
    UNRECOVERABLE,
    Gap,
    MarketDataPoint,
    Record,
    Subscription,
    Trade,
    ns_from_datetime,
)


class TimeContinuity:
    """Tells by time where data may be missing: after each known loss.

    Args:
        stream: tickers, books, candles, balances, or trades with irregular ids.
        rising_ids: drop trades whose ids do not rise.
    """

    __slots__ = (
        "_cause",
        "_fresh",
        "_gap_ids",
        "_high",
        "_last",
        "_last_ns",
        "_rising_ids",
        "counters",
        "epoch",
        "seen_ns",
        "stream",
    )

    def __init__(
        self, stream: Subscription, gap_ids: GapIds, *, rising_ids: bool = False
    ) -> None:
        self.stream = stream
        self.counters = ContinuityCounters()
        self.epoch = 0
        self.seen_ns: int | None = None
        self._gap_ids = gap_ids
        self._rising_ids = rising_ids
        # Why the next event has to be looked at; None while all is well.
        self._cause: str | None = None
        self._fresh = False
        self._high: int | None = None
        # The last event instead of its time, which most streams never need.
        self._last: MarketDataPoint | None = None
        self._last_ns: int | None = None

    # hot path
    def take(self, event: MarketDataPoint, now_ns: int, out: list[Record]) -> bool:
        """True when *event* is to be kept; *out* gets what must stand before it."""
        if self._rising_ids and not self._rises(event):
            return False
        if self._cause is not None or self._fresh:
            self._resume(event, now_ns, out)
        self._last = event
        self.seen_ns = now_ns
        return True

    def lost(self, cause: str, now_ns: int) -> None:
        """From here to the next event data may be missing, for *cause*."""
        if self._cause is None and self.seen_ns is not None and not self._fresh:
            self._cause = cause

    def ended(self) -> None:
        """Coverage ends here on purpose; what comes later begins a new one."""
        self._cause = None
        self._fresh = True

    def advance(self, now_ns: int, out: list[Record]) -> None:
        """Nothing waits here."""

    def settle(self, now_ns: int, out: list[Record]) -> None:
        """Nothing waits here."""

    def quarantined(
        self,
        first_id: int | None,
        last_id: int | None,
        now_ns: int,
        out: list[Record],
    ) -> None:
        """Something for this stream could not be read: a gap up to the next event."""
        self.counters.quarantined += 1
        self.lost(QUARANTINE, now_ns)

    def resolve(
        self, gap_id: int, state: str, cause: str | None, out: list[Record]
    ) -> bool:
        """False: gaps by time are unrecoverable from the start."""
        return False

    @property
    def high_water(self) -> int | None:
        """Highest trade id, where ids rise."""
        return self._high

    @property
    def is_lost(self) -> bool:
        """Whether the next event brings a gap."""
        return self._cause is not None

    @property
    def pending(self) -> list[tuple[int, int]]:
        """Nothing waits here."""
        return []

    def covered(self) -> tuple[int | None, int | None]:
        """Ids prove nothing here."""
        return None, None

    def covered_until_ns(self) -> int | None:
        """Our clock at the last event."""
        return None if self._fresh else self.seen_ns

    def open_gaps(self) -> list[Gap]:
        """None: gaps by time are unrecoverable from the start."""
        return []

    @property
    def gaps_open(self) -> int:
        """None, as ``open_gaps``."""
        return 0

    def state(self) -> ContinuityState:
        """All that is needed to go on, for a checkpoint."""
        return ContinuityState(
            self.seen_ns,
            self._high,
            None,
            self._seen_exchange_ns(),
            self._cause,
            self._fresh,
        )

    def restore(self, state: ContinuityState) -> None:
        """Go on from *state*; what this object knew is forgotten."""
        self.seen_ns = state.seen_ns
        self._high = state.high
        self._last = None
        self._last_ns = state.last_ns
        self._cause, self._fresh = state.lost, state.fresh

    def fold(self, record: Record) -> None:
        """Learn from *record* of the journal, which was written after the state."""
        if isinstance(record, Gap):
            self._cause = None if not record.for_sink else self._cause
        elif isinstance(record, MarketDataPoint):
            if isinstance(record, Trade) and self._rising_ids:
                self._high = max(record.last_id, self._high or record.last_id)
            self._last = record
            self._fresh = False
            self.seen_ns = getattr(record, "received_ns", None) or exchange_ns(record)

    def _rises(self, event: MarketDataPoint) -> bool:
        if not isinstance(event, Trade):
            return True
        if self._high is not None and event.first_id <= self._high:
            if event.last_id > self._high:
                self.counters.overlaps += 1
            else:
                self.counters.duplicates += 1
            return False
        self._high = event.last_id
        return True

    def _resume(self, event: MarketDataPoint, now_ns: int, out: list[Record]) -> None:
        """Come back from a loss, with a row, or from an end, without one."""
        cause, self._cause = self._cause, None
        self._fresh = False
        if cause is None:
            return
        self.counters.gaps_opened += 1
        self.counters.gaps_unrecoverable += 1
        out.append(
            Gap(
                self.stream,
                self._gap_ids.next(),
                0,
                None,
                None,
                self._seen_exchange_ns(),
                exchange_ns(event),
                cause,
                now_ns,
                UNRECOVERABLE,
            )
        )

    def _seen_exchange_ns(self) -> int | None:
        return self._last_ns if self._last is None else exchange_ns(self._last)


def exchange_ns(event: MarketDataPoint) -> int:
    """Exchange time of *event*; plain points tell it only as a datetime."""
    at = getattr(event, "exchange_ns", None)
    return at if isinstance(at, int) else ns_from_datetime(event.timestamp)
