"""States of everything that can be asked how it is."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs


class CollectorStatus(str, enum.Enum):
    """What a collector is doing."""

    STOPPED = "stopped"
    """Not started, or stopped on purpose."""
    STARTING = "starting"
    """On its way to the first connection."""
    RUNNING = "running"
    """It collects."""
    STOPPING = "stopping"
    """On its way to the end; what was received is flushed."""
    RESTARTING = "restarting"
    """Stopped by a failure or a wish, and about to start."""
    ERROR = "error"
    """It cannot collect now; the reason is in the status, and it goes on trying."""
    UNHEALTHY = "unhealthy"
    """It runs, and what is wanted of it does not flow."""

    def __str__(self) -> str:
        return self.value


class SubscriptionState(str, enum.Enum):
    """What is known of one stream; only ``live`` and ``quiet`` are good."""

    REQUESTED = "requested"
    """Asked for; not confirmed."""
    ACKED = "acked"
    """Confirmed; no data so far."""
    SYNCING = "syncing"
    """A book that waits for its first snapshot."""
    LIVE = "live"
    """Data comes."""
    SUSPECT = "suspect"
    """Silent for longer than is usual; not asked about yet, or without an answer."""
    QUIET = "quiet"
    """Silent, and the venue has nothing newer."""
    STALLED = "stalled"
    """Silent, and the venue has newer data."""
    HALTED = "halted"
    """The venue does not trade the instrument any more."""
    REJECTED = "rejected"
    """The venue refuses it."""
    DISCONNECTED = "disconnected"
    """There is no socket for it now."""

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
    """All that is wanted flows."""
    DEGRADED = "degraded"
    """All required data flows; something else is wrong."""
    STARTING = "starting"
    """Nothing has come yet, and it is early."""
    FAILING = "failing"
    """Required data does not flow."""

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
