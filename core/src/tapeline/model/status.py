"""States of everything that can be asked how it is."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs


class CollectorStatus(str, enum.Enum):
    """What a collector is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    ERROR = "error"
    UNHEALTHY = "unhealthy"

    def __str__(self) -> str:
        return self.value


class SubscriptionState(str, enum.Enum):
    """What is known of one stream; only ``live`` and ``quiet`` are good."""

    REQUESTED = "requested"
    ACKED = "acked"
    SYNCING = "syncing"
    LIVE = "live"
    SUSPECT = "suspect"
    QUIET = "quiet"
    STALLED = "stalled"
    HALTED = "halted"
    REJECTED = "rejected"
    DISCONNECTED = "disconnected"

    def __str__(self) -> str:
        return self.value


@attrs.frozen
class SessionHealth:
    """What a session knows of itself; cheap, never from the network."""

    ok: bool = True
    issues: Sequence[str] = ()
    counters: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class SinkHealth:
    """What a sink knows of itself."""

    ok: bool = True
    issues: Sequence[str] = ()
    counters: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen
class StatusChange:
    """A transition that observers are told of.

    Args:
        component: e.g. ``collector okx-majors`` or ``sink local``.
        before, after: state names.
        reason: a sentence.
        wall_ns: when, nanoseconds UTC.
    """

    component: str
    before: str
    after: str
    reason: str
    wall_ns: int
