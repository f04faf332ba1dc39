"""The book of one instrument: who follows it, and what it was a moment ago."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Protocol

import attrs

from tapeline.testing.book import ASK, BID
from tapeline_binance.simulator_wire import BinanceInstrument

Lots = dict[int, int]
"""Tick → lots."""


class Follower(Protocol):
    """Something that publishes changes of a book."""

    def note(self, asks: Collection[int], bids: Collection[int]) -> None:
        """These ticks have changed."""


@attrs.frozen
class _Before:
    """What a step replaced: 0 lots where there was no level."""

    at_ns: int
    update_id: int
    asks: Mapping[int, int]
    bids: Mapping[int, int]


class FollowedBook:
    """Hands changes on, and remembers enough to show the book of the past.

    Args:
        keep_ns: how far back ``snapshot`` can look; 0 only knows the present.
    """

    def __init__(self, instrument: BinanceInstrument, keep_ns: int) -> None:
        self.instrument = instrument
        self.followers: dict[Follower, None] = {}
        self._book = instrument.feed.book
        self._keep_ns = keep_ns
        self._past: deque[_Before] = deque()
        self._asks: Lots = {}
        self._bids: Lots = {}
        if keep_ns:
            self._book.tracking = True
            self._asks = {tick: lots for tick, (lots, _) in self._book.asks.items()}
            self._bids = {tick: lots for tick, (lots, _) in self._book.bids.items()}

    def follow(self, follower: Follower) -> None:
        """Tell *follower* of every change from now on."""
        if not self._book.tracking:
            self._book.take_changes()
            self._book.tracking = True
        self.followers[follower] = None

    def leave(self, follower: Follower) -> None:
        """Tell *follower* no more; safe when it did not follow."""
        self.followers.pop(follower, None)
        if not self.followers and not self._keep_ns:
            self._book.tracking = False

    def step(self, update_id: int, now_ns: int) -> None:
        """The book has moved.

        Args:
            update_id: of the book before it moved.
        """
        if not self._book.tracking:
            return
        asks, bids = self._book.take_changes()
        for follower in self.followers:
            follower.note(asks, bids)
        if self._keep_ns:
            before = _Before(
                now_ns, update_id, _swap(self._asks, asks), _swap(self._bids, bids)
            )
            self._past.append(before)
            while self._past[0].at_ns < now_ns - self._keep_ns:
                self._past.popleft()

    def snapshot(
        self, limit: int, as_of_ns: int
    ) -> tuple[int, list[list[str]], list[list[str]]]:
        """Update id, bids and asks, best first, as they were at *as_of_ns*."""
        instrument = self.instrument
        behind = [before for before in self._past if before.at_ns > as_of_ns]
        if not behind:
            bids, asks = instrument.top(BID, limit), instrument.top(ASK, limit)
            return instrument.update_id, bids, asks
        past_asks, past_bids = dict(self._asks), dict(self._bids)
        for before in reversed(behind):
            past_asks.update(before.asks)
            past_bids.update(before.bids)
        asks_then = sorted((tick, lots) for tick, lots in past_asks.items() if lots)
        bids_then = sorted(
            ((tick, lots) for tick, lots in past_bids.items() if lots), reverse=True
        )
        return (
            behind[0].update_id,
            instrument.levels(bids_then[:limit]),
            instrument.levels(asks_then[:limit]),
        )


def _swap(kept: Lots, changes: Mapping[int, tuple[int, int]]) -> Mapping[int, int]:
    """Apply *changes* to *kept*; gives what was there before."""
    before = {}
    for tick, (lots, _) in changes.items():
        before[tick] = kept.get(tick, 0)
        if lots:
            kept[tick] = lots
        else:
            kept.pop(tick, None)
    return before
