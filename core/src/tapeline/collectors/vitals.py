"""Signs of life of one collector: what it counted, and when it happened last."""

from __future__ import annotations

from typing import Any

import attrs

from tapeline.clock import Clock
from tapeline.errors import TapelineError
from tapeline.model import datetime_from_ns


@attrs.define(eq=False)
class Vitals:
    """Counters and times of one collector, since it was made.

    Args:
        started_ns, connected_ns: of the present run and connection, monotonic; None
            before.
        heartbeat_ns: when its messages were handled last, monotonic.
        data_ns, last_message_wall_ns: when it gave its last point.
    """

    clock: Clock
    messages_received: int = 0
    messages_processed: int = 0
    errors: int = 0
    restarts: int = 0
    reconnect_attempts: int = 0
    last_error: str | None = None
    started_ns: int | None = None
    connected_ns: int | None = None
    heartbeat_ns: int | None = None
    data_ns: int | None = None
    last_message_wall_ns: int | None = None
    last_restart_wall_ns: int | None = None

    def beat(self) -> None:
        """Its messages have been handled, just now."""
        self.heartbeat_ns = self.clock.monotonic_ns()

    def count_point(self) -> None:
        """It has given a point."""
        # hot path
        self.messages_processed += 1
        self.data_ns = self.clock.monotonic_ns()
        self.last_message_wall_ns = self.clock.wall_ns()

    def count_error(self, text: str) -> None:
        """Something went wrong; *text* says what."""
        self.errors += 1
        self.last_error = text

    def count_restart(self) -> None:
        """It is started once more."""
        self.restarts += 1
        self.last_restart_wall_ns = self.clock.wall_ns()

    def age_s(self, since_ns: int | None) -> float | None:
        """Seconds since a monotonic time; None when it never came."""
        if since_ns is None:
            return None
        return (self.clock.monotonic_ns() - since_ns) / 1e9

    def silence_s(self) -> float | None:
        """Seconds without data, since connecting at most; None when not connected."""
        if self.connected_ns is None:
            return None
        return self.age_s(max(self.connected_ns, self.data_ns or 0))

    def date_of(self, monotonic_ns: int | None) -> str | None:
        """The date and time of a monotonic time, as ISO text; None for None."""
        if monotonic_ns is None:
            return None
        clock = self.clock
        return _iso(clock.wall_ns() - (clock.monotonic_ns() - monotonic_ns))

    def statistics(self, *, stopped: bool) -> dict[str, Any]:
        """All counters; JSON-ready.

        Args:
            stopped: there is no uptime then.
        """
        return {
            "messages_received": self.messages_received,
            "messages_processed": self.messages_processed,
            "errors": self.errors,
            "restarts": self.restarts,
            "uptime_seconds": None if stopped else self.age_s(self.started_ns),
            "reconnect_attempts": self.reconnect_attempts,
            "last_message_time": _iso(self.last_message_wall_ns),
            "connection_uptime": None if stopped else self.age_s(self.connected_ns),
            "last_error": self.last_error,
            "last_restart_time": _iso(self.last_restart_wall_ns),
        }


def _iso(wall_ns: int | None) -> str | None:
    return None if wall_ns is None else datetime_from_ns(wall_ns).isoformat()


def sentence_of(error: BaseException) -> str:
    """The error for people: its sentence, with its kind where that says little."""
    sentence = str(error)
    if isinstance(error, TapelineError) and sentence:
        return sentence
    kind = type(error).__name__
    return f"{kind}: {sentence}" if sentence else kind
