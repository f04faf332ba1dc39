"""A whole collection from an adapter's simulator, in virtual time, with core itself."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import attrs

from tapeline.integrity import LocalBook
from tapeline.model import BookDelta, BookSnapshot, Record, Subscription
from tapeline.runtime import Engine, EngineSettings, FeedSettings, SinkSettings
from tapeline.seams import Seams
from tapeline.testing.conformance.subjects import (
    ExchangeUnderTest,
    SimulatedCollection,
)
from tapeline.testing.conformance.verdicts import NotShown
from tapeline.testing.executor import InlineExecutor
from tapeline.testing.faults import Fault
from tapeline.testing.instruments import SimInstrument, linear_swap, spot
from tapeline.testing.ledger import Ledger, LedgerFill
from tapeline.testing.market import Market
from tapeline.testing.oracle import Verdict, judge
from tapeline.testing.simulator import SimulatorBase
from tapeline.testing.sinks import MemoryDatabase, MemorySinkAdapter
from tapeline.testing.transports import MemoryVenue
from tapeline.testing.virtual_time import VirtualClock, run_virtual

_BOOK_LEVELS = 25
_MOST_REMEMBERED = 5_000
_MOST_BOOKS = 2
_LONG_NS = 20 * 10**9
_COMMIT_MS = 100.0
_MEMORY = Path("/dev/shm")


@attrs.define
class Run:
    """What came of it.

    Args:
        status: of the only feed, shortly before the end.
        books_compared: how often a live book met the venue's own.
        books_wrong: sentences about those that differed.
        books_behind: books that did not meet the venue's own near the end.
    """

    verdict: Verdict
    records: list[Record]
    ledger: list[LedgerFill]
    status: dict[str, Any]
    simulator: SimulatorBase
    books_compared: int
    books_wrong: list[str]
    books_behind: list[str]

    def streams(self) -> dict[str, str]:
        """Stream → state, as status showed it last."""
        return {
            f"{one['symbol']} {one['data_type']}": one["state"]
            for one in self.status["subscriptions"]
        }


def simulated(subject: ExchangeUnderTest) -> SimulatedCollection:
    """What to collect from the simulator.

    Raises:
        NotShown: the adapter has none, or nothing was said about it.
    """
    if subject.simulated is None:
        raise NotShown("a simulator; give ExchangeUnderTest what is simulated")
    return subject.simulated


def instruments(market: str, count: int) -> list[SimInstrument]:
    """So many instruments; the first ones have well-known names."""
    names = ["BTC-USDT", "ETH-USDT", *(f"C{n:03d}-USDT" for n in range(count))]
    if market == "swap":
        return [linear_swap(n, "0.1", "0.01", "640", "0.01") for n in names[:count]]
    return [spot(name, "0.01", "0.001", "640") for name in names[:count]]


def build_simulator(
    subject: ExchangeUnderTest,
    market: Market,
    faults: Sequence[Fault] = (),
    ledger: Ledger | None = None,
) -> SimulatorBase:
    """The adapter's simulator over *market*.

    Raises:
        NotShown: there is none, or it is no ``SimulatorBase``.
    """
    made = subject.adapter.simulator(market, faults=faults, ledger=ledger)
    if not isinstance(made, SimulatorBase):
        raise NotShown("a simulator that is a tapeline.testing.SimulatorBase")
    return made


def run_simulated(
    subject: ExchangeUnderTest,
    faults: Sequence[Fault] = (),
    *,
    seconds: float = 30.0,
    symbols: int = 2,
    rate_hz: float = 8.0,
    seed: int = 1,
    data_types: Sequence[str] = ("trade",),
) -> Run:
    """Collect for *seconds* of virtual time through core's own engine.

    Raises:
        NotShown: the adapter has no simulator.
    """
    wanted = simulated(subject)
    settings = _Settings(subject, wanted, faults, seconds, symbols, rate_hz, seed)
    # In memory where the system has such a folder: the journal syncs every commit.
    place = str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tapeline-", dir=place) as folder:
        return run_virtual(_collect, settings, data_types, Path(folder), seed=seed)


@attrs.frozen
class _Settings:
    subject: ExchangeUnderTest
    wanted: SimulatedCollection
    faults: Sequence[Fault]
    seconds: float
    symbols: int
    rate_hz: float
    seed: int


async def _collect(settings: _Settings, types: Sequence[str], folder: Path) -> Run:
    subject, wanted = settings.subject, settings.wanted
    clock = VirtualClock()
    ledger = Ledger()
    listed = instruments(wanted.market, settings.symbols)
    market = Market(
        settings.seed,
        listed,
        rate_hz=settings.rate_hz,
        start_ns=clock.wall_ns(),
        depth=_BOOK_LEVELS,
    )
    simulator = build_simulator(subject, market, settings.faults, ledger)
    watch = _BookWatch(simulator, subject, clock)
    database = MemoryDatabase()
    async with MemoryVenue(simulator, clock) as venue:
        chance = random.Random(settings.seed)
        seams = Seams(clock, venue.dialer, venue.http, InlineExecutor(), chance)
        engine = Engine(seams, EngineSettings(data_dir=folder, commit_ms=_COMMIT_MS))
        engine.add_sink(SinkSettings("memory", MemorySinkAdapter(database), {}))
        engine.add_consumer(watch.take, name="books")
        engine.add_feed(
            FeedSettings(
                "conformance",
                subject.adapter,
                subject.config_of(wanted.config),
                wanted.market,
                [one.symbol for one in listed],
                types,
            )
        )
        await engine.start()
        await anyio.sleep(settings.seconds)
        status = engine.link_status("conformance").as_dict()
        behind = watch.behind()
        await engine.stop()
    records = database.records()
    return Run(
        judge(ledger.fills, records),
        records,
        ledger.fills,
        status,
        simulator,
        watch.compared,
        watch.wrong,
        behind,
    )


class _BookWatch:
    """Holds the books that a consumer can build against the venue's own."""

    def __init__(
        self, simulator: SimulatorBase, subject: ExchangeUnderTest, clock: VirtualClock
    ) -> None:
        self.compared = 0
        self.wrong: list[str] = []
        self._simulator = simulator
        self._clock = clock
        self._met_ns: dict[Subscription, int] = {}
        self._checksum = subject.adapter.book_checksum
        self._books: dict[Subscription, LocalBook] = {}
        self._truth: dict[tuple[str, str], dict[int, Any]] = {}
        self._outputs = simulator.outputs
        simulator.outputs = self._remember  # type: ignore[method-assign]

    def _remember(self) -> Sequence[Any]:
        """What the venue sends, and its books at this moment."""
        taken = self._outputs()
        if taken:
            for market, symbol in list(self._truth):
                published = self._simulator.book_now(market, symbol)
                known = self._truth[market, symbol]
                if published is not None and published[0] not in known:
                    known[published[0]] = published[1:]
                    if len(known) > _MOST_REMEMBERED:
                        del known[next(iter(known))]
        return taken

    def behind(self) -> list[str]:
        """Books that have not met the venue's own for a while."""
        since_ns = self._clock.monotonic_ns() - _LONG_NS
        return [
            str(stream)
            for stream in self._books
            if self._met_ns.get(stream, 0) < since_ns
        ]

    def take(self, event: object) -> None:
        """A consumer of everything."""
        if not isinstance(event, BookSnapshot | BookDelta):
            return
        key = (event.market, event.symbol)
        truth = self._truth.get(key)
        if truth is None:
            if len(self._truth) >= _MOST_BOOKS:
                return
            truth = self._truth[key] = {}
        book = self._books.get(event.stream)
        if book is None:
            book = self._books[event.stream] = LocalBook(event.stream, self._checksum)
        book.apply(event)
        published = truth.get(book.last_id) if book.last_id is not None else None
        if not book.valid or published is None:
            return
        self.compared += 1
        self._met_ns[event.stream] = self._clock.monotonic_ns()
        for mine, theirs in zip(book.levels(), published, strict=True):
            if not _same(mine, theirs):
                self.wrong.append(f"{event.stream} differs at {book.last_id}")
                return


def _same(mine: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]]) -> bool:
    count = min(len(mine), len(theirs), 5)
    return count > 0 and all(
        Decimal(a[0]) == Decimal(b[0]) and Decimal(a[1]) == Decimal(b[1])
        for a, b in zip(mine[:count], theirs[:count], strict=True)
    )
