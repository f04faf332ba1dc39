"""Random mixes of faults on the virtual clock: nothing lost, nothing told wrongly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

CHUNK = 10
KINDS = {
    # What the venue does.
    "drop",
    "duplicate",
    "permute",
    "mute",
    "ack-and-mute",
    "no-ack",
    "half-open",
    "close",
    "abort",
    "cut",
    "refuse",
    "notice",
    "malformed",
    "reset-sequence",
    "crossed-book",
    "lifetime",
    "rest-status-429",
    "rest-status-418",
    "rest-status-503",
    "rest-status-200",
    "stale",
    "wrong-page",
    # What happens around it.
    "outage",
    "long-outage",
    "slow-rest",
    "sink-down",
    "sink-hangs",
    "sink-slow",
    "sink-refuses",
    "sink-loses-replies",
    "clock-step",
    "kill",
    "kill-in-backfill",
    "restart",
}

Campaign = Callable[[int], Any]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cut the seeds into chunks, so that processes can share them."""
    if "seeds" in metafunc.fixturenames:
        first = metafunc.config.getoption("--first-seed")
        end = first + metafunc.config.getoption("--seeds")
        chunks = [
            range(begin, min(begin + CHUNK, end)) for begin in range(first, end, CHUNK)
        ]
        names = [f"{chunk.start}-{chunk.stop - 1}" for chunk in chunks]
        metafunc.parametrize("seeds", chunks, ids=names)


def test_everything_emitted_is_stored_or_a_recorded_gap(
    campaign: Campaign, seeds: range
) -> None:
    told = [campaign(seed) for seed in seeds]

    failed = [one.report() for one in told if one.problems]
    assert not failed, "\n".join(failed)
    # An oracle that looked at nothing would find nothing.
    assert sum(one.verdict.stored for one in told) > 10 * len(seeds)
    assert sum(one.books_compared for one in told) > 5 * len(seeds)
    assert sum(one.verdict.bars for one in told) > 5 * len(seeds)


# One with a real database, one that kills and restarts, one on each exchange.
@pytest.mark.parametrize("seed", [3, 13, 138])
def test_the_same_seed_replays_to_the_same_bytes(campaign: Campaign, seed: int) -> None:
    first, second = campaign(seed), campaign(seed)

    assert first.verdict == second.verdict
    assert first.trace == second.trace
    assert campaign(seed + 1).trace != first.trace


def test_two_hundred_seeds_have_every_kind_on_both_exchanges(
    mix_of: Callable[[int], Any],
) -> None:
    found: dict[str, Counter[str]] = {"okx": Counter(), "binance": Counter()}
    markets: Counter[tuple[str, str]] = Counter()
    for seed in range(200):
        mix = mix_of(seed)
        assert len(mix.faults) + len(mix.incidents) >= 3
        found[mix.exchange].update(mix.kinds)
        markets[mix.exchange, mix.market] += 1

    for exchange, counts in found.items():
        expected = KINDS - ({"lifetime"} if exchange == "okx" else set())
        assert {kind for kind in expected if counts[kind] < 2} == set(), exchange
    assert len(markets) == 4
    assert min(markets.values()) > 20
