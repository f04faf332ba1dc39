"""A seeded market: the same seed gives the same fills, however it is driven."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from heapq import heapify, heappush, heapreplace
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs

from tapeline.errors import UsageError
from tapeline.testing.bars import BarSeries, DayStats
from tapeline.testing.book import ASK, BID, SimBook
from tapeline.testing.instruments import DEFAULT_INSTRUMENTS, SimInstrument
from tapeline.testing.numbers import scale_of, scaled_text

if TYPE_CHECKING:
    from tapeline.testing.faults import Fault
    from tapeline.testing.ledger import Ledger

MILLISECOND_NS = 1_000_000
START_NS = 1_767_225_600 * 10**9
"""2026-01-01T00:00:00Z: where simulated time begins unless told otherwise."""

_FILLS_PER_ORDER = 2.14
"""Mean of what ``_order`` draws: 1.27 prices an order, 1.68 fills a price."""

_fill_id = attrgetter("id")
_fill_ns = attrgetter("exchange_ns")


@attrs.frozen
class Fill:
    """One fill: a taker meets one maker; price and size are exact texts.

    Args:
        id: counts fills of the instrument from 1, without holes.
    """

    id: int
    price: str
    size: str
    side: str
    exchange_ns: int


@attrs.frozen
class Execution:
    """All fills of one taker order at one price; their ids have no holes.

    Args:
        fills: at least one, oldest first.
        feed: the instrument it happened on.
        aggregate_id: counts executions of the instrument from 1, without holes.
        order: counts taker orders of the instrument from 1.
        size: sum of the fills' sizes.
    """

    feed: Feed
    aggregate_id: int
    order: int
    side: str
    price: str
    size: str
    fills: tuple[Fill, ...]
    exchange_ns: int

    @property
    def first_id(self) -> int:
        """Id of the first fill."""
        return self.fills[0].id

    @property
    def last_id(self) -> int:
        """Id of the last fill."""
        return self.fills[-1].id


class Feed:
    """State of one instrument: book, last price, bounded history, candles."""

    def __init__(
        self,
        instrument: SimInstrument,
        rng: random.Random,
        *,
        start_ns: int,
        rate_hz: float,
        depth: int,
        hole_probability: float,
        first_id: int,
        max_fills: int,
    ) -> None:
        self.instrument = instrument
        self.tick_units, self.price_decimals = scale_of(instrument.tick_size)
        self.lot_units, self.size_decimals = scale_of(instrument.lot_size)
        ask = int(instrument.start_price / instrument.tick_size)
        # About one thousand quote units stand on a level.
        unit = instrument.contract_size or 1
        lot_value = float(instrument.lot_size * instrument.start_price * unit)
        self._anchor = ask
        self._random = rng.random
        self._expovariate = rng.expovariate
        self.book = SimBook(rng, ask, depth, max(4, int(1000 / lot_value)))
        self.bars = BarSeries(ask)
        self.day = DayStats(ask)
        self.last_tick = ask
        self.last_lots = 0
        self.last_ns = start_ns
        self.next_id = first_id
        self.orders = 0
        self.aggregates = 0
        self.holes = 0
        self.halted_ns: int | None = None
        self.fills: list[Fill] = []
        self.executions: list[Execution] = []
        self._max_fills = max_fills
        self._hole_probability = hole_probability
        self._orders_hz = rate_hz / _FILLS_PER_ORDER
        self._exact_ns = float(start_ns % 10**9)
        self._base_ns = start_ns - start_ns % 10**9
        self.next_ns: int | None = None
        if rate_hz > 0:
            self._draw_next()

    def price_text(self, ticks: int) -> str:
        """*ticks* as the venue prints a price."""
        return scaled_text(ticks * self.tick_units, self.price_decimals)

    def size_text(self, lots: int) -> str:
        """*lots* as the venue prints a size."""
        return scaled_text(lots * self.lot_units, self.size_decimals)

    def use_base_units(self) -> None:
        """Print sizes in the base currency instead of contracts, from now on.

        Nothing else changes: a lot is the same amount as before.

        Raises:
            UsageError: it has traded already, or a contract is not an amount of
                the base currency.
        """
        known = self.instrument
        if known.contract_size is None:
            return
        if known.contract_unit != known.base or self.aggregates:
            raise UsageError(
                f"expected contracts of {known.base} that have not traded yet, found "
                f"{known.symbol} ({known.market}) with contracts of "
                f"{known.contract_unit} and {self.aggregates} executions; give the "
                "simulator a fresh market of linear contracts"
            )
        size = known.contract_size
        self.instrument = attrs.evolve(
            known,
            lot_size=known.lot_size * size,
            min_size=known.min_size * size,
            contract_size=None,
            contract_unit="",
        )
        self.lot_units, self.size_decimals = scale_of(self.instrument.lot_size)

    def _draw_next(self) -> None:
        # Offsets from a whole second stay small enough for exact float steps.
        self._exact_ns += self._expovariate(self._orders_hz) * 1e9
        whole = int(self._exact_ns)
        step = whole - whole % 10**9
        self._base_ns += step
        self._exact_ns -= step
        at_ns = self._base_ns + int(self._exact_ns) // MILLISECOND_NS * MILLISECOND_NS
        if self.halted_ns is not None and at_ns >= self.halted_ns:
            self.next_ns = None
        else:
            self.next_ns = at_ns

    def halt(self, at_ns: int) -> None:
        """No order from *at_ns* on."""
        self.halted_ns = at_ns
        if self.next_ns is not None and self.next_ns >= at_ns:
            self.next_ns = None

    def resume(self, at_ns: int) -> int | None:
        """Orders again from *at_ns* on, after a halt; when the first one comes."""
        self.halted_ns = None
        self._exact_ns = float(at_ns % 10**9)
        self._base_ns = at_ns - at_ns % 10**9
        if self._orders_hz > 0:
            self._draw_next()
        return self.next_ns

    def step(self) -> list[Execution]:
        """Run the next taker order and draw the time of the one after it."""
        at_ns = self.next_ns
        if at_ns is None:
            return []
        chance = self._random
        drift = (self.last_tick - self._anchor) / self._anchor
        side = "buy" if chance() > 0.5 + 5 * drift else "sell"
        draw = chance()
        prices = 1 if draw < 0.78 else 2 if draw < 0.95 else 3
        self.orders += 1
        done = []
        for index in range(prices):
            share = 0.05 + 0.6 * chance() if index == prices - 1 else 1.0
            tick, lots = self.book.take(side, share)
            done.append(self._execute(side, tick, lots, at_ns))
        self._requote(side)
        if len(self.fills) >= 2 * self._max_fills:
            del self.fills[: self._max_fills]
        if len(self.executions) >= 2 * self._max_fills:
            del self.executions[: self._max_fills]
        self._draw_next()
        return done

    def _execute(self, side: str, tick: int, lots: int, at_ns: int) -> Execution:
        chance = self._random
        if self._hole_probability and chance() < self._hole_probability:
            skipped = 1 + int(chance() * 3)
            self.next_id += skipped
            self.holes += skipped
        draw = chance()
        count = min(lots, 1 if draw < 0.5 else 2 if draw < 0.82 else 3)
        price = self.price_text(tick)
        first_id = self.next_id
        fills = []
        left = lots
        for index in range(count - 1, -1, -1):
            part = left if not index else 1 + int(chance() * (left - index - 1))
            left -= part
            fills.append(Fill(self.next_id, price, self.size_text(part), side, at_ns))
            self.next_id += 1
        self.fills += fills
        self.aggregates += 1
        self.last_tick = tick
        self.last_lots = lots
        self.last_ns = at_ns
        buy = side == "buy"
        self.bars.add(at_ns, tick, lots, buy, count, first_id, self.next_id - 1)
        self.day.add(at_ns, tick, lots, count, first_id)
        execution = Execution(
            self,
            self.aggregates,
            self.orders,
            side,
            price,
            self.size_text(lots),
            tuple(fills),
            at_ns,
        )
        self.executions.append(execution)
        return execution

    def _requote(self, side: str) -> None:
        chance = self._random
        book = self.book
        draw = chance()
        spread = 1 if draw < 0.8 else 2
        ask = book.best_ask
        if side == "sell":
            ask = book.best_bid + spread
        if draw < 0.15:
            ask += 1
        elif draw < 0.3:
            ask -= 1
        # A price far below where it began would end at zero.
        if ask < self._anchor // 2:
            ask += 2
        book.requote(ask, spread)
        book.refresh(ASK, int(chance() * 10) % book.depth)
        book.refresh(BID, int(chance() * 10) % book.depth)

    def fills_before(self, fill_id: int, limit: int, as_of_ns: int) -> list[Fill]:
        """The newest *limit* fills with an id below *fill_id*, newest first.

        Args:
            as_of_ns: fills after it do not exist yet for the asker.
        """
        end = bisect_left(self.fills, fill_id, key=_fill_id)
        end = min(end, bisect_right(self.fills, as_of_ns, key=_fill_ns))
        return self.fills[max(0, end - limit) : end][::-1]

    def fills_before_ns(self, at_ns: int, limit: int, as_of_ns: int) -> list[Fill]:
        """The newest *limit* fills that happened before *at_ns*, newest first."""
        end = bisect_left(self.fills, at_ns, key=_fill_ns)
        end = min(end, bisect_right(self.fills, as_of_ns, key=_fill_ns))
        return self.fills[max(0, end - limit) : end][::-1]


class Market:
    """Instruments whose orders come at random, seeded times.

    One simulator owns a market. What happens depends on the seed and the
    instruments alone, never on when or how often ``advance`` is called.

    Args:
        rate_hz: mean fills per second of each instrument without its own rate.
        start_ns: wall nanoseconds UTC of the first moment; choose it before the
            present to have history.
        depth: levels a side of each book.
        hole_probability: chance, per execution, that ids are skipped before it.
        max_fills: kept per instrument for REST.
        ledger, faults: for the simulator that takes this market, unless it is given
            its own.

    Raises:
        UsageError: a rate, depth or probability out of range, or two instruments
            with one name.
    """

    def __init__(
        self,
        seed: int = 0,
        instruments: Iterable[SimInstrument] = DEFAULT_INSTRUMENTS,
        rate_hz: float = 5.0,
        start_ns: int = START_NS,
        *,
        depth: int = 400,
        hole_probability: float = 0.0,
        max_fills: int = 20_000,
        ledger: Ledger | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        if rate_hz < 0:
            raise UsageError(f"expected a rate of 0 or more fills/s, found {rate_hz}")
        if not 10 <= depth <= 5_000:
            raise UsageError(f"expected a depth of 10 to 5000 levels, found {depth}")
        if not 0 <= hole_probability <= 1:
            raise UsageError(
                f"expected a hole probability of 0 to 1, found {hole_probability}"
            )
        self.seed = seed
        self.start_ns = start_ns
        self.now_ns = start_ns
        self.ledger = ledger
        self.faults = faults
        self.feeds: dict[tuple[str, str], Feed] = {}
        for instrument in instruments:
            if instrument.key in self.feeds:
                raise UsageError(
                    f"expected each instrument once, found {instrument.symbol} "
                    f"({instrument.market}) twice"
                )
            # A text seed is hashed the same way in every Python and process.
            rng = random.Random(f"{seed}:{instrument.market}:{instrument.symbol}")
            own = instrument.rate_hz
            self.feeds[instrument.key] = Feed(
                instrument,
                rng,
                start_ns=start_ns,
                rate_hz=rate_hz if own is None else own,
                depth=depth,
                hole_probability=hole_probability,
                first_id=100_000_001 + rng.randrange(10**8),
                max_fills=max_fills,
            )
        self._queue = [
            (feed.next_ns, index, feed)
            for index, feed in enumerate(self.feeds.values())
            if feed.next_ns is not None
        ]
        heapify(self._queue)

    @property
    def instruments(self) -> Sequence[SimInstrument]:
        """All instruments, in the order given."""
        return [feed.instrument for feed in self.feeds.values()]

    def feed(self, market: str, symbol: str) -> Feed:
        """State of one instrument.

        Raises:
            KeyError: the market does not trade it.
        """
        return self.feeds[market, symbol]

    def next_ns(self) -> int | None:
        """When the next order comes; None when none ever will."""
        return self._queue[0][0] if self._queue else None

    def halt(self, market: str, symbol: str, at_ns: int) -> None:
        """Stop trading of one instrument from *at_ns* on."""
        feed = self.feeds[market, symbol]
        feed.halt(at_ns)
        if feed.next_ns is None:
            self._queue = [entry for entry in self._queue if entry[2] is not feed]
            heapify(self._queue)

    def resume(self, market: str, symbol: str, at_ns: int) -> None:
        """Go on trading one instrument from *at_ns* on, after a halt."""
        feed = self.feeds[market, symbol]
        next_ns = None if feed.halted_ns is None else feed.resume(at_ns)
        if next_ns is not None:
            index = list(self.feeds).index((market, symbol))
            heappush(self._queue, (next_ns, index, feed))

    def advance(self, now_ns: int) -> list[Execution]:
        """Everything that happens up to and including *now_ns*, in time order."""
        done: list[Execution] = []
        queue = self._queue
        while queue and queue[0][0] <= now_ns:
            _, index, feed = queue[0]
            done += feed.step()
            if feed.next_ns is None:
                queue[0] = queue[-1]
                queue.pop()
                heapify(queue)
            else:
                heapreplace(queue, (feed.next_ns, index, feed))
        if now_ns > self.now_ns:
            self.now_ns = now_ns
        return done
