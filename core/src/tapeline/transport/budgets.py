"""The venue's limits, kept on our side in strict rolling windows."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping

import anyio
import attrs

from tapeline.clock import Clock
from tapeline.errors import ContractError
from tapeline.model import Budget


@attrs.frozen
class BudgetStatistics:
    """How much of one budget is used.

    Args:
        used: units in the current window.
        limit: units per window, as the venue publishes them.
        allowance: units that we let ourselves use.
        share: ``used / limit``.
        waiting: takers that wait.
    """

    name: str
    used: int
    limit: int
    allowance: int
    share: float
    waiting: int

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return attrs.asdict(self)


_turns = itertools.count()


@attrs.define(eq=False)
class _Waiter:
    order: tuple[bool, int]
    event: anyio.Event = attrs.field(factory=anyio.Event)


class RollingWindow:
    """One budget: what was spent in the last *window_s* seconds, never an average."""

    __slots__ = ("allowance", "budget", "spent", "used", "waiters", "window_ns")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.allowance = max(1, int(budget.limit * budget.share))
        self.window_ns = int(budget.window_s * 1e9)
        self.spent: deque[tuple[int, int]] = deque()
        self.used = 0
        self.waiters: list[_Waiter] = []

    def expire(self, now_ns: int) -> None:
        """Forget what has left the window by *now_ns* (monotonic)."""
        edge = now_ns - self.window_ns
        spent = self.spent
        while spent and spent[0][0] <= edge:
            self.used -= spent.popleft()[1]

    def wait_ns(self, units: int, now_ns: int) -> int:
        """How long until *units* fit; 0 when they fit now.

        More units than the allowance, but not more than the limit, fit into an
        empty window.
        """
        self.expire(now_ns)
        bound = max(self.allowance, units)
        over = self.used + units - bound
        if over <= 0:
            return 0
        for spent_ns, spent_units in self.spent:
            over -= spent_units
            if over <= 0:
                return spent_ns + self.window_ns - now_ns
        return self.window_ns  # pragma: no cover  (used is the sum of spent)

    def spend(self, units: int, now_ns: int) -> None:
        """Note *units* as used now."""
        if units > 0:
            self.spent.append((now_ns, units))
            self.used += units

    def observe(self, used: int, now_ns: int) -> None:
        """The venue counts *used* units: more than ours means a neighbor on our IP."""
        self.expire(now_ns)
        self.spend(used - self.used, now_ns)

    def wake_first(self) -> None:
        """Let the first waiter look again."""
        if self.waiters:
            self.waiters[0].event.set()

    def statistics(self, now_ns: int) -> BudgetStatistics:
        """How much of it is used at *now_ns*."""
        self.expire(now_ns)
        limit = self.budget.limit
        return BudgetStatistics(
            self.budget.name,
            self.used,
            limit,
            self.allowance,
            round(self.used / limit, 4) if limit else 1.0,
            len(self.waiters),
        )


class BudgetKeeper:
    """The budgets that one taker is bound by; windows may be shared with others.

    Windows of scope ``connection`` are not in it: ``for_connection`` adds fresh ones.
    """

    def __init__(
        self,
        budgets: Iterable[Budget],
        clock: Clock,
        shared: Mapping[str, RollingWindow] | None = None,
    ) -> None:
        self._clock = clock
        self._per_connection: list[Budget] = []
        self._windows: dict[str, RollingWindow] = dict(shared or {})
        for budget in budgets:
            if budget.scope == "connection":
                self._per_connection.append(budget)
            elif budget.name not in self._windows:
                self._windows[budget.name] = RollingWindow(budget)

    def for_connection(self) -> BudgetKeeper:
        """The same windows, and fresh ones for all budgets of scope ``connection``."""
        keeper = BudgetKeeper((), self._clock, self._windows)
        for budget in self._per_connection:
            keeper._windows[budget.name] = RollingWindow(budget)
        return keeper

    def try_take(self, costs: Mapping[str, int]) -> bool:
        """Spend *costs* now if all of them fit and nobody waits for them.

        Raises:
            ContractError: a cost names no budget, or is above its limit.
        """
        windows = self._find(costs)
        if any(window.waiters for window, _ in windows):
            return False
        return self._spend(windows) == 0

    async def take(self, costs: Mapping[str, int], urgent: bool = False) -> None:
        """Wait until *costs* fit and spend them; the caller sets a deadline.

        Urgent takers go first, others in order of arrival.

        Raises:
            ContractError: a cost names no budget, or is above its limit.
        """
        windows = self._find(costs)
        if not windows:
            return
        if not any(window.waiters for window, _ in windows) and not self._spend(
            windows
        ):
            return
        waiter = _Waiter((not urgent, next(_turns)))
        for window, _ in windows:
            window.waiters.append(waiter)
            window.waiters.sort(key=lambda one: one.order)
        try:
            while True:
                delay_s: float | None = None
                if all(window.waiters[0] is waiter for window, _ in windows):
                    delay_ns = self._spend(windows)
                    if delay_ns == 0:
                        return
                    delay_s = delay_ns / 1e9
                # without a delay somebody else is first and wakes us on leaving
                with anyio.move_on_after(delay_s):
                    await waiter.event.wait()
                waiter.event = anyio.Event()
        finally:
            for window, _ in windows:
                window.waiters.remove(waiter)
                window.wake_first()

    def observe(self, used: Mapping[str, int]) -> None:
        """Take over what the venue says is used; unknown names are ignored."""
        now_ns = self._clock.monotonic_ns()
        for name, units in used.items():
            window = self._windows.get(name)
            if window is not None:
                window.observe(units, now_ns)

    def statistics(self, own: bool = False) -> list[BudgetStatistics]:
        """How much of each budget is used, by name; *own*: connection scope only."""
        now_ns = self._clock.monotonic_ns()
        return [
            window.statistics(now_ns)
            for _, window in sorted(self._windows.items())
            if not own or window.budget.scope == "connection"
        ]

    def _find(self, costs: Mapping[str, int]) -> list[tuple[RollingWindow, int]]:
        found = []
        for name, units in costs.items():
            window = self._windows.get(name)
            if window is None:
                raise ContractError(
                    f"expected costs of the adapter's budgets, found {name!r}; "
                    "add it to budgets()"
                )
            if units > window.budget.limit:
                raise ContractError(
                    f"expected a cost of at most {window.budget.limit} for budget "
                    f"{name!r}, found {units}; split the request"
                )
            if units > 0:
                found.append((window, units))
        return found

    def _spend(self, windows: list[tuple[RollingWindow, int]]) -> int:
        """Spend and return 0, or return the nanoseconds until all of it fits."""
        now_ns = self._clock.monotonic_ns()
        delay_ns = max((w.wait_ns(units, now_ns) for w, units in windows), default=0)
        if delay_ns == 0:
            for window, units in windows:
                window.spend(units, now_ns)
        return delay_ns


class BudgetPool:
    """Windows shared by everything in this process that talks to one venue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str, str], RollingWindow] = {}

    def keeper(
        self, exchange: str, budgets: Iterable[Budget], key: str = ""
    ) -> BudgetKeeper:
        """A keeper of *budgets*.

        Scope ``ip`` is shared by all keepers of *exchange*, scope ``key`` by those
        that also give the same *key* (a name for the credentials, not a secret).
        """
        budgets = tuple(budgets)
        shared: dict[str, RollingWindow] = {}
        for budget in budgets:
            if budget.scope == "connection":
                continue
            owner = key if budget.scope == "key" else ""
            place = (exchange, owner, budget.name)
            if place not in self._windows:
                self._windows[place] = RollingWindow(budget)
            shared[budget.name] = self._windows[place]
        return BudgetKeeper(budgets, self._clock, shared)
