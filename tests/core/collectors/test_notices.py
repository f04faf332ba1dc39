"""Observers hear of every change that matters, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tapeline import StatusChange
from tapeline.clock import Now
from tapeline.collectors.notices import Notices


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 0

    def monotonic_ns(self) -> int:
        """Nanoseconds, as set."""
        return self.ns

    def wall_ns(self) -> int:
        """Nanoseconds, as set."""
        return self.ns

    def now(self) -> Now:
        """Not used here."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Not used here."""
        raise NotImplementedError


Change = Callable[..., None]


@pytest.fixture
def clock() -> SetClock:
    """At zero."""
    return SetClock()


@pytest.fixture
def told() -> list[StatusChange]:
    """What observers heard."""
    return []


@pytest.fixture
def notices(clock: SetClock, told: list[StatusChange]) -> Notices:
    """With a window of a minute."""
    return Notices(clock, told.append, 60.0)


def _change(before: str, after: str, reason: str = "", name: str = "a") -> StatusChange:
    return StatusChange(f"collector {name}", before, after, reason, 1)


def _states(told: list[StatusChange]) -> list[tuple[str, str]]:
    return [(change.before, change.after) for change in told]


def test_changes_are_told_at_once_and_in_order(
    notices: Notices, told: list[StatusChange]
) -> None:
    notices.change(_change("starting", "running"))
    notices.change(_change("running", "error", "reset"))
    notices.change(_change("starting", "running", name="b"))
    assert _states(told) == [
        ("starting", "running"),
        ("running", "error"),
        ("starting", "running"),
    ]
    assert told[1].reason == "reset"


def test_the_same_state_is_not_told_again(
    notices: Notices, told: list[StatusChange]
) -> None:
    for _ in range(5):
        notices.change(_change("running", "error", "reset"))
    notices.due()
    assert len(told) == 1


def test_a_component_that_flaps_is_told_of_a_few_times_and_then_with_a_count(
    notices: Notices, told: list[StatusChange], clock: SetClock
) -> None:
    for second in range(40):
        clock.ns = second * 10**9
        before, after = ("error", "running") if second % 2 else ("running", "error")
        notices.change(_change(before, after, f"change {second}"))
        notices.due()
    assert [change.after for change in told] == ["error", "running"] * 3
    clock.ns = 66 * 10**9
    notices.due()
    assert len(told) == 6, "it came back to what was told last"

    notices.change(_change("running", "error", "down"))
    assert _states(told)[6:] == [("running", "error")]


def test_what_changed_in_a_flood_is_told_when_the_window_allows(
    notices: Notices, told: list[StatusChange], clock: SetClock
) -> None:
    for second in range(41):
        clock.ns = second * 10**9
        before, after = ("error", "running") if second % 2 else ("running", "error")
        notices.change(_change(before, after, f"change {second}"))
    assert len(told) == 6
    clock.ns = 61 * 10**9
    notices.due()
    assert _states(told)[6:] == [("running", "error")]
    assert told[-1].reason == "change 40 (after 35 changes)"


def test_a_component_that_was_removed_begins_anew(
    notices: Notices, told: list[StatusChange]
) -> None:
    notices.change(_change("starting", "running"))
    notices.forget("collector a")
    notices.change(_change("starting", "running"))
    assert len(told) == 2
