"""Books of several connections: one is published, and another takes over."""

from __future__ import annotations

from typing import Any

import pytest

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    BookDelta,
    BookSnapshot,
    Channel,
    Continuity,
    Coverage,
    Gap,
    Subscription,
)
from tapeline.runtime import Output, Pipeline
from tapeline.transport import Sourced, StreamLost, StreamOpened

STREAM = Subscription("okx", "spot", "BTC-USDT", "orderbook", "books")
CHANNEL = Channel("books", "orderbook", Continuity.SEQUENCED)
MS = 10**6


class World:
    """A pipeline with one book, and connections that bring it."""

    def __init__(self) -> None:
        ledger = StreamLedger(IntegritySettings(), GapIds(0))
        self.pipeline = Pipeline(ledger, book_sample_ns=0)
        self.state = self.pipeline.register(STREAM, CHANNEL)
        self.now_ns = 10**12
        self.live: list[Any] = []
        self.gaps: list[Gap] = []
        self.out = Output()

    def do(self, *items: Any) -> Output:
        """Run *items* through the pipeline."""
        self.now_ns += MS
        self.out = self.pipeline.process(items, self.now_ns)
        self.live += self.out.live
        self.gaps += [one for one in self.out.journal if isinstance(one, Gap)]
        return self.out

    def open(self, connection: int) -> None:
        self.do(StreamOpened(STREAM, connection, self.now_ns))

    def lose(self, connection: int, cause: str = "disconnect") -> None:
        self.do(StreamLost(STREAM, connection, cause, self.now_ns))

    def snapshot(self, connection: int, last_id: int) -> None:
        level = [(str(last_id), "1")]
        event = BookSnapshot(STREAM, level, (), last_id, last_id * MS, self.now_ns)
        self.do(Sourced(event, connection))

    def delta(self, connection: int, link_id: int, last_id: int | None = None) -> None:
        last_id = link_id + 1 if last_id is None else last_id
        level = [(str(last_id), "1")]
        event = BookDelta(
            STREAM, level, (), link_id, last_id, last_id * MS, self.now_ns
        )
        self.do(Sourced(event, connection))

    @property
    def shown(self) -> list[tuple[str, int]]:
        """What consumers got: kind and last id."""
        return [
            ("snapshot" if isinstance(one, BookSnapshot) else "delta", one.last_id)
            for one in self.live
        ]


@pytest.fixture
def world() -> World:
    """One connection that publishes and one that stands by, both at id 11."""
    made = World()
    for connection in (1, 2):
        made.open(connection)
        made.snapshot(connection, 10)
        made.delta(connection, 10)
    assert made.shown == [("snapshot", 10), ("delta", 11)]
    made.live.clear()
    return made


def test_only_the_first_connection_is_heard(world: World) -> None:
    world.delta(2, 11)
    assert world.shown == []
    world.delta(1, 11)
    world.delta(2, 12)
    assert world.shown == [("delta", 12)]


def test_the_other_goes_on_with_a_snapshot_when_the_first_is_lost(
    world: World,
) -> None:
    world.delta(1, 11)
    world.delta(2, 11)
    world.lose(1)
    world.delta(2, 12)
    assert world.shown == [("delta", 12), ("snapshot", 12), ("delta", 13)]
    assert world.gaps == []
    assert world.state.book is not None
    assert world.state.book.valid
    assert {price for price, _ in world.state.book.levels()[0]} == {
        "10", "11", "12", "13",
    }  # fmt: skip


def test_one_that_is_behind_is_waited_for_and_leaves_no_gap(world: World) -> None:
    world.delta(1, 11)
    world.delta(1, 12)
    world.lose(1)
    world.delta(2, 11)
    world.delta(2, 12)
    assert world.shown == [("delta", 12), ("delta", 13)]
    world.delta(2, 13)
    assert world.shown[2:] == [("delta", 14)]
    assert world.gaps == []


