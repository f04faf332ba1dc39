"""When invalid books are asked for, how, and how often."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import BookDelta, BookSnapshot, Channel, Continuity, Subscription
from tapeline.runtime import Pipeline
from tapeline.runtime.book_keeper import BookKeeper
from tapeline.transport import StreamOpened

S = 10**9
LEVELS = (("1", "1"),)


class FakeLink:
    """Notes what it is asked for."""

    name = "fake"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str, object]] = []
        self.under_way = ""

    def resync(self, subscription: Subscription) -> None:
        self._note("resync", subscription.symbol)

    def resubscribe_all(
        self, subscriptions: Sequence[Subscription], cause: str
    ) -> None:
        self._note("resubscribe", len(subscriptions))

    def socket_of(self, subscription: Subscription) -> int | None:
        return 7

    def drop_socket(self, number: int) -> None:
        self._note("drop", number)

    def pending(self, subscription: Subscription) -> str:
        return self.under_way

    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.asked]

    def _note(self, kind: str, what: object) -> None:
        self.asked.append((self.clock.now_ns / S, kind, what))


class FakeClock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_ns = S

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here sleeps")


class World:
    """Books of a pipeline, their keeper and its link."""

    def __init__(self, count: int = 1) -> None:
        self.clock = FakeClock()
        self.newest_id = 1
        self.link = FakeLink(self.clock)
        self.pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
        self.keeper = BookKeeper(
            self.pipeline.streams, lambda _: [self.link], self.clock
        )
        self.streams = [
            Subscription("x", "spot", f"S{n}", "orderbook", "books", "seq")
            for n in range(count)
        ]
        channel = Channel("books", "orderbook", Continuity.SEQUENCED, "seq")
        for stream in self.streams:
            self.pipeline.register(stream, channel)
            mark = StreamOpened(stream, 1, self.clock.now_ns)
            self.pipeline.process([mark], self.clock.now_ns)

    def snapshot(self, stream: Subscription) -> None:
        now_ns = self.clock.now_ns
        event = BookSnapshot(stream, LEVELS, LEVELS, self.newest_id, now_ns, now_ns)
        self.pipeline.process([event], now_ns)

    def lose(self, stream: Subscription) -> None:
        """A change comes that follows nothing that we have."""
        now_ns = self.clock.now_ns
        link_id = self.newest_id + 1
        self.newest_id = link_id + 1
        event = BookDelta(stream, LEVELS, (), link_id, link_id + 1, now_ns, now_ns)
        for broken in self.pipeline.process([event], now_ns).broken_books:
            self.keeper.broke(broken)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.now_ns += S // 4
            self.keeper.look()


def test_an_invalid_book_is_asked_for_more_slowly_and_with_stronger_means() -> None:
    world = World()
    world.snapshot(world.streams[0])
    world.lose(world.streams[0])
    world.wait(300)

    times = [round(at - 1) for at, _, _ in world.link.asked]
    assert world.link.kinds()[:7] == ["resync"] * 3 + ["resubscribe"] * 3 + ["drop"]
    assert times[:3] == [0, 2, 6]
    assert all(b - a <= 62 for a, b in itertools.pairwise(times))
    assert "resync" not in world.link.kinds()[3:]


def test_sockets_are_dropped_ever_more_rarely_for_a_hopeless_book() -> None:
    world = World()
    world.wait(6 * 3600)

    drops = [at for at, kind, _ in world.link.asked if kind == "drop"]
    assert 4 <= len(drops) <= 7
    assert drops[-1] - drops[-2] > 3600


def test_a_first_snapshot_gets_time_to_come() -> None:
    world = World()
    world.wait(2)
    assert world.link.asked == []
    world.snapshot(world.streams[0])
    world.wait(60)
    assert world.link.asked == []


def test_a_book_that_breaks_at_once_again_waits_its_turn() -> None:
    world = World()
    (stream,) = world.streams
    for _ in range(240):
        world.snapshot(stream)
        world.lose(stream)
        world.wait(0.5)

    times = [at for at, kind, _ in world.link.asked if kind == "resync"]
    assert len(times) <= 7
    assert min(b - a for a, b in itertools.pairwise(times)) >= 2


def test_a_book_that_was_healthy_is_asked_for_at_once_again() -> None:
    world = World()
    (stream,) = world.streams
    world.snapshot(stream)
    for _ in range(3):
        asked = len(world.link.asked)
        world.lose(stream)
        assert len(world.link.asked) == asked + 1
        world.snapshot(stream)
        world.wait(61)


def test_what_is_under_way_is_not_asked_for_again() -> None:
    world = World()
    world.link.under_way = "request"
    world.snapshot(world.streams[0])
    world.lose(world.streams[0])
    world.wait(600)
    assert world.link.asked == []
    world.link.under_way = ""
    world.wait(3)
    assert world.link.kinds() == ["resync"]


def test_a_socket_whose_frames_wait_too_long_is_dropped() -> None:
    world = World()
    world.link.under_way = "frame"
    world.snapshot(world.streams[0])
    world.lose(world.streams[0])
    world.wait(115)
    assert world.link.asked == []
    world.wait(10)
    assert world.link.kinds() == ["drop"]


def test_many_books_broken_at_once_cost_few_frames() -> None:
    world = World(200)
    for stream in world.streams:
        world.snapshot(stream)
    for stream in world.streams:
        world.lose(stream)
    world.wait(3)

    assert world.link.kinds() == ["resync"] * 20 + ["resubscribe"]
    assert world.link.asked[-1][2] == 180


def test_streams_that_are_not_subscribed_are_left_alone() -> None:
    world = World()
    world.pipeline.streams[world.streams[0]].sources.clear()
    world.wait(600)
    assert world.link.asked == []
    assert world.keeper.status()["x:spot:S0:books"]["valid"] is False
