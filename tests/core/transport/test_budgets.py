"""Budgets: strict rolling windows, shared where the venue shares them."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.errors import ContractError
from tapeline.model import Budget
from tapeline.testing.virtual_time import VirtualClock, run_virtual
from tapeline.transport import BudgetKeeper, BudgetPool


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 20),
    window_s=st.sampled_from([0.5, 1.0, 7.0]),
    share=st.sampled_from([0.5, 0.9, 1.0]),
    takers=st.lists(
        st.tuples(st.floats(0, 20), st.integers(1, 20), st.booleans()), max_size=40
    ),
)
def test_no_window_ever_holds_more_than_the_allowance(
    limit: int, window_s: float, share: float, takers: list[tuple[float, int, bool]]
) -> None:
    budget = Budget("b", limit, window_s, share=share)
    allowance = max(1, int(limit * share))
    spent: list[tuple[int, int]] = []

    async def scenario() -> None:
        clock = VirtualClock()
        keeper = BudgetKeeper([budget], clock)

        async def taker(at_s: float, units: int, urgent: bool) -> None:
            await anyio.sleep(at_s)
            await keeper.take({"b": units}, urgent)
            spent.append((clock.monotonic_ns(), units))

        async with anyio.create_task_group() as tasks:
            for at_s, units, urgent in takers:
                tasks.start_soon(taker, at_s, min(units, limit), urgent)

    run_virtual(scenario)
    assert len(spent) == len(takers)
    width_ns = int(window_s * 1e9)
    for at_ns, units in spent:
        inside = sum(u for t, u in spent if at_ns <= t < at_ns + width_ns)
        assert inside <= max(allowance, units) or inside <= allowance
        assert inside <= limit


def test_urgent_takers_go_first_and_others_in_order() -> None:
    order: list[str] = []

    async def scenario() -> None:
        keeper = BudgetKeeper([Budget("b", 1, 1.0)], VirtualClock())

        async def taker(name: str, urgent: bool) -> None:
            await keeper.take({"b": 1}, urgent)
            order.append(name)

        async with anyio.create_task_group() as tasks:
            for name in ("first", "second", "third"):
                tasks.start_soon(taker, name, False)
                await anyio.sleep(0.01)
            tasks.start_soon(taker, "urgent", True)

    run_virtual(scenario)
    assert order == ["first", "urgent", "second", "third"]


def test_a_taker_that_gives_up_lets_the_next_one_in() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        keeper = BudgetKeeper([Budget("b", 10, 10.0, share=1.0)], clock)
        await keeper.take({"b": 5})

        async def impatient() -> None:
            with anyio.move_on_after(1):
                await keeper.take({"b": 10})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(impatient)
            await anyio.sleep(0.1)
            assert not keeper.try_take({"b": 1})
            await keeper.take({"b": 1})
            assert 1.0 <= clock.monotonic_ns() / 1e9 < 1.1

    run_virtual(scenario)


def test_a_taker_of_another_budget_does_not_wait() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        keeper = BudgetKeeper([Budget("a", 1, 60.0), Budget("b", 5, 60.0)], clock)
        await keeper.take({"a": 1})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.take, {"a": 1})
            await anyio.sleep(0.1)
            await keeper.take({"b": 1})
            assert clock.monotonic_ns() < 10**9

    run_virtual(scenario)


def test_each_connection_has_its_own_window_and_shares_the_others() -> None:
    async def scenario() -> None:
        budgets = [Budget("frames", 2, 60.0, "connection", 1.0), Budget("ip", 3, 60.0)]
        keeper = BudgetKeeper(budgets, VirtualClock())
        one, other = keeper.for_connection(), keeper.for_connection()
        assert one.try_take({"frames": 2, "ip": 1})
        assert not one.try_take({"frames": 1})
        assert other.try_take({"frames": 2, "ip": 1})
        assert not other.try_take({"ip": 1})
        assert [stat.used for stat in keeper.statistics()] == [2]

    run_virtual(scenario)


def test_the_pool_shares_by_address_and_by_key() -> None:
    async def scenario() -> None:
        budgets = [Budget("ip", 2, 60.0, "ip", 1.0), Budget("key", 1, 60.0, "key")]
        pool = BudgetPool(VirtualClock())
        mine = pool.keeper("x", budgets, "mine")
        yours = pool.keeper("x", budgets, "yours")
        elsewhere = pool.keeper("y", budgets, "mine")
        assert mine.try_take({"key": 1, "ip": 1})
        assert yours.try_take({"key": 1, "ip": 1})
        assert not pool.keeper("x", budgets, "mine").try_take({"key": 1})
        assert not mine.try_take({"ip": 1})
        assert elsewhere.try_take({"key": 1, "ip": 1})

    run_virtual(scenario)


def test_what_the_venue_counts_more_than_we_do_is_taken_over() -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        keeper = BudgetKeeper([Budget("weight", 100, 60.0)], clock)
        await keeper.take({"weight": 10})
        keeper.observe({"weight": 85, "unknown": 3})
        assert keeper.statistics()[0].as_dict() == {
            "name": "weight",
            "used": 85,
            "limit": 100,
            "allowance": 90,
            "share": 0.85,
            "waiting": 0,
        }
        assert not keeper.try_take({"weight": 6})
        keeper.observe({"weight": 5})
        assert not keeper.try_take({"weight": 6})
        await keeper.take({"weight": 6})
        assert clock.monotonic_ns() >= 60 * 10**9

    run_virtual(scenario)


def test_a_cost_that_can_never_be_paid_is_a_broken_contract() -> None:
    async def scenario() -> None:
        keeper = BudgetKeeper([Budget("b", 10, 1.0)], VirtualClock())
        with pytest.raises(ContractError, match="at most 10 for budget 'b', found 11"):
            await keeper.take({"b": 11})
        with pytest.raises(ContractError, match="found 'c'"):
            keeper.try_take({"c": 1})
        assert keeper.try_take({"b": 10})

    run_virtual(scenario)
