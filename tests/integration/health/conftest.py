"""What the collector says of itself, held every second against what is true."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import (
    DataType,
    Health,
    HealthLevel,
    MarketDataPoint,
    StatusChange,
    Trade,
)
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, SinkSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Ledger,
    Market,
    MemorySinkAdapter,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)

ON_THE_WAY_NS = 500_000_000
"""What happened at the venue so lately may not be here yet."""
LIVELY_NS = 1_500_000_000
"""Tickers and books of a market that trades are never silent for longer."""


@attrs.frozen
class Venue:
    """What differs from venue to venue.

    Args:
        trades, book, deep_book: their channels, as fault scripts name them.
        symbol: how the venue spells ETH-USDT.
        history: path of the pages that gaps are filled from.
        number: of a trade, in the ledger.
    """

    name: str
    trades: str
    book: str
    deep_book: str
    symbol: str
    history: str
    number: str


VENUES = {
    "okx": Venue(
        "okx",
        "trades",
        "books5",
        "books",
        "ETH-USDT",
        "/api/v5/market/history-trades",
        "id",
    ),
    "binance": Venue(
        "binance",
        "aggTrade",
        "depth20@100ms",
        "depth@100ms",
        "ETHUSDT",
        "/api/v3/aggTrades",
        "aggregate_id",
    ),
}


@pytest.fixture(params=list(VENUES))
def venue(request: pytest.FixtureRequest) -> Venue:
    """The venue of a story."""
    return VENUES[request.param]


@attrs.frozen
class Sample:
    """One look.

    Args:
        at_s: virtual seconds since the start.
        behind_s: for how long required data has not reached us; 0 when all has.
        what: the stream that is behind for longest.
    """

    at_s: float
    health: Health
    behind_s: float
    what: str

    def __str__(self) -> str:
        said = "; ".join(self.health.issues) or "ready"
        return (
            f"at {self.at_s:.0f} s: {said} ({self.what} behind {self.behind_s:.1f} s)"
        )


class Witness:
    """Sees what the venue issues and what callbacks get; asks for health in between.

    Args:
        ledger: what the venue has issued.
        valid: also required, e.g. that a book is valid; names what is not.
    """

    def __init__(
        self,
        manager: CollectorManager,
        clock: VirtualClock,
        ledger: Ledger,
        venue: Venue,
        required: Sequence[tuple[str, str]],
        valid: Callable[[], str],
    ) -> None:
        self.samples: list[Sample] = []
        self._manager = manager
        self._clock = clock
        self._ledger = ledger
        self._number = venue.number
        self._valid = valid
        self._begin_ns = clock.monotonic_ns()
        self._newest: dict[str, int] = {}
        self._last_ns = dict.fromkeys(required, clock.monotonic_ns())
        self._invalid_ns: int | None = None

    def hear(self, point: MarketDataPoint) -> None:
        """A callback's point."""
        key = (point.symbol, str(point.data_type))
        if key in self._last_ns:
            self._last_ns[key] = self._clock.monotonic_ns()
        if isinstance(point, Trade):
            known = self._newest.get(point.symbol, 0)
            self._newest[point.symbol] = max(known, point.last_id)

    @property
    def at_s(self) -> float:
        """Virtual seconds since the start."""
        return (self._clock.monotonic_ns() - self._begin_ns) / 1e9

    async def watch(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await anyio.sleep(1.0)
            self.look()

    def look(self) -> None:
        """One look."""
        behind_ns, what = self._behind()
        sample = Sample(self.at_s, self._manager.health(), behind_ns / 1e9, what)
        self.samples.append(sample)

    def _behind(self) -> tuple[int, str]:
        now_ns = self._clock.monotonic_ns()
        found = [(0, "")]
        symbols = {symbol for symbol, kind in self._last_ns if kind == "trade"}
        settled_ns = self._clock.wall_ns() - ON_THE_WAY_NS
        missing: dict[str, int] = {}
        for fill in reversed(self._ledger.fills):
            if fill.market != "spot" or fill.symbol not in symbols:
                continue
            if getattr(fill, self._number) <= self._newest.get(fill.symbol, 0):
                symbols.discard(fill.symbol)
                if not symbols:
                    break
            elif fill.exchange_ns <= settled_ns:
                missing[fill.symbol] = fill.exchange_ns
        for symbol, since_ns in missing.items():
            found.append((self._clock.wall_ns() - since_ns, f"{symbol} trade"))
        for (symbol, kind), last_ns in self._last_ns.items():
            if kind != "trade" and now_ns - last_ns > LIVELY_NS:
                found.append((now_ns - last_ns, f"{symbol} {kind}"))
        invalid = self._valid()
        if not invalid:
            self._invalid_ns = None
        elif self._invalid_ns is None:
            self._invalid_ns = now_ns
        if self._invalid_ns is not None:
            found.append((now_ns - self._invalid_ns + 1, invalid))
        return max(found)


@attrs.frozen
class Told:
    """What is left of a story.

    Args:
        samples: one a second, from the first that was ready.
        ready_after_s: of a start, until everything flowed.
    """

    samples: Sequence[Sample]
    ready_after_s: float
    changes: Sequence[StatusChange]
    status: dict[str, Any]
    simulator: SimulatorBase

    def check(self, found_s: float, well_s: float = 3.0) -> None:
        """Red within *found_s* while data does not come, green *well_s* after it does.

        Times are those of samples a second apart.
        """
        behind = [one.at_s for one in self.samples if one.behind_s]
        for sample in self.samples:
            if sample.behind_s:
                assert not sample.health.ready or sample.behind_s <= found_s + 1, sample
            elif not sample.health.ready:
                # A lost socket is known before anything can be missed.
                near = (-1.5 <= sample.at_s - at_s <= well_s + 1 for at_s in behind)
                assert any(near), sample

    def check_always_ready(self) -> None:
        """Green from the first time on."""
        for sample in self.samples:
            assert sample.health.ready, sample

    @property
    def red_s(self) -> list[float]:
        """When it was not ready."""
        return [one.at_s for one in self.samples if not one.health.ready]

    def levels(self) -> set[HealthLevel]:
        """All levels there were."""
        return {one.health.level for one in self.samples}

    def warnings(self) -> set[str]:
        """All that was warned of."""
        return {text for one in self.samples for text in one.health.warnings}

    def issues(self) -> set[str]:
        """All that stood against being ready."""
        return {text for one in self.samples for text in one.health.issues}


Act = Callable[[CollectorManager, MemoryVenue, list[Any]], Awaitable[None]]


@pytest.fixture
def watch(tmp_path: Path, venue: Venue) -> Callable[..., Told]:
    """Collect from a simulator, looking every second."""

    def run(
        act: Act | float,
        *,
        seed: int = 1,
        faults: Sequence[Fault] = (),
        symbols: Sequence[str] = ("BTC-USDT", "ETH-USDT"),
        data_types: Sequence[DataType] = (DataType.TRADE,),
        required: Sequence[tuple[str, str]] | None = None,
        rate_hz: float = 6.0,
        options: Mapping[str, Any] | None = None,
        memory: MemorySinkAdapter | None = None,
        books: bool = False,
        adapter: Any = None,
        habits: Callable[[SimulatorBase], None] | None = None,
        **market: Any,
    ) -> Told:
        async def story() -> Told:
            clock = VirtualClock()
            ledger = Ledger()
            simulator = (
                PluginRegistry()
                .exchange(venue.name)
                .simulator(
                    Market(seed, rate_hz=rate_hz, start_ns=clock.wall_ns(), **market),
                    faults=faults,
                    ledger=ledger,
                )
            )
            assert isinstance(simulator, SimulatorBase)
            if habits is not None:
                habits(simulator)
            sinks = [] if memory is None else [SinkSettings("memory", memory, {})]
            changes: list[StatusChange] = []
            async with MemoryVenue(simulator, clock) as line:
                seams = Seams(
                    clock, line.dialer, line.http, InlineExecutor(), random.Random(seed)
                )
                with use_seams(seams):
                    manager = CollectorManager(
                        sinks=sinks, settings=EngineSettings(data_dir=tmp_path)
                    )
                    manager.add_observer(changes.append)
                    collector = ExchangeCollector(
                        venue.name,
                        list(symbols),
                        list(data_types),
                        custom_params=dict(options or {}),
                        adapter=adapter,
                    )
                    manager.add_collector(collector)

                    def broken_book() -> str:
                        for symbol in symbols:
                            if books and collector.order_book(symbol, 1) is None:
                                return f"{symbol} book"
                        return ""

                    streams = [(s, str(t)) for s in symbols for t in data_types]
                    witness = Witness(
                        manager,
                        clock,
                        ledger,
                        venue,
                        streams if required is None else required,
                        broken_book,
                    )
                    for data_type in data_types:
                        collector.add_data_callback(data_type, witness.hear)
                    assert await manager.start()
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(witness.watch)
                        if isinstance(act, int | float):
                            await anyio.sleep(act)
                        else:
                            await act(manager, line, changes)
                        tasks.cancel_scope.cancel()
                    status = manager.get_status()
                    await manager.stop()
            first = next(
                (n for n, one in enumerate(witness.samples) if one.health.ready), None
            )
            assert first is not None, witness.samples[-1]
            return Told(
                witness.samples[first:],
                witness.samples[first].at_s,
                changes,
                status,
                simulator,
            )

        told: Told = run_virtual(story, seed=seed)
        return told

    return run
