"""Balances of accounts, end to end: kept apart, resynced after a drop, keys refused."""

from __future__ import annotations

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
from tapeline.runtime import EngineSettings, use_seams
from tapeline.seams import Seams
from tapeline.testing import (
    Fault,
    InlineExecutor,
    Market,
    MemoryNetwork,
    MemoryVenue,
    SimulatorBase,
    VirtualClock,
    run_virtual,
)
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_account import SimKey as BinanceKey
from tapeline_binance.simulator_habits import Habits
from tapeline_okx.simulator import OkxSimulator
from tapeline_okx.simulator_account import SimKey as OkxKey
from tapeline_sql import BalanceRepository, Database

MILLISECOND_NS = 1_000_000


@attrs.frozen
class Keys:
    """The key of one account, as the venue and as the collector have it."""

    key: str
    secret: str
    passphrase: str = ""

    def options(self, exchange: str, **wrong: str) -> dict[str, str]:
        """Options of a collector."""
        known = {"api_key": self.key, "api_secret": self.secret}
        if exchange == "okx":
            known["passphrase"] = self.passphrase
        return {**known, **wrong}


ACCOUNTS = {
    "main": Keys("key-of-main", "canary-of-main", "words-of-main"),
    "savings": Keys("key-of-savings", "canary-of-savings", "words-of-savings"),
}


def simulator(
    exchange: str, keys: Keys, seed: int, market: Market, faults: Sequence[Fault]
) -> Any:
    """A venue that knows one account, which changes every second."""
    if exchange == "okx":
        return OkxSimulator(
            market,
            faults=faults,
            keys=[OkxKey(keys.key, keys.secret, keys.passphrase)],
            account_s=1.0,
            seed=seed,
        )
    return BinanceSimulator(
        market,
        faults=faults,
        keys=[BinanceKey(keys.key, keys.secret)],
        habits=Habits(account_s=1.0),
        seed=seed,
    )


def held(exchange: str, venue: Any) -> dict[str, Decimal]:
    """What the account of a simulated venue holds now; no zeros."""
    if exchange == "okx":
        rows = venue.account.balance((), 0)["details"]
        found = {row["ccy"]: Decimal(row["cashBal"]) for row in rows}
    else:
        rows = venue.account.status(MILLISECOND_NS)["balances"]
        found = {
            row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in rows
        }
    return {asset: total for asset, total in found.items() if total}


class Network:
    """A venue for each account, by host."""

    def __init__(self, exchange: str, faults: Sequence[Fault] = ()) -> None:
        self.exchange = exchange
        self.clock = VirtualClock()
        self.simulators: dict[str, SimulatorBase] = {}
        venues: dict[str, MemoryVenue] = {}
        for seed, (name, keys) in enumerate(ACCOUNTS.items()):
            market = Market(seed, rate_hz=0.1, start_ns=self.clock.wall_ns())
            own = faults if name == "main" else ()
            self.simulators[name] = simulator(exchange, keys, seed, market, own)
            venues[f"{name}.test"] = MemoryVenue(self.simulators[name], self.clock)
        self.venues = venues

    def held(self, name: str) -> dict[str, Decimal]:
        """What an account holds at its venue."""
        return held(self.exchange, self.simulators[name])


def collector(
    exchange: str,
    host: str,
    options: Mapping[str, str],
    account: str = "",
    types: Sequence[DataType] = (DataType.BALANCE,),
) -> ExchangeCollector:
    """A collector of the account that lives at *host*."""
    params: dict[str, Any] = {**options, "rest_url": f"https://{host}.test"}
    params["ws_url"] = f"wss://{host}.test"
    if account:
        params["account"] = account
    return ExchangeCollector(
        exchange,
        "BTC-USDT",
        list(types),
        component_name=f"{exchange}-{account or host}",
        custom_params=params,
    )


Body = Callable[[CollectorManager, Network], Awaitable[Any]]


def run(
    folder: Path, exchange: str, body: Body, faults: Sequence[Fault] = ()
) -> Network:
    """*body* with a manager that stores to SQLite."""

    async def inside() -> Network:
        found = Network(exchange, faults)
        async with MemoryNetwork(found.venues) as line:
            seams = Seams(
                found.clock, line.dialer, line.http, InlineExecutor(), random.Random(1)
            )
            with use_seams(seams):
                manager = CollectorManager(
                    sinks=[{"use": "sqlite", "path": str(folder / "market.db")}],
                    settings=EngineSettings(data_dir=folder),
                )
                await body(manager, found)
                await manager.stop()
        return found

    made: Network = run_virtual(inside)
    return made


