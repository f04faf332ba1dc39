"""Two sockets that carry the same streams: losing one of them loses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import anyio
import pytest

from tapeline.collectors import CollectorManager
from tapeline.model import BookDelta, BookSnapshot, DataType, Ticker
from tapeline.testing import Fault, MemoryVenue

Tell = Callable[..., Any]

BOTH: dict[str, Any] = {"redundancy": 2}
ALL = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
WHOLE = {"okx": {"depth": "books"}, "binance": {"depth": "depth@100ms"}}


def link_of(manager: CollectorManager) -> dict[str, Any]:
    (link,) = manager.get_status()["engine"]["feeds"].values()
    return dict(link)


def states_of(manager: CollectorManager) -> set[str]:
    return {one["state"] for one in link_of(manager)["subscriptions"]}


def listen(manager: CollectorManager) -> list[Any]:
    """Everything that callbacks get from now on."""
    points: list[Any] = []
    engine = manager.engine
    assert engine is not None
    engine.add_consumer(points.append, name="test")
    return points


class Follower:
    """Folds a stream of book events as a consumer would, and checks each link."""

    def __init__(self) -> None:
        self.levels: dict[str, tuple[dict[Decimal, str], dict[Decimal, str]]] = {}
        self.last: dict[str, tuple[int, bool, int]] = {}
        self.snapshots: Counter[str] = Counter()

    def take(self, event: BookSnapshot | BookDelta) -> None:
        """Fold one event; it never goes back in time and never breaks the chain."""
        symbol = event.symbol
        assert event.last_id is not None
        if isinstance(event, BookSnapshot):
            self.levels[symbol] = ({}, {})
            self.snapshots[symbol] += 1
        else:
            last_id, bare, _ = self.last[symbol]
            assert event.link_id is not None
            follows = event.link_id == last_id
            assert follows or (bare and event.link_id <= last_id < event.last_id)
        before = self.last.get(symbol)
        assert before is None or event.last_id >= before[0]
        bare = isinstance(event, BookSnapshot)
        self.last[symbol] = (event.last_id, bare, event.exchange_ns)
        for side, changes in zip(
            self.levels[symbol], (event.bids, event.asks), strict=True
        ):
            for level in changes:
                side[Decimal(level[0])] = level[1]
                if not Decimal(level[1]):
                    del side[Decimal(level[0])]


def test_a_dead_socket_of_two_leaves_no_gap_and_no_repeat(tell: Tell) -> None:
    faults = [Fault(kind="abort", target="one", every_s=5.0, at_s=10.0, for_s=30.0)]
    points: list[Any] = []

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        heard = listen(manager)
        await anyio.sleep(55.0)
        points.extend(heard)
        link = link_of(manager)
        by_socket = Counter(one["socket"] for one in link["sockets"])
        assert set(by_socket.values()) == {2}
        assert {one["copy"] for one in link["sockets"]} == {1, 2}
        assert {one["state"] for one in link["sockets"]} == {"open"}
        assert len({one["connection"] for one in link["sockets"]}) == len(
            link["sockets"]
        )
        assert states_of(manager) == {"live"}
        assert link["reconnects"] >= 5

    told = tell(act, faults=faults, data_types=ALL, options=BOTH, rate_hz=5.0)

    told.check_whole()
    assert told.gaps == []
    tickers: dict[str, list[Ticker]] = {}
    for point in points:
        if isinstance(point, Ticker):
            tickers.setdefault(point.symbol, []).append(point)
    assert len(tickers) == 2
    for found in tickers.values():
        times = [one.exchange_ns for one in found]
        assert times == sorted(times)
        contents = Counter(
            (one.exchange_ns, one.last, one.bid, one.ask) for one in found
        )
        assert max(contents.values()) == 1


def test_both_sockets_dead_is_a_gap_that_is_filled(tell: Tell) -> None:
    faults = [
        Fault(kind="refuse", at_s=14.0, for_s=5.0),
        Fault(kind="abort", at_s=15.0),
    ]

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(40.0)

    told = tell(act, faults=faults, options=BOTH, rate_hz=5.0)

    told.check_whole()
    assert {gap["state"] for gap in told.trade_gaps} == {"closed"}
    assert {gap["cause"] for gap in told.trade_gaps} == {"disconnect"}


@pytest.mark.parametrize("kind", ["abort", "half-open"])
def test_books_switch_to_the_other_socket_and_never_mix(
    tell: Tell, venue: Any, kind: str
) -> None:
    faults = [Fault(kind=kind, target="one", every_s=20.0, at_s=10.0, for_s=100.0)]
    follower = Follower()

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        engine = manager.engine
        assert engine is not None

        def take(point: Any) -> None:
            if isinstance(point, BookSnapshot | BookDelta):
                follower.take(point)

        engine.add_consumer(take, name="test")
        await anyio.sleep(170.0)
        books = manager.get_status()["engine"]["books"]
        assert all(book["valid"] for book in books.values())
        assert all(len(book["standbys"]) == 1 for book in books.values())
        assert all(all(book["standbys"].values()) for book in books.values())
        for stream, state in engine.pipeline.streams.items():
            assert state.book is not None
            for side, kept in zip(
                follower.levels[stream.symbol], state.book.levels(), strict=True
            ):
                assert side == {Decimal(level[0]): level[1] for level in kept}

    told = tell(
        act,
        faults=faults,
        data_types=[DataType.ORDERBOOK],
        options=BOTH | WHOLE[venue.name],
        timeframes=(),
        rate_hz=5.0,
        depth=20,
    )

    assert told.simulator.police.total == 0, told.simulator.police.violations
    assert min(follower.snapshots.values()) >= 2
    if kind == "abort":
        assert told.gaps == []


def test_a_break_of_one_book_goes_on_with_the_other(tell: Tell, venue: Any) -> None:
    """Frames of books are dropped on single sockets; hardly anybody notices."""
    drops = [Fault(kind="drop", channel=WHOLE[venue.name]["depth"], probability=0.002)]
    follower = Follower()
    resyncs: list[int] = []

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        engine = manager.engine
        assert engine is not None

        def take(point: Any) -> None:
            if isinstance(point, BookSnapshot | BookDelta):
                follower.take(point)

        engine.add_consumer(take, name="test")
        await anyio.sleep(300.0)
        resyncs.append(engine.standbys.resyncs)
        assert link_of(manager)["reconnects"] == 0

    told = tell(
        act,
        faults=drops,
        data_types=[DataType.ORDERBOOK],
        options=BOTH | WHOLE[venue.name],
        timeframes=(),
        rate_hz=5.0,
        depth=20,
    )

    assert told.simulator.police.total == 0, told.simulator.police.violations
    assert resyncs[0] > 3
    assert len(told.gaps) <= 1


def test_a_stream_muted_on_one_socket_is_begun_afresh_there(
    tell: Tell, venue: Any
) -> None:
    """The data flows, so nobody else would see that one of two ways is dead."""
    mute = Fault(
        kind="ack-and-mute",
        channel=venue.trades,
        at_s=20.0,
        for_s=10.0,
        probability=1.0,
    )
    tear = Fault(kind="abort", target="one", at_s=20.5)

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(60.0)
        link = link_of(manager)
        assert {one["state"] for one in link["sockets"]} == {"open"}
        before = {one["connection"] for one in link_of(manager)["sockets"]}
        # Whichever is torn now: the other one brings everything.
        exchange: Any = line.exchange
        for connection in list(exchange.connections.values())[:1]:
            exchange.close(connection, None)
        await anyio.sleep(20.0)
        assert {one["connection"] for one in link_of(manager)["sockets"]} != before

    told = tell(act, faults=[mute, tear], options=BOTH, rate_hz=8.0)

    told.check_whole()
    assert told.gaps == []


def test_two_sockets_are_replaced_one_at_a_time(tell: Tell, venue: Any) -> None:
    """Both get the venue's notice in the same moment."""
    notice = Fault(kind="notice", at_s=20.0, deadline_s=20.0)
    open_at_once: list[int] = []
    sockets: list[int] = []

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        await anyio.sleep(10.0)
        sockets.append(len(link_of(manager)["sockets"]))
        exchange: Any = line.exchange
        accept = exchange.open

        def count(*arguments: Any) -> Any:
            refusal = accept(*arguments)
            open_at_once.append(len(exchange.connections))
            return refusal

        exchange.open = count
        await anyio.sleep(40.0)
        assert states_of(manager) == {"live"}

    told = tell(act, faults=[notice], data_types=ALL, options=BOTH, rate_hz=4.0)

    told.check_whole()
    assert told.gaps == []
    assert len(open_at_once) == sockets[0]
    assert max(open_at_once) == sockets[0] + 1


def test_books_survive_a_rotation_without_a_gap(tell: Tell, venue: Any) -> None:
    notices = Fault(kind="notice", at_s=20.0, every_s=40.0, deadline_s=25.0)
    follower = Follower()

    async def act(manager: CollectorManager, line: MemoryVenue) -> None:
        engine = manager.engine
        assert engine is not None

        def take(point: Any) -> None:
            if isinstance(point, BookSnapshot | BookDelta):
                follower.take(point)

        engine.add_consumer(take, name="test")
        await anyio.sleep(150.0)

    told = tell(
        act,
        faults=[notices],
        data_types=[DataType.ORDERBOOK],
        options=WHOLE[venue.name],
        timeframes=(),
        rate_hz=5.0,
        depth=20,
    )

    assert told.gaps == []
    assert told.simulator.police.total == 0, told.simulator.police.violations
