"""The simulator's books: snapshots over REST, and the streams that continue them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import attrs
import pytest

from tapeline.hookspecs import SimFrame, SimPing
from tapeline.testing import START_NS, Fault, Market
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_habits import Habits

SECOND = 10**9
NOW = START_NS + 60 * SECOND
SPOT = ("/ws", "/api/v3/depth?symbol=BTCUSDT&limit=5000")
FUTURES = ("/public/ws", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
KINDS = pytest.mark.parametrize("kind", [SPOT, FUTURES], ids=["spot", "futures"])


@attrs.define
class Book:
    """A book kept by the venue's published steps; *branch* tells how it was begun."""

    last: int
    bids: dict[Decimal, Decimal]
    asks: dict[Decimal, Decimal]
    branch: str = ""
    gaps: int = 0
    crossed: int = 0
    unknown: int = 0

    def apply(self, event: Any) -> None:
        """One event, which follows on the last."""
        for side, rows in (("bids", event["b"]), ("asks", event["a"])):
            levels: dict[Decimal, Decimal] = getattr(self, side)
            for price, size in rows:
                if Decimal(size):
                    levels[Decimal(price)] = Decimal(size)
                elif levels.pop(Decimal(price), None) is None:
                    self.unknown += 1
        self.last = event["u"]
        self.crossed += max(self.bids) >= min(self.asks)


def book_of(snapshot: Any) -> Book:
    """The book of a REST snapshot."""
    bids, asks = (
        {Decimal(price): Decimal(size) for price, size in snapshot[side]}
        for side in ("bids", "asks")
    )
    return Book(snapshot["lastUpdateId"], bids, asks)


def link(event: Any) -> int:
    """The update id that *event* follows on."""
    return int(event["pu"]) if "pu" in event else int(event["U"]) - 1


def splice(snapshot: Any, events: Sequence[Any]) -> Book | None:
    """Continue *snapshot* with *events*; None when it is older than all of them."""
    book = book_of(snapshot)
    if events and book.last < link(events[0]):
        return None
    rest = [event for event in events if event["u"] > book.last]
    book.branch = "newer" if not rest else "inside"
    if rest and link(rest[0]) == book.last:
        book.branch = "exact"
    for event in rest:
        if not link(event) <= book.last and link(event) != book.last:
            book.gaps += 1
        book.apply(event)
    return book


class Driver:
    """A simulator with one socket."""

    def __init__(
        self, kind: tuple[str, str], *faults: Fault, rate_hz: float = 20, **habits: Any
    ) -> None:
        market = Market(1, rate_hz=rate_hz, depth=60)
        plenty = Habits(spot_weight=10**9, futures_weight=10**9, **habits)
        self.venue = BinanceSimulator(market, faults=faults, habits=plenty)
        self.now_ns = NOW
        self.path, self.rest = kind
        assert self.venue.open(1, self.path, {}, NOW) is None

    def subscribe(self, *channels: str) -> None:
        """Subscribe channels of one symbol."""
        names = [f"btcusdt@{channel}" for channel in channels]
        request = {"method": "SUBSCRIBE", "params": names, "id": 1}
        self.venue.receive(1, json.dumps(request), self.now_ns)
        assert len(self.venue.outputs()) == 1

    def advance(self, seconds: float) -> list[Any]:
        """Let time pass; the frames that came."""
        found = []
        end_ns = self.now_ns + int(seconds * SECOND)
        while self.now_ns < end_ns:
            self.now_ns = min(end_ns, self.now_ns + 10 * SECOND)
            self.venue.advance(self.now_ns)
            for output in self.venue.outputs():
                if isinstance(output, SimFrame):
                    found.append(json.loads(output.frame))
                else:
                    assert isinstance(output, SimPing)
                    self.venue.pong(output.conn, output.payload, self.now_ns)
        return found

    def snapshot(self) -> Any:
        """The book over REST."""
        answer = self.venue.request("GET", self.rest, {}, self.now_ns)
        assert answer.status == 200
        return json.loads(answer.body)


