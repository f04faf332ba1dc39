"""Where the login of one socket stands."""

from __future__ import annotations

import attrs

from tapeline.clock import Now
from tapeline.model import LOGIN, Action, Rotate, Send
from tapeline_okx.config import OkxConfig
from tapeline_okx.signing import login_frame

WAIT_NS = 10 * 10**9
"""How long an answer may take, and the pause before another try."""

COST = {"frames": 1}


@attrs.define
class Login:
    """The login of one socket; OKX takes only one that succeeds.

    Args:
        done: the venue confirmed it.
        failure: code of the last refusal, else empty.
        fatal: that refusal is final.
    """

    done: bool = False
    failure: str = ""
    fatal: bool = False
    _sent: bool = False
    _wanted: bool = False
    _not_before_ns: int = 0
    _deadline_ns: int = 0

    def send(self, config: OkxConfig, now: Now) -> Send:
        """The frame that logs in now."""
        self._sent, self._wanted = True, False
        self._deadline_ns = now.monotonic_ns + WAIT_NS
        return Send(login_frame(config, now.venue_ns), (), LOGIN, COST)

    def want(self) -> None:
        """Log in at the next tick, which knows the venue's time, unless under way."""
        self.done = False
        self._wanted = not self._sent

    def succeeded(self) -> None:
        """The venue confirmed it."""
        self.done, self.failure, self.fatal = True, "", False
        self._sent = self._wanted = False

    def failed(self, code: str, permanent: bool) -> None:
        """The venue refused; tried again later unless that is final."""
        self.done = self._sent = False
        self.failure, self.fatal = code, permanent
        self._wanted, self._not_before_ns = not permanent, 0

    def tick(self, config: OkxConfig, now: Now) -> list[Action]:
        """What there is to do now."""
        if self._wanted:
            if not self._not_before_ns:
                pause_ns = WAIT_NS if self.failure else 0
                self._not_before_ns = now.monotonic_ns + pause_ns
            if now.monotonic_ns >= self._not_before_ns:
                self._not_before_ns = 0
                return [self.send(config, now)]
        elif self._sent and now.monotonic_ns >= self._deadline_ns:
            # an answer is still possible, so not a second login on this socket
            self._deadline_ns = now.monotonic_ns + WAIT_NS
            return [Rotate("the venue did not answer the login")]
        return []

    def wake_at_ns(self) -> int | None:
        """When ``tick`` has something to do next, monotonic."""
        if self._wanted:
            return self._not_before_ns
        return self._deadline_ns if self._sent else None
