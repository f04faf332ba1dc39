"""What waits for the disk keeps its order, and counts until it is stored."""

from __future__ import annotations

from typing import Any

import pytest

from tapeline.clock import SystemClock
from tapeline.errors import JournalFull
from tapeline.journal.intake import Intake


@pytest.fixture
def intake() -> Intake:
    """Room for about a thousand trades."""
    return Intake(SystemClock(), 1, 100_000)


def test_rows_that_the_disk_refused_come_before_later_ones(
    intake: Intake, make_trade: Any
) -> None:
    trades = [make_trade(number) for number in range(5)]
    for trade in trades[:3]:
        intake.append([trade])
    refused = intake.take()
    for trade in trades[3:]:
        intake.append([trade])

    intake.give_back(refused)

    taken = intake.take()
    assert [row.position for row in taken] == [1, 2, 3, 4, 5]
    assert [row.records for row in taken] == [(trade,) for trade in trades]


def test_what_is_being_written_counts_until_it_is_stored(
    intake: Intake, make_trade: Any
) -> None:
    while intake.pressure < 1:
        intake.append([make_trade(1)])
    taken = intake.take()
    with pytest.raises(JournalFull, match="waiting for the disk"):
        intake.append([make_trade(2)])

    intake.stored(taken)

    assert (intake.nbytes, len(intake)) == (0, 0)
    assert intake.append([make_trade(2)]) == taken[-1].position + 1
