"""One seed of the fault campaign: a whole collector, its world, and an oracle."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import attrs
import msgspec
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import (
    DataType,
    Record,
    Request,
)
from tapeline.plugins import PluginRegistry
from tapeline.runtime import EngineSettings, SinkSettings, audit, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Incident,
    InlineExecutor,
    Ledger,
    LedgerFill,
    Market,
    MemorySink,
    MemorySinkAdapter,
    MemoryVenue,
    MemoryWire,
    SimulatorBase,
    Verdict,
    VirtualClock,
    judge,
    run_virtual,
)
from tapeline.testing.oracle import StreamKey
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_habits import Habits
from tapeline_okx.simulator import OkxSimulator

_HERE = "tests/integration/faults"
_MEMORY = Path("/dev/shm")
CALM_S = 10.0
LONGEST_CALM_S = 1_500.0


@attrs.define
class Told:
    """What came of one seed."""

    mix: Any
    problems: list[str]
    verdict: Verdict
    trace: str
    books_compared: int
    calm_s: float
    applied: set[str]

    def report(self) -> str:
        """Why it failed, and how to see it again."""
        seed = self.mix.seed
        lines = [
            f"seed {seed} of {self.mix.exchange} {self.mix.market} failed",
            f"  replay: pytest {_HERE} -k emitted --seeds 1 --first-seed {seed}",
            *(f"  {problem}" for problem in self.problems),
            *(f"  with {fault}" for fault in self.mix.faults),
            *(f"  with {incident}" for incident in self.mix.incidents),
        ]
        return "\n".join(lines)


class World:
    """A venue, and the lives of one collector, each over what the last one left."""

    def __init__(self, mix: Any, folder: Path, tasks: anyio.abc.TaskGroup) -> None:
        self.mix = mix
        self.problems: list[str] = []
        self.compared = 0
        self.calm_s = 0.0
        self.clock = VirtualClock()
        self.ledger = Ledger()
        self.simulator = self._simulator()
        self.venue = MemoryVenue(self.simulator, self.clock)
        self.memory = MemorySinkAdapter(prepare=self._prepare)
        self.digest = hashlib.sha256()
        self._tasks = tasks
        self._base = folder
        self._lives = 0
        self._outages = 0
        self._knobs: dict[str, Any] = {}

    def _simulator(self) -> SimulatorBase:
        mix = self.mix
        market = Market(
            mix.seed,
            mix.instruments,
            rate_hz=mix.rate_hz,
            start_ns=self.clock.wall_ns(),
            depth=10,
            hole_probability=mix.hole_probability if mix.exchange == "okx" else 0.0,
        )
        if mix.exchange == "okx":
            return OkxSimulator(market, faults=mix.faults, ledger=self.ledger)
        habits = Habits(lifetime_s=mix.lifetime_s, history_needs_key=False)
        return BinanceSimulator(
            market, faults=mix.faults, ledger=self.ledger, habits=habits
        )

    # -- one life ---------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where the living process stores."""
        return self._base / f"life-{self._lives}"

    @property
    def database(self) -> Path:
        """The real one, where the mix has it."""
        return self.folder / "market.db"

    async def start(self) -> None:
        """Begin a life over ``folder``."""
        mix = self.mix
        self.folder.mkdir(exist_ok=True)
        self.wire = MemoryWire(self.venue, self.clock)
        self.wire.delay_s = self._knobs.get("slow-rest", 0.0)
        rng = random.Random(f"life:{mix.seed}:{self._lives}")
        seams = Seams(self.clock, self.wire, self.wire, InlineExecutor(), rng)
        sinks: list[object] = [SinkSettings("memory", self.memory, {})]
        if mix.sqlite:
            sinks.append({"use": "sqlite", "path": str(self.database)})
        # Bars of seconds over hours of absence are another test's subject.
        frames = ["1m"] if mix.is_long else ["1s", "1m"]
        options = {
            "market": mix.market,
            "depth": mix.words.book,
            "trades": mix.words.trades,
            "timeframes": frames,
        }
        with use_seams(seams):
            self.manager = CollectorManager(
                sinks=sinks,
                settings=EngineSettings(
                    data_dir=self.folder, commit_ms=mix.commit_ms, heal_timeout_s=1.0
                ),
            )
            self.manager.add_collector(
                ExchangeCollector(
                    mix.exchange,
                    [one.symbol for one in mix.instruments],
                    [DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER],
                    custom_params=options,
                    adapter=mix.adapter(),
                )
            )
        assert await self.manager.start()

    async def kill(self, away_s: float) -> None:
        """End this life without a word, and begin the next over what it left."""
        self.wire.cut()
        before, remains = self.folder, self.manager
        self._lives += 1
        # While it still holds its files, so that closing ours changes nothing.
        self._note_files(before)
        shutil.copytree(before, self.folder)
        self.memory = MemorySinkAdapter(self.memory.database.copy(), self._prepare)
        # Whatever it still does, it does to a disk and a wire that nobody sees.
        self._tasks.start_soon(remains.stop)
        await self.clock.sleep(away_s)
        await self.start()

    async def restart(self, away_s: float) -> None:
        """Stop in order, and start again."""
        await self.manager.stop()
        await self.clock.sleep(away_s)
        await self.start()

    def _note_files(self, folder: Path) -> None:
        for path in sorted(folder.glob("*.db")):
            with closing(sqlite3.connect(path)) as connection:
                for line in connection.iterdump():
                    self.digest.update(line.encode())

    # -- what happens -----------------------------------------------------------

    def _prepare(self, sink: MemorySink) -> None:
        knobs = self._knobs
        sink.delay_s = knobs.get("sink-slow", 0.0)
        if "sink-down" in knobs:
            sink.open_failures = sink.write_failures = 1 << 30
        if "sink-hangs" in knobs:
            sink.hang()
        if "sink-refuses" in knobs:
            share = int(1 / knobs["sink-refuses"])
            sink.refuse = lambda record: _number(record) % share == 0
        sink.lost_replies = int(knobs.get("sink-loses-replies", 0))

    def turn(self, kind: str, amount: float | None) -> None:
        """Turn a knob of the sink or the wire; None turns it back."""
        if amount is None:
            self._knobs.pop(kind, None)
        else:
            self._knobs[kind] = amount
        self.wire.delay_s = self._knobs.get("slow-rest", 0.0)
        for sink in self.memory.sinks:
            sink.release()
            sink.open_failures = sink.write_failures = 0
            sink.refuse = None
            self._prepare(sink)

    async def live(self) -> None:
        """Let everything happen that the mix has, each at its time."""
        moments = [(one.at_s, 0, one) for one in self.mix.incidents]
        moments += [
            (one.at_s + one.for_s, 1, one)
            for one in self.mix.incidents
            if one.kind.startswith("sink") or one.kind in ("outage", "slow-rest")
        ]
        for at_s, ends, incident in sorted(moments, key=lambda m: (m[0], m[1])):
            await self._sleep_until(at_s)
            await self._happen(incident, bool(ends))
        await self._sleep_until(self.mix.duration_s)

    async def _sleep_until(self, at_s: float) -> None:
        while (left_s := at_s - self.clock.monotonic_ns() / 1e9) > 0:
            await self.clock.sleep(min(left_s, 7.3))
            self.compare_books()

    async def _happen(self, incident: Incident, ends: bool) -> None:
        kind = incident.kind
        if kind == "outage":
            self._unplug(-1 if ends else 1)
        elif kind == "kill":
            await self.kill(incident.for_s)
        elif kind == "kill-in-backfill":
            await self._kill_in_backfill(incident.for_s)
        elif kind == "restart":
            await self.restart(incident.for_s)
        elif kind == "clock-step":
            self.clock.step_wall(int(incident.amount * 1e9))
        else:
            self.turn(kind, None if ends else incident.amount)

    def _unplug(self, by: int) -> None:
        """Outages may overlap: the last one to end brings the venue back."""
        self._outages += by
        self.venue.set_reachable(self._outages == 0)

    async def _kill_in_backfill(self, away_s: float) -> None:
        asked = anyio.Event()

        def watch(request: Request) -> None:
            if self.mix.words.history in request.url:
                asked.set()

        # A short absence gives it something to fetch.
        self._unplug(1)
        await self.clock.sleep(1.0)
        self._unplug(-1)
        self.wire.on_request = watch
        with anyio.move_on_after(30.0):
            await asked.wait()
        await self.kill(away_s)

    # -- what must be true ------------------------------------------------------

    def compare_books(self) -> bool:
        """Hold every valid book against the venue's; True when all are equal."""
        engine = self.manager.engine
        if engine is None:
            return False
        equal = 0
        for key, state in engine.pipeline.streams.items():
            book = state.book
            theirs = self.simulator.book_now(key.market, key.symbol)
            if book is None or not book.valid or theirs is None:
                continue
            last_id, bids, asks = theirs
            if book.last_id != last_id:
                continue
            equal += 1
            self.compared += 1
            for found, wanted in zip(book.levels(), (bids, asks), strict=True):
                same = [tuple(one[:2]) for one in wanted]
                if [tuple(one[:2]) for one in found][: len(same)] != same:
                    self.problems.append(f"the valid book of {key} is not the venue's")
        return equal == len(self.mix.instruments)

    async def calm(self) -> None:
        """Wait until nothing goes wrong any more and all of it is repaired."""
        await self.clock.sleep(CALM_S)
        begun_s = self.clock.monotonic_ns() / 1e9
        while True:
            books = self.compare_books()
            engine = self.manager.engine
            behind = self._behind()
            gaps = [] if engine is None else engine.ledger.open_gaps()
            self.calm_s = self.clock.monotonic_ns() / 1e9 - begun_s
            if books and not behind and not gaps:
                return
            if self.calm_s > LONGEST_CALM_S:
                break
            await self.clock.sleep(3.1)
        self.problems.append(
            f"{LONGEST_CALM_S} s after the last fault not all is well: books "
            f"{'equal' if books else 'differ'}, behind {behind}, open gaps {gaps}"
        )
        self.problems.append(str(self.manager.get_status()["engine"]["feeds"]))

    def _behind(self) -> list[str]:
        """Streams that do not have what the venue issued a while ago."""
        engine = self.manager.engine
        newest: dict[tuple[str, str], LedgerFill] = {}
        settled_ns = self.venue.now_ns() - int(CALM_S / 2 * 1e9)
        for fill in reversed(self.ledger.fills):
            if fill.exchange_ns < settled_ns:
                newest.setdefault((fill.market, fill.symbol), fill)
                if len(newest) == len(self.mix.instruments):
                    break
        found = []
        for key in [] if engine is None else engine.pipeline.streams:
            last = newest.get((key.market, key.symbol))
            if key.data_type == DataType.TRADE and engine is not None and last:
                aggregate = key.id_kind == "aggregate"
                number = last.aggregate_id if aggregate else last.id
                if (engine.ledger.high_water(key) or 0) < (number or 0):
                    found.append(str(key))
        return found

    def judge(self) -> Verdict:
        """What the oracle says of every sink; call after the end."""
        records = self.memory.database.records()
        verdict = judge(self.ledger.fills, records)
        self.problems += verdict.problems
        if verdict.gaps_open:
            self.problems.append(f"{verdict.gaps_open} gaps are still open")
        if not verdict.stored:
            self.problems.append("nothing was stored")
        self._check_end(verdict)
        police = self.simulator.police
        if police.total:
            self.problems.append(f"limits were violated: {dict(police.violations)}")
        self.digest.update(repr(records).encode())
        self.digest.update(repr((police.seen, self.venue.requests)).encode())
        self._note_files(self.folder)
        if self.mix.sqlite:
            self._audit()
        return verdict

    def _check_end(self, verdict: Verdict) -> None:
        """What the venue issued to the last was followed, too."""
        newest: dict[StreamKey, int] = {}
        settled_ns = self.venue.now_ns() - int(CALM_S * 1e9)
        for fill in self.ledger.fills:
            if fill.exchange_ns < settled_ns:
                number = fill.aggregate_id if verdict.aggregates else fill.id
                newest[fill.exchange, fill.market, fill.symbol] = number or 0
        for key, number in newest.items():
            if verdict.covered_to.get(key, 0) < number:
                self.problems.append(
                    f"{key}: coverage ends at {verdict.covered_to.get(key)}, "
                    f"{number} was issued long before the end"
                )

    def _audit(self) -> None:
        """The product's own check agrees, on the real database."""
        path = self._base / "ledger.jsonl"
        encode = msgspec.json.encode
        path.write_bytes(b"".join(encode(fill) + b"\n" for fill in self.ledger.fills))
        with closing(PluginRegistry().open_reader(str(self.database))) as reader:
            accounts = audit(reader, [path])
        if not accounts.ok:
            self.problems.append(f"verify says {accounts.as_dict()}")


def _number(record: Record) -> int:
    number = getattr(record, "last_id", None) or getattr(record, "exchange_ns", 1)
    return int(str(number))


async def _run(mix: Any, folder: Path) -> Told:
    async with anyio.create_task_group() as tasks:
        world = World(mix, folder, tasks)
        async with world.venue:
            await world.start()
            await world.live()
            await world.calm()
            await world.manager.stop()
            verdict = world.judge()
        tasks.cancel_scope.cancel()
    applied = set(world.simulator.faults.applied)
    return Told(
        mix,
        world.problems,
        verdict,
        world.digest.hexdigest(),
        world.compared,
        world.calm_s,
        applied,
    )


@pytest.fixture
def campaign(mix_of: Callable[[int], Any]) -> Callable[[int], Told]:
    """Run one seed, where possible on a disk in memory: nothing here cuts the power."""

    def run(seed: int) -> Told:
        with tempfile.TemporaryDirectory(
            dir=_MEMORY if _MEMORY.is_dir() else None
        ) as name:
            return run_virtual(_run, mix_of(seed), Path(name), seed=seed)

    return run
