"""Continuity of streams whose ids do not step by one, or that have none."""

from __future__ import annotations

from tapeline.integrity.continuity import ID_RESET, QUARANTINE
from tapeline.integrity.counters import ContinuityCounters
from tapeline.integrity.gap_ids import GapIds
from tapeline.integrity.recent import RecentIds
from tapeline.integrity.resets import ResetWatch
from tapeline.integrity.settings import IntegritySettings
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

OVERLAP = "overlap"
"""Cause of a gap: a trade of several ids, some of which are stored in others."""


class TimeContinuity:
    """Tells by time where data may be missing: after each known loss.

    Args:
        stream: tickers, books, candles, balances, or trades with irregular ids.
        rising_ids: ids tell what is a repeat, and what only came late.
    """

    __slots__ = (
        "_cause",
        "_fresh",
        "_gap_ids",
        "_last",
        "_last_ns",
        "_numbering",
        "_recent",
        "_resets",
        "_settings",
        "counters",
        "epoch",
        "seen_ns",
        "stream",
    )

    def __init__(
        self,
        stream: Subscription,
        gap_ids: GapIds,
        settings: IntegritySettings | None = None,
        *,
        rising_ids: bool = False,
    ) -> None:
        self.stream = stream
        self.counters = ContinuityCounters()
        self.epoch = 0
        self.seen_ns: int | None = None
        self._gap_ids = gap_ids
        self._settings = settings = settings or IntegritySettings()
        self._recent = RecentIds(settings.recent_runs) if rising_ids else None
        self._resets = ResetWatch(settings)
        # Whether there may be something for it to forget.
        self._numbering = False
        # Why the next event has to be looked at; None while all is well.
        self._cause: str | None = None
        self._fresh = False
        # The last event instead of its time, which most streams never need.
        self._last: MarketDataPoint | None = None
        self._last_ns: int | None = None

    # hot path
    def take(self, event: MarketDataPoint, now_ns: int, out: list[Record]) -> bool:
        """True when *event* is to be kept; *out* gets what must stand before it."""
        recent = self._recent
        if recent is not None and isinstance(event, Trade):
            if not recent.follow(event.first_id, event.last_id):
                return self._is_late(event, recent, now_ns, out)
            if self._numbering:
                self._numbering = False
                self._resets.forget()
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
        return None if self._recent is None else self._recent.high

    @property
    def is_renumbered(self) -> bool:
        """Whether the venue counts anew, so that nothing it sends is taken."""
        return self._resets.proven

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
            self.high_water,
            None,
            self._seen_exchange_ns(),
            self._cause,
            self._fresh,
        )

    def restore(self, state: ContinuityState) -> None:
        """Go on from *state*; what this object knew is forgotten."""
        self.seen_ns = state.seen_ns
        if self._recent is not None:
            self._recent.begin_at(state.high)
        self._last = None
        self._last_ns = state.last_ns
        self._cause, self._fresh = state.lost, state.fresh

    def fold(self, record: Record) -> None:
        """Learn from *record* of the journal, which was written after the state."""
        if isinstance(record, Gap):
            self._fold_gap(record)
        elif isinstance(record, MarketDataPoint):
            self.seen_ns = getattr(record, "received_ns", None) or exchange_ns(record)
            if isinstance(record, Trade) and self._recent is not None:
                high = self._recent.high
                self._recent.add(record.first_id, record.last_id)
                if high is not None and record.first_id <= high:
                    return
            self._last = record
            self._fresh = False

    def _fold_gap(self, gap: Gap) -> None:
        if gap.for_sink or gap.cause == OVERLAP:
            return
        self._cause = None
        if gap.cause == ID_RESET and self._settings.accept_resets:
            self.restore(ContinuityState())

    def _is_late(
        self, event: Trade, recent: RecentIds, now_ns: int, out: list[Record]
    ) -> bool:
        """Whether *event*, which does not follow, is new all the same.

        It tells nothing of a loss: that ends with what comes after it.
        """
        first, last = event.first_id, event.last_id
        if last < first:
            self.counters.invalid += 1
            return False
        if self._resets.is_new(event, self._seen_exchange_ns()):
            self._numbering = True
            if self._resets.proves_reset(event) and self._renumber(event, now_ns, out):
                return True
            if self._resets.proven:
                self.counters.out_of_order += 1
                return False
        known = recent.count(first, last)
        if not known:
            recent.add(first, last)
            self.seen_ns = now_ns
            return True
        if known == last - first + 1:
            self.counters.duplicates += 1
            return False
        # Part of it is stored: keeping it would store that part twice.
        self.counters.overlaps += 1
        self._write_off(event.exchange_ns, event.exchange_ns, OVERLAP, now_ns, out)
        return False

    def _renumber(self, trade: Trade, now_ns: int, out: list[Record]) -> bool:
        """The venue began to count anew; whether that is followed from *trade* on."""
        accept = self._settings.accept_resets
        to_ns = trade.exchange_ns if accept else None
        self._write_off(self._seen_exchange_ns(), to_ns, ID_RESET, now_ns, out)
        if not accept or self._recent is None:
            return False
        self.epoch += 1
        self._cause, self._fresh = None, False
        self._recent.begin_at(None)
        self._recent.add(trade.first_id, trade.last_id)
        self._resets.forget()
        self._last = trade
        self.seen_ns = now_ns
        return True

    def _write_off(
        self,
        from_ns: int | None,
        to_ns: int | None,
        cause: str,
        now_ns: int,
        out: list[Record],
    ) -> None:
        """Write a gap by time, which nothing can fill."""
        self.counters.gaps_opened += 1
        self.counters.gaps_unrecoverable += 1
        out.append(
            Gap(
                self.stream,
                self._gap_ids.next(),
                0,
                None,
                None,
                from_ns,
                to_ns,
                cause,
                now_ns,
                UNRECOVERABLE,
            )
        )

    def _resume(self, event: MarketDataPoint, now_ns: int, out: list[Record]) -> None:
        """Come back from a loss, with a row, or from an end, without one."""
        cause, self._cause = self._cause, None
        self._fresh = False
        if cause is None:
            return
        self._write_off(
            self._seen_exchange_ns(), exchange_ns(event), cause, now_ns, out
        )

    def _seen_exchange_ns(self) -> int | None:
        return self._last_ns if self._last is None else exchange_ns(self._last)


def exchange_ns(event: MarketDataPoint) -> int:
    """Exchange time of *event*; plain points tell it only as a datetime."""
    at = getattr(event, "exchange_ns", None)
    return at if isinstance(at, int) else ns_from_datetime(event.timestamp)
