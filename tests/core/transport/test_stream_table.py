"""The reconciler alone, against a venue that loses, refuses and repeats."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.model import Rejected, Subscription
from tapeline.transport.streams import StreamTable

S = 10**9
STREAMS = [Subscription("x", "spot", f"S{n}", "trade", "trades") for n in range(6)]

wishes = st.lists(st.sets(st.sampled_from(STREAMS)), min_size=1, max_size=8)
faults = st.lists(
    st.sampled_from(["ok", "lost", "ack-lost", "busy", "repeat"]), max_size=60
)


@settings(max_examples=100, deadline=None)
@given(wishes, faults, st.integers(0, 1000))
def test_active_becomes_desired_once_the_venue_behaves(
    wanted: list[set[Subscription]], misfortunes: list[str], seed: int
) -> None:
    table = StreamTable(random.Random(seed))
    active: set[Subscription] = set()
    now_ns = 0
    luck = iter(misfortunes)

    def answer(subscription: Subscription, on: bool) -> None:
        fate = next(luck, "ok")
        if fate == "lost":
            return
        if fate == "busy" and on:
            table.refused(Rejected(subscription, "busy", "", permanent=False), now_ns)
            return
        (active.add if on else active.discard)(subscription)
        if fate == "ack-lost":
            return
        for _ in range(2 if fate == "repeat" else 1):
            stream = table.acked(subscription, on)
            if stream is not None and on:
                stream.opened = True

    for turn in range(120):
        if turn % 10 == 0 and turn // 10 < len(wanted):
            table.want(wanted[turn // 10])
        table.overdue(now_ns)
        plan = table.plan(now_ns)
        asked = [one for group in plan.ask for one in group]
        assert len(asked) == len(set(asked))
        assert not set(asked) & set(plan.leave)
        table.mark_leaving(plan.leave, plan.leave)
        table.written(plan.leave, True, now_ns)
        for one in plan.leave:
            answer(one, False)
        for group in plan.ask:
            table.mark_asked(group)
            table.written(group, False, now_ns)
            for one in group:
                answer(one, True)
        soonest = table.next_ns(now_ns)
        assert soonest is None or soonest > now_ns
        now_ns += S
    for _ in range(120):
        now_ns = table.next_ns(now_ns) or now_ns + S
        table.overdue(now_ns)
        plan = table.plan(now_ns)
        table.mark_leaving(plan.leave, plan.leave)
        table.written(plan.leave, True, now_ns)
        for one in plan.leave:
            answer(one, False)
        for group in plan.ask:
            table.mark_asked(group)
            table.written(group, False, now_ns)
            for one in group:
                answer(one, True)
    assert active == (wanted[min(len(wanted), 30) - 1])
    assert {stream.subscription for stream in table.wanted()} == active


def test_a_permanent_refusal_is_not_asked_again() -> None:
    table = StreamTable(random.Random(1))
    table.want(STREAMS[:1])
    table.mark_asked(STREAMS[:1])
    table.refused(Rejected(STREAMS[0], "60018", "no such symbol"), 0)
    assert table.plan(10**18).ask == []
    assert table.next_ns(0) is None


def test_wanting_again_forgives_a_refusal() -> None:
    table = StreamTable(random.Random(1))
    table.want(STREAMS[:1])
    table.mark_asked(STREAMS[:1])
    table.refused(Rejected(STREAMS[0], "60018", "no such symbol"), 0)
    table.want([])
    table.want(STREAMS[:1])
    assert table.plan(0).ask == [STREAMS[:1]]


def test_a_stream_that_needs_no_frame_to_end_is_gone_at_once() -> None:
    table = StreamTable(random.Random(1))
    table.want(STREAMS[:1])
    table.mark_asked(STREAMS[:1])
    table.want([])
    assert table.plan(0).leave == STREAMS[:1]
    table.mark_leaving(STREAMS[:1], ())
    assert table.plan(0).leave == []


def test_a_stream_that_the_venue_ends_by_itself_is_asked_again() -> None:
    table = StreamTable(random.Random(1))
    table.want(STREAMS[:1])
    table.mark_asked(STREAMS[:1])
    table.acked(STREAMS[0], True)
    assert table.plan(0).ask == []
    table.acked(STREAMS[0], False)
    assert table.plan(0).ask == [STREAMS[:1]]


def test_what_was_left_unanswered_is_asked_for_in_small_groups_then_alone() -> None:
    """One symbol for which the venue never answers cannot hold the others back."""
    many = [Subscription("x", "spot", f"S{n}", "trade", "trades") for n in range(16)]
    table = StreamTable(random.Random(1))
    table.want(many)
    now_ns, sizes = 0, []
    for _ in range(3):
        plan = table.plan(now_ns)
        sizes.append([len(group) for group in plan.ask])
        for group in plan.ask:
            table.mark_asked(group)
            table.written(group, False, now_ns)
        now_ns += 10 * S
        table.overdue(now_ns)
        now_ns += 600 * S
    assert sizes == [[16], [4] * 4, [1] * 16]