def test_one_that_is_behind_and_dies_leaves_a_gap(world: World) -> None:
    world.delta(1, 11)
    world.lose(1)
    world.lose(2)
    world.open(3)
    world.snapshot(3, 20)
    (gap,) = world.gaps
    assert gap.cause == "disconnect"
    assert (gap.from_ns, gap.to_ns) == (12 * MS, 20 * MS)
    assert world.shown[-1] == ("snapshot", 20)


def test_one_that_is_behind_and_breaks_leaves_a_gap(world: World) -> None:
    world.delta(1, 11)
    world.lose(1)
    world.delta(2, 14)
    assert world.out.broken_books == [STREAM]
    world.snapshot(2, 20)
    assert [gap.cause for gap in world.gaps] == ["sequence"]
    assert world.shown == [("delta", 12), ("snapshot", 20)]


def test_a_broken_book_waits_for_one_that_is_behind(world: World) -> None:
    """Also when the connection that broke it has ended meanwhile."""
    world.delta(1, 11)
    world.delta(1, 12)
    world.delta(1, 15)
    world.lose(1)
    world.delta(2, 11)
    assert world.shown == [("delta", 12), ("delta", 13)]
    world.delta(2, 12)
    assert world.shown[2:] == [("snapshot", 13)]
    assert [gap.cause for gap in world.gaps] == ["sequence"]


def test_a_break_goes_on_with_the_other_at_once(world: World) -> None:
    world.delta(2, 11)
    world.delta(2, 12)
    world.delta(1, 13)
    assert world.shown == [("snapshot", 13)]
    assert world.gaps == []
    assert world.out.broken_books == []
    assert world.out.broken_standbys == [(STREAM, 1)]
    world.delta(2, 13)
    world.snapshot(1, 14)
    world.delta(1, 14)
    assert world.shown[1:] == [("delta", 14)]
    world.lose(2)
    assert world.shown[2:] == [("snapshot", 15)]


def test_a_break_with_no_other_to_go_on_asks_both_and_is_a_gap(world: World) -> None:
    world.delta(2, 15)
    assert world.out.broken_standbys == [(STREAM, 2)]
    world.delta(1, 15)
    assert world.out.broken_books == [STREAM]
    world.snapshot(2, 20)
    assert world.shown == [("snapshot", 20)]
    assert [gap.cause for gap in world.gaps] == ["sequence"]
    world.delta(2, 20)
    assert world.shown[1:] == [("delta", 21)]


def test_a_book_that_is_broken_and_older_does_not_go_backwards(world: World) -> None:
    world.delta(1, 11)
    world.delta(1, 12)
    world.delta(1, 15)
    assert world.out.broken_books == [STREAM]
    world.delta(2, 11)
    assert world.shown == [("delta", 12), ("delta", 13)]
    world.delta(2, 12)
    assert world.shown[2:] == [("snapshot", 13)]


def test_a_new_connection_takes_the_book_over_before_its_own_snapshot() -> None:
    """A snapshot over REST may take minutes; the chain of changes does not break."""
    world = World()
    world.open(1)
    world.snapshot(1, 10)
    world.delta(1, 10)
    world.open(2)
    world.delta(2, 9, 12)
    world.delta(1, 11)
    world.lose(1, "rotation")
    world.delta(2, 12)
    assert world.gaps == []
    assert world.shown == [
        ("snapshot", 10), ("delta", 11), ("delta", 12), ("delta", 13),
    ]  # fmt: skip
    assert world.state.publisher == 2


def test_a_new_connection_with_a_hole_does_not_take_over() -> None:
    world = World()
    world.open(1)
    world.snapshot(1, 10)
    world.open(2)
    world.delta(2, 14)
    world.lose(1, "rotation")
    world.delta(2, 15)
    assert world.shown == [("snapshot", 10)]
    world.snapshot(2, 16)
    (gap,) = world.gaps
    assert gap.cause == "rotation"
    assert (gap.from_ns, gap.to_ns) == (10 * MS, 16 * MS)


def test_a_standby_that_ends_is_forgotten(world: World) -> None:
    world.lose(2)
    assert world.state.standbys == {}
    world.lose(1)
    world.do()
    records: list[Any] = []
    world.pipeline.ledger.close(world.now_ns, records)
    assert [type(one) for one in records] == [Coverage]