@KINDS
def test_the_stream_continues_a_snapshot_from_any_moment(kind: tuple[str, str]) -> None:
    """Whenever it is taken, snapshot and stream give the later snapshot, exactly."""
    driver = Driver(kind)
    driver.subscribe("depth@100ms")
    events: list[Any] = []
    taken = []
    for _ in range(40):
        events += driver.advance(0.037)
        taken.append((len(events), driver.snapshot()))
    events += driver.advance(3)
    driver.venue.market.halt(
        "spot" if kind is SPOT else "swap", "BTC-USDT", driver.now_ns
    )
    events += driver.advance(1)
    end = book_of(driver.snapshot())

    branches = set()
    for _, snapshot in taken:
        book = splice(snapshot, events)
        assert book is not None
        branches.add(book.branch)
        assert (book.gaps, book.crossed) == (0, 0)
        assert (book.last, book.bids, book.asks) == (end.last, end.bids, end.asks)
    assert branches == {"inside", "exact"}
    assert splice(taken[-1][1], events[: taken[-1][0]]) is not None


@KINDS
def test_a_lagging_snapshot_takes_every_branch_of_the_splice(
    kind: tuple[str, str],
) -> None:
    driver = Driver(kind, rate_hz=100, depth_lag_s=0.25)
    driver.advance(1)
    driver.subscribe("depth@100ms")
    events = driver.advance(0.2)
    assert events
    assert splice(driver.snapshot(), events) is None

    branches = []
    for _ in range(30):
        events += driver.advance(0.1)
        book = splice(driver.snapshot(), events)
        assert book is not None
        branches.append(book.branch)
        assert (book.gaps, book.crossed) == (0, 0)
    assert {"inside", "exact"} <= set(branches)


@KINDS
def test_a_snapshot_may_be_newer_than_all_that_was_buffered(
    kind: tuple[str, str],
) -> None:
    driver = Driver(kind, rate_hz=100)
    driver.subscribe("depth@100ms")
    events = driver.advance(1)
    driver.advance(0.05)
    book = splice(driver.snapshot(), events)

    assert book is not None
    assert book.branch == "newer"


@KINDS
def test_a_lagging_snapshot_is_the_book_as_it_was(kind: tuple[str, str]) -> None:
    now, past = Driver(kind), Driver(kind, depth_lag_s=2.0)
    for driver in (now, past):
        driver.advance(1)
    then = now.snapshot()
    past.advance(2)
    late = past.snapshot()

    for key in ("lastUpdateId", "bids", "asks"):
        assert late[key] == then[key]


def test_spot_ids_follow_on_each_other() -> None:
    driver = Driver(SPOT)
    driver.subscribe("depth@100ms")
    events = driver.advance(30)

    assert list(events[0]) == ["e", "E", "s", "U", "u", "b", "a"]
    assert all(two["U"] == one["u"] + 1 for one, two in pairwise(events))
    assert all(event["U"] <= event["u"] for event in events)


def test_futures_are_chained_by_the_id_before_and_never_by_one() -> None:
    driver = Driver(FUTURES)
    driver.subscribe("depth@100ms")
    events = driver.advance(30)

    keys = ["e", "E", "T", "s", "ps", "st", "U", "u", "pu", "b", "a"]
    assert list(events[0]) == keys
    assert all(two["pu"] == one["u"] for one, two in pairwise(events))
    assert not [1 for one, two in pairwise(events) if two["U"] == one["u"] + 1]
    assert all(event["pu"] < event["U"] <= event["u"] for event in events)
    assert all(event["T"] <= event["E"] for event in events)


def test_sides_may_be_empty_and_unknown_levels_deleted() -> None:
    driver = Driver(SPOT, rate_hz=5, stray=0.2)
    driver.subscribe("depth@100ms")
    snapshot = driver.snapshot()
    events = driver.advance(60)
    book = splice(snapshot, events)

    assert book is not None
    assert book.unknown > 10
    assert [event for event in events if not event["b"]]
    assert [event for event in events if not event["a"]]
    assert not [event for event in events if not event["a"] and not event["b"]]


