"""Bans and pauses over restarts and steps of the wall clock."""

from __future__ import annotations

import pytest

from tapeline.journal import MemoryJournal
from tapeline.runtime.bans import LONGEST_S, JournalBans
from tapeline.testing import VirtualClock, run_virtual

HOUR_NS = 3_600 * 10**9


def test_a_restart_knows_what_is_left_of_a_pause() -> None:
    async def main() -> None:
        clock = VirtualClock()
        journal = MemoryJournal(clock)
        before = JournalBans(clock)
        before.remember("early", 50.0)
        before.use(journal)
        before.remember("okx:limited", 20.0)
        before.remember("okx:limited", 5.0)
        await clock.sleep(8.0)
        after = JournalBans(clock)
        after.use(journal)
        assert after.left_s("okx:limited") == pytest.approx(12.0)
        assert after.left_s("binance") == 0.0
        await clock.sleep(12.0)
        assert after.left_s("okx:limited") == before.left_s("okx:limited") == 0.0
        assert before.left_s("early") == pytest.approx(30.0)

    run_virtual(main)


@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS])
def test_a_step_of_the_wall_clock_moves_no_end(step_ns: int) -> None:
    async def main() -> None:
        clock = VirtualClock()
        bans = JournalBans(clock)
        bans.use(MemoryJournal(clock))
        bans.remember("okx", 20.0)
        clock.step_wall(step_ns)
        assert bans.left_s("okx") == pytest.approx(20.0)

    run_virtual(main)


def test_a_ban_from_a_clock_far_off_ends_all_the_same() -> None:
    async def main() -> None:
        clock = VirtualClock()
        journal = MemoryJournal(clock)
        journal.remember_ban("okx", clock.wall_ns() + 10**4 * HOUR_NS)
        bans = JournalBans(clock)
        bans.use(journal)
        assert bans.left_s("okx") == pytest.approx(LONGEST_S)

    run_virtual(main)
