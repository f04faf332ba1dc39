"""Random mixes: one fault of every kind, each with a random time and strength."""

from __future__ import annotations

import random
from typing import Any

import attrs

from tapeline.testing.faults import Fault

HOUR_S = 3_600.0


@attrs.frozen
class FaultWords:
    """How one venue names what faults are about.

    Args:
        trades, book: channels.
        history: path of the REST pages that fill gaps.
    """

    trades: str
    book: str
    history: str


@attrs.frozen
class Incident:
    """What happens to the process, its sinks, its clock or its network.

    Args:
        kind: what; whoever plays it knows the words.
        at_s, for_s: when, and for how long.
        amount: a number, seconds or a share, as its kind wants.
    """

    kind: str
    at_s: float
    for_s: float = 0.0
    amount: float = 0.0


def random_faults(
    chance: random.Random, words: FaultWords, until_s: float
) -> list[Fault]:
    """What venues do to their clients, over before *until_s*."""
    at = chance.uniform

    def window(longest_s: float, kind: str, **keys: Any) -> Fault:
        length = at(1, min(longest_s, until_s * 0.6))
        return Fault(kind=kind, at_s=at(0, until_s - length), for_s=length, **keys)

    return [
        window(120, "drop", channel=words.trades, probability=at(0.01, 0.3)),
        window(60, "drop", channel=words.book, probability=at(0.01, 0.2)),
        window(120, "duplicate", probability=at(0.05, 1.0)),
        window(120, "permute", probability=at(0.05, 0.5)),
        window(60, "mute"),
        window(90, "mute", channel=words.trades),
        window(90, "mute", channel=words.book),
        window(60, "ack-and-mute", channel=words.trades, probability=0.7),
        window(60, "ack-and-mute", probability=at(0.2, 0.8)),
        window(60, "no-ack", probability=at(0.1, 0.8)),
        window(40, "refuse", status=chance.choice((429, 500, 503))),
        Fault(kind="half-open", at_s=at(2, until_s)),
        Fault(kind="close", at_s=0.0, for_s=until_s, mean_s=at(15, 90), code=4006),
        Fault(kind="abort", at_s=0.0, for_s=until_s, mean_s=at(15, 90)),
        window(120, "cut", after_bytes=int(10 ** at(1, 5)), probability=0.8),
        Fault(kind="notice", at_s=at(2, until_s - 10), deadline_s=at(3, 10)),
        Fault(kind="malformed", at_s=0.0, for_s=until_s, mean_s=at(2, 20)),
        Fault(kind="reset-sequence", at_s=0.0, for_s=until_s, mean_s=at(20, 60)),
        Fault(kind="crossed-book", at_s=0.0, for_s=until_s, mean_s=at(20, 60)),
        window(60, "rest-status", status=429, retry_after_s=at(1, 15), probability=0.5),
        window(30, "rest-status", status=418, retry_after_s=at(5, 30), probability=0.2),
        window(
            60,
            "rest-status",
            status=chance.choice((500, 502, 503)),
            probability=at(0.2, 1),
        ),
        window(
            60,
            "rest-status",
            status=200,
            path=words.history,
            probability=at(0.2, 1),
            body="<html>",
        ),
        window(60, "stale", lag_s=HOUR_S, probability=at(0.2, 1)),
        window(90, "stale", lag_s=at(0.5, 10), probability=at(0.2, 1)),
        window(120, "wrong-page", path=words.history, probability=at(0.1, 0.8)),
    ]


def random_incidents(chance: random.Random, until_s: float) -> list[Incident]:
    """What happens to a collector itself, over before *until_s*."""
    at = chance.uniform

    def some(kind: str, longest_s: float = 0.0, amount: float = 0.0) -> Incident:
        length = at(1, min(longest_s, until_s * 0.6)) if longest_s else 0.0
        return Incident(kind, at(1, until_s - length), length, amount)

    return [
        some("outage", 60),
        some("kill"),
        some("kill", 20),
        some("kill-in-backfill", 5),
        some("restart", 10),
        some("clock-step", amount=chance.choice((-1, 1)) * 10 ** at(-1, 3.6)),
        some("clock-step", amount=chance.choice((-1, 1)) * at(0.5, 90)),
        some("sink-down", 90),
        some("sink-hangs", 60),
        some("sink-slow", 90, at(0.1, 5)),
        some("sink-refuses", 30, at(0.01, 0.2)),
        some("sink-loses-replies", 30, chance.randint(1, 5)),
        some("slow-rest", 60, at(0.5, 12)),
    ]
