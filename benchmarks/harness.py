"""Side by side timing: only ratios of cases of one run mean something."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping

Case = Callable[[], object]


def compare(
    title: str, cases: Mapping[str, Case], messages: int, rounds: int = 15
) -> dict[str, float]:
    """Time *cases* in turn and print a table; the first one is the floor.

    Args:
        cases: name → a call that handles *messages* messages.

    Returns:
        name → median over the rounds of the ratio to the floor of the same round.
    """
    names = list(cases)
    floor = names[0]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        cases[name]()
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            gc.collect()
            begin = time.perf_counter()
            cases[name]()
            seconds[name].append(time.perf_counter() - begin)
    ratios = {
        name: statistics.median(
            own / base for own, base in zip(seconds[name], seconds[floor], strict=True)
        )
        for name in names
    }
    print(f"\n{title}\n")
    print("| case | ns a message | x floor |\n|---|---:|---:|")
    for name in names:
        cost = statistics.median(seconds[name]) / messages * 1e9
        print(f"| {name} | {cost:,.0f} | {ratios[name]:.2f} |")
    return ratios
