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
        component: e.g. ``collector majors`` or ``sink local``.
        before, after: state names.
        reason: a sentence.
        wall_ns: when, nanoseconds UTC.
    """

    component: str
    before: str
    after: str
    reason: str
    wall_ns: int


class HealthLevel(str, enum.Enum):
    """How the whole collection is, best first."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    STARTING = "starting"
    FAILING = "failing"

    def __str__(self) -> str:
        return self.value


@attrs.frozen
class Health:
    """Whether what is wanted is being delivered.

    Args:
        level: ``healthy``; ``degraded`` (all required data flows, something else is
            wrong); ``starting``; ``failing`` (required data does not flow).
        ready: False exactly while required data does not flow.
        alive: whether the loop that does the work turns.
        issues: what stands against being ready, in sentences.
        warnings: what is wrong besides, in sentences.
    """

    level: HealthLevel
    ready: bool
    alive: bool
    issues: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "level": self.level.value,
            "ready": self.ready,
            "alive": self.alive,
            "issues": list(self.issues),
            "warnings": list(self.warnings),
        }