@KINDS
def test_all_speeds_and_the_best_levels_tell_of_the_same_book(
    kind: tuple[str, str],
) -> None:
    driver = Driver(kind, rate_hz=50)
    slow = "depth@1000ms" if kind is SPOT else "depth@500ms"
    driver.subscribe("depth@100ms", slow, "bookTicker", "depth20@100ms")
    fast, lagging = (book_of(driver.snapshot()) for _ in range(2))
    tops: dict[int, Any] = {}
    full: dict[int, Any] = {}
    checked = 0
    for event in driver.advance(20):
        if "B" in event:
            tops[event["u"]] = event
        elif "lastUpdateId" in event:
            full[event["lastUpdateId"]] = (event["bids"], event["asks"])
        elif len(event["b"]) == 20 == len(event["a"]) and kind is FUTURES:
            full[event["u"]] = (event["b"], event["a"])
        else:
            follower = fast if link(event) == fast.last else lagging
            assert link(event) == follower.last
            follower.apply(event)
            checked += _agrees(follower, tops, full)
    assert checked > 50


def _agrees(book: Book, tops: dict[int, Any], full: dict[int, Any]) -> int:
    checked = 0
    top = tops.get(book.last)
    if top is not None:
        checked += 1
        bid, ask = max(book.bids), min(book.asks)
        assert (bid, ask) == (Decimal(top["b"]), Decimal(top["a"]))
        assert (book.bids[bid], book.asks[ask]) == (
            Decimal(top["B"]),
            Decimal(top["A"]),
        )
    if book.last in full:
        checked += 1
        bids, asks = full[book.last]
        best = sorted(book.bids, reverse=True)[:20]
        assert [(Decimal(p), Decimal(s)) for p, s in bids] == [
            (price, book.bids[price]) for price in best
        ]
        assert [Decimal(price) for price, _ in asks] == sorted(book.asks)[:20]
    return checked


def _breaks(events: Sequence[Any]) -> Iterator[int]:
    for place, (one, two) in enumerate(pairwise(events)):
        if link(two) != one["u"]:
            yield place


@KINDS
def test_a_lost_update_breaks_the_chain(kind: tuple[str, str]) -> None:
    fault = Fault(kind="drop", channel="depth@100ms", probability=0.1)
    driver = Driver(kind, fault)
    driver.subscribe("depth@100ms")

    assert len(list(_breaks(driver.advance(30)))) > 5


@KINDS
def test_a_reset_goes_on_from_far_ahead_with_a_hole(kind: tuple[str, str]) -> None:
    driver = Driver(kind, Fault(kind="reset-sequence", at_s=5))
    driver.venue.advance(NOW)
    driver.subscribe("depth@100ms")
    events = driver.advance(10)
    (place,) = _breaks(events)

    assert link(events[place + 1]) > events[place]["u"] + 100_000
    late = splice(driver.snapshot(), events)
    assert late is not None
    assert all(event["U"] <= event["u"] for event in events)


@KINDS
def test_a_crossed_book_is_repaired_by_the_next_update(kind: tuple[str, str]) -> None:
    driver = Driver(kind, Fault(kind="crossed-book", at_s=5), one_sided=0, stray=0)
    driver.venue.advance(NOW)
    driver.subscribe("depth@100ms")
    snapshot = driver.snapshot()
    book = splice(snapshot, driver.advance(10))

    assert book is not None
    assert (book.crossed, book.gaps) == (1, 0)
    assert max(book.bids) < min(book.asks)


def test_a_quiet_book_says_nothing() -> None:
    driver = Driver(SPOT, rate_hz=0)
    driver.subscribe("depth@100ms", "bookTicker")

    assert driver.advance(300) == []


def test_the_depth_of_a_snapshot_is_what_was_asked_for() -> None:
    for kind, default in ((SPOT, 60), (FUTURES, 60)):
        driver = Driver(kind)
        base = driver.rest.partition("&")[0]
        for query, expected in (("", default), ("&limit=5", 5), ("&limit=10", 10)):
            driver.rest = base + query
            snapshot = driver.snapshot()
            assert len(snapshot["bids"]) == len(snapshot["asks"]) == expected
            bids = [Decimal(price) for price, _ in snapshot["bids"]]
            assert bids == sorted(bids, reverse=True)
