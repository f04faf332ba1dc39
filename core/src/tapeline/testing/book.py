"""The order book of a simulated instrument: whole ticks and lots, never crossed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

ASK = "ask"
BID = "bid"


class SimBook:
    """*depth* levels a side without holes, kept beside the last price.

    A level is ``(lots, orders)``. With ``tracking`` on, ``changes`` collects the
    ticks that differ since ``take_changes``.
    """

    __slots__ = (
        "_mean_lots",
        "_random",
        "asks",
        "best_ask",
        "best_bid",
        "bids",
        "changed_asks",
        "changed_bids",
        "depth",
        "tracking",
    )

    def __init__(
        self, rng: random.Random, ask_tick: int, depth: int, mean_lots: int
    ) -> None:
        self.depth = depth
        self.tracking = False
        self.best_ask = ask_tick
        self.best_bid = ask_tick - 1
        self.changed_asks: set[int] = set()
        self.changed_bids: set[int] = set()
        self._random = rng.random
        self._mean_lots = mean_lots
        self.asks = {ask_tick + i: self._level() for i in range(depth)}
        self.bids = {ask_tick - 1 - i: self._level() for i in range(depth)}

    def _level(self) -> tuple[int, int]:
        draw = self._random()
        return 2 + int(draw * draw * 3 * self._mean_lots), 1 + int(draw * 20)

    def take(self, side: str, share: float) -> tuple[int, int]:
        """A taker on *side* takes *share* of the best opposite level.

        Returns:
            tick and lots; the level is gone when *share* is 1.
        """
        if side == "buy":
            tick, levels, changed = self.best_ask, self.asks, self.changed_asks
        else:
            tick, levels, changed = self.best_bid, self.bids, self.changed_bids
        lots, orders = levels[tick]
        if share >= 1.0:
            if side == "buy":
                self._move_ask(tick + 1)
            else:
                self._move_bid(tick - 1)
            return tick, lots
        taken = max(1, int(lots * share))
        if taken >= lots:
            lots += taken
        levels[tick] = (lots - taken, max(1, orders - 1))
        if self.tracking:
            changed.add(tick)
        return tick, taken

    def requote(self, ask_tick: int, spread: int) -> None:
        """Makers move: the best ask to *ask_tick*, the best bid *spread* below."""
        bid_tick = ask_tick - spread
        # Out of the way first, so that the sides never touch in between.
        if ask_tick >= self.best_ask:
            self._move_ask(ask_tick)
            self._move_bid(bid_tick)
        else:
            self._move_bid(bid_tick)
            self._move_ask(ask_tick)

    def refresh(self, side: str, distance: int) -> None:
        """A maker changes the level *distance* ticks behind the best of *side*."""
        if side == ASK:
            tick, levels, changed = (
                self.best_ask + distance,
                self.asks,
                self.changed_asks,
            )
        else:
            tick, levels, changed = (
                self.best_bid - distance,
                self.bids,
                self.changed_bids,
            )
        levels[tick] = self._level()
        if self.tracking:
            changed.add(tick)

    def top(self, side: str, count: int) -> Iterator[tuple[int, int, int]]:
        """``(tick, lots, orders)`` of the best *count* levels, best first."""
        count = min(count, self.depth)
        if side == ASK:
            ticks, levels = range(self.best_ask, self.best_ask + count), self.asks
        else:
            ticks, levels = range(self.best_bid, self.best_bid - count, -1), self.bids
        for tick in ticks:
            lots, orders = levels[tick]
            yield tick, lots, orders

    def take_changes(
        self,
    ) -> tuple[Mapping[int, tuple[int, int]], Mapping[int, tuple[int, int]]]:
        """Changed levels since the last call, asks and bids; ``(0, 0)`` is gone."""
        asks = {tick: self.asks.get(tick, (0, 0)) for tick in sorted(self.changed_asks)}
        bids = {
            tick: self.bids.get(tick, (0, 0))
            for tick in sorted(self.changed_bids, reverse=True)
        }
        self.changed_asks.clear()
        self.changed_bids.clear()
        return asks, bids

    def _move_ask(self, tick: int) -> None:
        old, levels, depth = self.best_ask, self.asks, self.depth
        if abs(tick - old) >= depth:
            self._replace(levels, range(tick, tick + depth), self.changed_asks)
        elif tick > old:
            self._slide(
                levels,
                range(old, tick),
                range(old + depth, tick + depth),
                self.changed_asks,
            )
        elif tick < old:
            self._slide(
                levels,
                range(tick + depth, old + depth),
                range(tick, old),
                self.changed_asks,
            )
        self.best_ask = tick

    def _move_bid(self, tick: int) -> None:
        old, levels, depth = self.best_bid, self.bids, self.depth
        if abs(tick - old) >= depth:
            self._replace(levels, range(tick, tick - depth, -1), self.changed_bids)
        elif tick < old:
            self._slide(
                levels,
                range(old, tick, -1),
                range(old - depth, tick - depth, -1),
                self.changed_bids,
            )
        elif tick > old:
            self._slide(
                levels,
                range(tick - depth, old - depth, -1),
                range(tick, old, -1),
                self.changed_bids,
            )
        self.best_bid = tick

    def _slide(
        self,
        levels: dict[int, tuple[int, int]],
        gone: range,
        fresh: range,
        changed: set[int],
    ) -> None:
        for tick in gone:
            del levels[tick]
        for tick in fresh:
            levels[tick] = self._level()
        if self.tracking:
            changed.update(gone)
            changed.update(fresh)

    def _replace(
        self, levels: dict[int, tuple[int, int]], fresh: range, changed: set[int]
    ) -> None:
        if self.tracking:
            changed.update(levels)
            changed.update(fresh)
        levels.clear()
        for tick in fresh:
            levels[tick] = self._level()
