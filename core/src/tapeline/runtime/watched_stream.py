"""What a watcher remembers of one stream."""

from __future__ import annotations

import attrs

from tapeline.model import SubscriptionState
from tapeline.runtime.silence import Silence

_NEVER = 1 << 63


@attrs.define(eq=False)
class WatchedStream:
    """One stream of a feed, as its watcher sees it; all times monotonic.

    Args:
        since_ns: of the present silence at most; None while it is not subscribed.
        verdict: what replaces the state of the link; None while all is well.
        ask_at_ns: not to be probed before.
        pause_s: between two probes while nothing changes.
        healthy_ns: since when nothing was found wrong.
        stalls: in a row, forgotten after a time of health.
        stalled_ns: when it stalled last.
        act_at_ns: nothing is done about a stall before.
        renewed_ns: when it was asked for anew, until its socket says anything.
        renewed_frames: that its socket had received by then.
        askable: whether a probe can tell anything; without one, silence says nothing.
        suspect_ns: when it became suspect last.
        limit_s: the silence that made it so.
        least_s: silence that is usual in this stream, whatever its rate seems to be.
    """

    silence: Silence
    pause_s: float
    events: int = 0
    looked_ns: int = 0
    since_ns: int | None = None
    last_ns: int | None = None
    socket: int = 0
    verdict: SubscriptionState | None = None
    ask_at_ns: int = 0
    healthy_ns: int = 0
    stalls: int = 0
    stalled_ns: int = -_NEVER
    act_at_ns: int = 0
    renewed_ns: int | None = None
    renewed_frames: int = 0
    askable: bool = True
    suspect_ns: int = 0
    limit_s: float = 0.0
    least_s: float = 0.0

    @property
    def silent_since_ns(self) -> int:
        """When it spoke last, or could have begun to."""
        since_ns = self.since_ns or 0
        return since_ns if self.last_ns is None else max(since_ns, self.last_ns)

    def pause(self, now_ns: int, longest_s: float) -> None:
        """Do not probe it for a while, and ever longer while nothing changes."""
        self.ask_at_ns = now_ns + int(min(self.pause_s, longest_s) * 1e9)
        self.pause_s = min(2 * self.pause_s, longest_s)
