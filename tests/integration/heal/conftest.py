"""A whole collector against a simulated venue, in virtual time."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tapeline.collectors import CollectorManager, ExchangeCollector
from tapeline.model import DataType
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Accounts, EngineSettings, audit, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Ledger,
    Market,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)
from tapeline_binance.simulator_account import DEFAULT_KEY

WIDTHS_NS = {"1s": 10**9, "1m": 60 * 10**9}

Act = Callable[[CollectorManager, MemoryVenue], Awaitable[None]]


@attrs.frozen
class Venue:
    """What differs from venue to venue.

    Args:
        trades, book: their channels, as fault scripts name them.
        history: path of the pages that gaps are filled from.
        empty: an answer of that path without a single row.
        expired: an answer, with its status, that what is asked for is too old.
        page: rows of one page.
        options: of the collector.
    """

    name: str
    trades: str
    book: str
    history: str
    empty: str
    expired: tuple[int, str]
    page: int
    market: str = "spot"
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def spelled(self, symbol: str) -> str:
        """*symbol*, as fault scripts name it."""
        return symbol if self.name == "okx" else symbol.replace("-", "")

    def refusing(self, **fault: Any) -> Fault:
        """REST answers requests for history as *fault* says."""
        return Fault(kind="rest-status", path=self.history, **fault)


VENUES = {
    "okx": Venue(
        "okx",
        "trades",
        "books5",
        "/api/v5/market/history-trades",
        '{"code":"0","msg":"","data":[]}',
        (200, '{"code":"51000","msg":"Parameter after error","data":[]}'),
        100,
    ),
    "binance": Venue(
        "binance",
        "aggTrade",
        "depth20@100ms",
        "/api/v3/aggTrades",
        "[]",
        (400, '{"code":-1100,"msg":"fromId is out of the recv window"}'),
        1_000,
    ),
    "binance-fills": Venue(
        "binance",
        "trade",
        "depth20@100ms",
        "/api/v3/historicalTrades",
        "[]",
        (400, '{"code":-1100,"msg":"fromId is out of the recv window"}'),
        1_000,
        options={
            "trades": "trade",
            "api_key": DEFAULT_KEY.key,
            "api_secret": DEFAULT_KEY.secret,
        },
    ),
    "binance-swap": Venue(
        "binance",
        "aggTrade",
        "depth20@100ms",
        "/fapi/v1/aggTrades",
        "[]",
        (400, '{"code":-1100,"msg":"fromId is out of the recv window"}'),
        1_000,
        market="swap",
    ),
}


class Undisturbed(InlineExecutor):
    """Leaves out the files that tell other processes of sinks every few seconds.

    In virtual time nobody looks, and weeks of it would write millions of them.
    """

    def worker(self, name: str) -> Any:
        """A worker that does nothing for the desk of the sinks."""
        return _Idle() if name == "sinks" else super().worker(name)


class _Idle:
    async def run(self, call: Callable[..., Any], *args: Any) -> tuple[()]:
        """Do nothing."""
        return ()

    async def aclose(self) -> None:
        """Nothing to release."""


@pytest.fixture(params=["okx", "binance"])
def venue(request: pytest.FixtureRequest) -> Venue:
    """The venue of a story; parametrize it indirectly to choose others."""
    return VENUES[request.param]


@attrs.define
class Story:
    """What is left when a story has been told.

    Args:
        status: of the last manager, just before it stopped.
    """

    folder: Path
    accounts: Accounts
    status: dict[str, Any]
    simulator: SimulatorBase
    trades: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    candles: list[dict[str, Any]]
    coverage: list[dict[str, Any]]

    @property
    def trade_gaps(self) -> list[dict[str, Any]]:
        """Rows about missing trades."""
        return [gap for gap in self.gaps if gap["data_type"] == "trade"]

    @property
    def open_gaps(self) -> list[dict[str, Any]]:
        """Rows that are neither closed nor given up."""
        return [gap for gap in self.gaps if gap["state"] in ("open", "backfilling")]

    def streams(self) -> dict[tuple[str, str], str]:
        """``(symbol, data type)`` → state, as status showed it last."""
        return {
            (one["symbol"], one["data_type"]): one["state"]
            for one in self.link["subscriptions"]
        }

    @property
    def link(self) -> dict[str, Any]:
        """The only link, as status showed it last."""
        (link,) = self.status["engine"]["feeds"].values()
        return dict(link)

    def check_whole(self) -> None:
        """Every fill inside coverage is stored once; nothing is missing any more."""
        assert self.accounts.ok, self.accounts.as_dict()
        assert self.open_gaps == []
        emitted = self.accounts.total("emitted")
        assert emitted == self.accounts.total("fills_stored") > 0
        assert self.accounts.total("stored_twice") == 0
        assert self.simulator.police.total == 0, self.simulator.police.violations

    def check_candles(self) -> int:
        """Candles that claim to be whole equal those made from the ledger.

        Returns:
            how many were compared.
        """
        expected = self._bars_of_ledger()
        made = {
            (row["symbol"], row["timeframe"], _open_ns(row)) for row in self.candles
        }
        ids: dict[str, list[int]] = {}
        for trade in self.trades:
            ids.setdefault(trade["symbol"], []).append(trade["last_id"])
        for key, fills in expected.items():
            own = ids.get(key[0], [0])
            if min(own) < fills[0][0] and fills[-1][0] < max(own):
                assert key in made, key
        compared = 0
        for row in self.candles:
            assert row["state"] != "gap", row
            if row["state"] == "partial":
                continue
            if not row["trades_count"]:
                key = (row["symbol"], row["timeframe"], _open_ns(row))
                assert key not in expected, row
                continue
            fills = expected[row["symbol"], row["timeframe"], _open_ns(row)]
            prices = [price for _, price, _ in fills]
            assert (row["open"], row["close"]) == (prices[0], prices[-1]), row
            assert (row["high"], row["low"]) == (max(prices), min(prices)), row
            assert row["volume"] == sum(size for _, _, size in fills), row
            assert row["trades_count"] == len(fills), row
            assert (row["first_id"], row["last_id"]) == (fills[0][0], fills[-1][0])
            compared += 1
        return compared

    def _bars_of_ledger(
        self,
    ) -> dict[tuple[str, str, int], list[tuple[int, Decimal, Decimal]]]:
        bars: dict[tuple[str, str, int], list[tuple[int, Decimal, Decimal]]] = {}
        (kind,) = {trade["id_kind"] for trade in self.trades}
        number = "aggregate_id" if kind == "aggregate" else "id"
        (market,) = {trade["market"] for trade in self.trades}
        for text in (self.folder / "ledger.jsonl").read_text().splitlines():
            line = json.loads(text)
            if line["market"] != market:
                continue
            at_ns = line["exchange_ns"]
            fill = (line[number], Decimal(line["price"]), Decimal(line["size"]))
            for name, width in WIDTHS_NS.items():
                key = (line["symbol"], name, at_ns - at_ns % width)
                bars.setdefault(key, []).append(fill)
        return bars


def _open_ns(row: dict[str, Any]) -> int:
    return int(row["timestamp"].timestamp()) * 10**9


@pytest.fixture
def tell(tmp_path: Path, venue: Venue) -> Callable[..., Story]:
    """Collect through *acts*, one run of the process each, and look at the result."""

    def run(
        *acts: Act,
        seed: int = 1,
        faults: Sequence[Fault] = (),
        symbols: Sequence[str] = ("BTC-USDT", "ETH-USDT"),
        symbols_then: Sequence[str] | None = None,
        data_types: Sequence[DataType] = (DataType.TRADE,),
        pause_s: float = 3.0,
        rate_hz: float = 20.0,
        settings: EngineSettings | None = None,
        name: str = "story",
        options: Mapping[str, Any] | None = None,
        timeframes: Sequence[str] = tuple(WIDTHS_NS),
        wire: Callable[[MemoryVenue], Any] = lambda line: line.dialer,
        **market: Any,
    ) -> Story:
        folder = tmp_path / name
        folder.mkdir()

        async def story() -> Story:
            clock = VirtualClock()
            registry = PluginRegistry()
            simulator = registry.exchange(venue.name).simulator(
                Market(seed, rate_hz=rate_hz, start_ns=clock.wall_ns(), **market),
                faults=faults,
                ledger=ledger,
            )
            assert isinstance(simulator, SimulatorBase)
            status: dict[str, Any] = {}
            params = {"market": venue.market, "timeframes": list(timeframes)}
            params |= {**venue.options, **(options or {})}
            async with MemoryVenue(simulator, clock) as line:
                seams = Seams(
                    clock,
                    wire(line),
                    line.http,
                    Undisturbed(),
                    random.Random(seed),
                )
                with use_seams(seams):
                    for run, act in enumerate(acts):
                        named = symbols_then if run and symbols_then else symbols
                        manager = _manager(folder, settings)
                        manager.add_collector(
                            ExchangeCollector(
                                venue.name,
                                list(named),
                                list(data_types),
                                custom_params=params,
                            )
                        )
                        assert await manager.start()
                        await act(manager, line)
                        status = manager.get_status()
                        await manager.stop()
                        await anyio.sleep(pause_s)
            ledger.flush()
            return _read(registry, folder, status, simulator)

        ledger = Ledger(folder / "ledger.jsonl")
        try:
            told: Story = run_virtual(story, seed=seed)
        finally:
            ledger.close()
        return told

    return run


def _manager(folder: Path, settings: EngineSettings | None) -> CollectorManager:
    return CollectorManager(
        sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
        settings=attrs.evolve(settings or EngineSettings(), data_dir=folder),
    )


def _read(
    registry: PluginRegistry,
    folder: Path,
    status: dict[str, Any],
    simulator: SimulatorBase,
) -> Story:
    reader = registry.open_reader(str(folder / "market.db"))
    try:
        return Story(
            folder,
            audit(reader, [folder / "ledger.jsonl"]),
            status,
            simulator,
            [dict(row) for row in reader.trades()],
            [dict(row) for row in reader.gaps()],
            [dict(row) for row in reader.candles()],
            [dict(row) for row in reader.coverage()],
        )
    finally:
        reader.close()
