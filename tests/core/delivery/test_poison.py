"""A record that can never be stored costs itself and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import anyio
import pytest

from tapeline.delivery import RunnerSettings, SinkRunner
from tapeline.model import Gap, Record, Trade
from tapeline.testing import run_virtual
from tapeline.testing.sinks import MemorySink


def poisons(ids: Collection[int]) -> Any:
    """True for trades with these ids."""
    return lambda record: isinstance(record, Trade) and record.last_id in ids


async def deliver(
    delivery: Any,
    sink: MemorySink,
    rows: list[list[Record]],
    settings: RunnerSettings | None = None,
) -> SinkRunner:
    """Let a runner store *rows*; returns it when it is done."""
    runner: SinkRunner = delivery.runner(sink, settings=settings)
    for records in rows:
        delivery.journal.append(records)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runner.run)
        await runner.stop(1_000)
    return runner


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("bad", [{0}, {37}, {59}, {3, 4}, {0, 30, 59}, set(range(60))])
def test_every_other_record_is_stored_once_in_order(
    make_delivery: Any, make_trade: Any, named: bool, bad: set[int]
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = poisons(bad)
        sink.names_refused = named
        rows = [[make_trade(3 * n + k) for k in range(3)] for n in range(20)]
        runner = await deliver(delivery, sink, rows)
        assert runner.state == "stopped"
        stored = [t.last_id for t in sink.database.trades()]
        gaps = sink.database.gaps()
        lost = {gap.from_id for gap in gaps}
        assert stored == sorted(set(range(60)) - lost)
        assert lost >= bad
        if named or len(bad) == 1:
            assert lost == bad
        assert {(g.cause, g.for_sink, g.state) for g in gaps} == {
            ("quarantine", "local", "unrecoverable")
        }
        assert runner.status()["dead_letters"] == len(lost)
        assert runner.cursor == delivery.journal.last

    run_virtual(main)


def test_a_gap_stands_where_the_trade_stood(
    make_delivery: Any, make_trade: Any
) -> None:
    """The others keep their ordinals, which are their identity without ids."""

    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = poisons({1})
        await deliver(delivery, sink, [[make_trade(n) for n in range(3)]])
        first, gap, last = sink.database.records()
        assert (first, last) == (make_trade(0), make_trade(2))
        assert isinstance(gap, Gap)
        assert (gap.from_id, gap.to_id) == (1, 1)
        assert gap.from_ns == gap.to_ns == make_trade(1).exchange_ns
        assert [ordinal for _, _, ordinal in sorted(sink.database.rows)] == [0, 1, 2]

    run_virtual(main)


def test_dead_letters_say_what_and_why_and_are_bounded(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = poisons(range(50))
        rows: list[list[Record]] = [[make_trade(n)] for n in range(60)]
        runner = await deliver(
            delivery, sink, rows, settings=RunnerSettings(dead_letters=10)
        )
        assert runner.status()["dead_letters"] == 50
        letters = runner.dead_letters
        assert [letter.record for letter in letters] == [
            make_trade(n) for n in range(40, 50)
        ]
        assert "expected records that fit" in letters[0].reason

    run_virtual(main)


@pytest.mark.parametrize("named", [True, False])
def test_a_sink_that_refuses_even_the_gaps_still_goes_on(
    make_delivery: Any, make_trade: Any, named: bool
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = lambda record: True
        sink.names_refused = named
        rows = [[make_trade(2 * n), make_trade(2 * n + 1)] for n in range(5)]
        runner = await deliver(delivery, sink, rows)
        assert sink.database.records() == []
        assert runner.status()["dead_letters"] == 10
        assert sink.database.cursors == {
            delivery.journal.journal_id: delivery.journal.last
        }

    run_virtual(main)


@pytest.mark.parametrize("named", [True, False])
def test_an_outage_in_the_middle_of_it_changes_nothing(
    make_delivery: Any, make_trade: Any, named: bool
) -> None:
    async def main() -> None:
        delivery = make_delivery()

        class Flaky(MemorySink):
            """Every third write fails."""

            async def write(self, batch: Any) -> None:
                if self.writes % 3 == 2:
                    self.write_failures = 1
                await super().write(batch)

        sink = Flaky()
        sink.refuse = poisons({5, 33})
        sink.names_refused = named
        rows = [[make_trade(4 * n + k) for k in range(4)] for n in range(12)]
        await deliver(delivery, sink, rows)
        stored = [t.last_id for t in sink.database.trades()]
        assert stored == [n for n in range(48) if n not in (5, 33)]

    run_virtual(main)


def test_a_large_part_without_a_named_culprit_costs_a_bounded_number_of_writes(
    make_delivery: Any, make_trade: Any
) -> None:
    async def main() -> None:
        delivery = make_delivery()
        sink = MemorySink()
        sink.refuse = poisons({1_234, 4_000})
        sink.names_refused = False
        await deliver(delivery, sink, [[make_trade(n) for n in range(5_000)]])
        assert sink.writes < 1_000
        lost = {gap.from_id for gap in sink.database.gaps()}
        stored = {t.last_id for t in sink.database.trades()}
        assert stored | lost == set(range(5_000))
        assert not stored & lost

    run_virtual(main)