def newest(folder: Path, exchange: str) -> dict[str, dict[str, Decimal]]:
    """What the database has: account → asset → newest total; no zeros."""

    async def read() -> list[Any]:
        async with Database(folder / "market.db") as database:
            return await BalanceRepository(database).select(exchange).fetch()

    found: dict[str, dict[str, Decimal]] = {}
    for row in sorted(anyio.run(read), key=lambda row: (row.position, row.ordinal)):
        found.setdefault(row.account, {})[row.asset] = row.total
    return {
        account: {asset: total for asset, total in totals.items() if total}
        for account, totals in found.items()
    }


def noting(accounts: set[str]) -> Callable[[Any], None]:
    """A callback that notes whose balances it gets."""

    def note(point: Any) -> None:
        accounts.add(point.account)

    return note


exchanges = pytest.mark.parametrize("exchange", ["okx", "binance"])


@exchanges
def test_two_accounts_of_one_exchange_are_kept_apart_down_to_the_database(
    tmp_path: Path, exchange: str
) -> None:
    heard: dict[str, set[str]] = {}
    at_venue: dict[str, dict[str, Decimal]] = {}

    async def body(manager: CollectorManager, network: Network) -> None:
        for name, keys in ACCOUNTS.items():
            member = collector(exchange, name, keys.options(exchange), account=name)
            heard[name] = set()
            member.add_data_callback(DataType.BALANCE, noting(heard[name]))
            manager.add_collector(member)
        assert await manager.start()
        await anyio.sleep(30.5)
        assert manager.health().ready, manager.health()
        at_venue.update({name: network.held(name) for name in ACCOUNTS})

    run(tmp_path, exchange, body)

    assert heard == {name: {name} for name in ACCOUNTS}
    assert newest(tmp_path, exchange) == at_venue
    assert at_venue["main"] != at_venue["savings"]


@exchanges
def test_what_changed_while_the_line_was_down_is_in_the_next_snapshot(
    tmp_path: Path, exchange: str
) -> None:
    faults = [
        Fault(kind="abort", at_s=20.0),
        Fault(kind="refuse", at_s=19.0, for_s=20.0),
    ]
    at_venue: dict[str, Decimal] = {}

    async def body(manager: CollectorManager, network: Network) -> None:
        keys = ACCOUNTS["main"]
        manager.add_collector(collector(exchange, "main", keys.options(exchange)))
        assert await manager.start()
        await anyio.sleep(25.0)
        assert not manager.health().ready
        account: Any = network.simulators["main"]
        before = network.held("main")
        for _ in range(20):
            # Nobody is subscribed; somebody trades.
            if exchange == "okx":
                account.account.move()
            else:
                account.account.move(network.clock.wall_ns())
        assert network.held("main") != before
        await anyio.sleep(60.5)
        assert manager.health().ready, manager.health()
        at_venue.update(network.held("main"))

    run(tmp_path, exchange, body, faults)

    assert newest(tmp_path, exchange) == {"": at_venue}


@exchanges
@pytest.mark.parametrize("wrong", ["api_key", "api_secret"])
def test_a_key_that_is_refused_has_failed_with_a_sentence_and_is_not_tried_again(
    tmp_path: Path, exchange: str, wrong: str
) -> None:
    async def body(manager: CollectorManager, network: Network) -> None:
        for name, keys in ACCOUNTS.items():
            bad = {wrong: "another-than-the-right-one"} if name == "main" else {}
            options = keys.options(exchange, **bad)
            manager.add_collector(collector(exchange, name, options, account=name))
        await manager.start()
        await anyio.sleep(600.0)

        assert manager.get_failed_collectors() == [f"{exchange}-main"]
        (issue,) = manager.health().issues
        assert issue.startswith(f"collector {exchange}-main has failed: ")
        status = manager.get_status()["collectors"]
        refused = status[f"{exchange}-main"]
        assert refused["status"] == "error"
        assert refused["statistics"]["last_error"] in issue
        assert "another-than" not in issue
        assert status[f"{exchange}-savings"]["status"] == "running"
        assert network.simulators["main"].opened <= 2
        for one in network.simulators.values():
            assert one.police.total == 0

    run(tmp_path, exchange, body)

    assert set(newest(tmp_path, exchange)) == {"savings"}


def test_accounts_that_are_not_named_apart_are_refused(tmp_path: Path) -> None:
    async def body(manager: CollectorManager, network: Network) -> None:
        for name, keys in ACCOUNTS.items():
            manager.add_collector(collector("okx", name, keys.options("okx")))
        assert not await manager.start()
        await anyio.sleep(30.0)

        assert manager.get_running_collectors() == ["okx-main"]
        assert manager.get_failed_collectors() == ["okx-savings"]
        (issue,) = manager.health().issues
        assert "apart from that of collector 'okx-main'" in issue

    run(tmp_path, "okx", body)

    assert set(newest(tmp_path, "okx")) == {""}
