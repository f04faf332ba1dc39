"""Fault scripts: what goes wrong at a simulated venue, when, and how often."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

from tapeline.errors import ConfigError, did_you_mean, one_of

FRAME = "frame"
WINDOW = "window"
MOMENT = "moment"

KINDS: Mapping[str, str] = MappingProxyType(
    {
        # Shape single pushes, each with its probability, while the window is open.
        "drop": FRAME,
        "duplicate": FRAME,
        "permute": FRAME,
        "mute": FRAME,
        # Hold while the window is open.
        "ack-and-mute": WINDOW,
        "no-ack": WINDOW,
        "refuse": WINDOW,
        "rest-status": WINDOW,
        "stale": WINDOW,
        "wrong-page": WINDOW,
        "cut": WINDOW,
        # Happen at moments.
        "close": MOMENT,
        "abort": MOMENT,
        "half-open": MOMENT,
        "notice": MOMENT,
        "malformed": MOMENT,
        "reset-sequence": MOMENT,
        "crossed-book": MOMENT,
        "halt": MOMENT,
        "delist": MOMENT,
        "relist": MOMENT,
        "rename": MOMENT,
    }
)
"""Every kind of fault → whether it shapes frames, holds in a window, or happens."""

MALFORMED = (
    "{",
    "[]",
    "null",
    '{"arg":{"channel":"trades"},"data":[{"px":NaN}]}',
    '{"arg":{"channel":"unheard-of","instId":"X"},"data":[{}]}',
    "\x00\x01\x02",
    "[" * 2_000,
    "<html><body>502 Bad Gateway</body></html>",
)
"""Frames that a ``malformed`` fault without a body sends in turn."""


@attrs.frozen(kw_only=True)
class Fault:
    """One entry of a fault script; times count from the simulator's first moment.

    Args:
        kind: one of ``KINDS``.
        at_s: when its window opens, or when it happens first.
        for_s: length of the window; None for ever.
        mean_s: of a moment: happens again and again, this far apart on average.
        every_s: of a moment: happens again and again, exactly this far apart.
        probability: of each frame, subscription or request that it meets.
        channel, symbol: the venue's words; empty meets all.
        market: of the canonical symbol to ``halt``, ``delist``, ``relist`` or
            ``rename``; empty for all.
        to: new spelling of a ``rename``, in the venue's words.
        target: ``all`` connections, or ``one`` chosen at random.
        code, reason: of the close frame.
        status: of the HTTP answer.
        body: of the HTTP answer, or the malformed frame.
        path: beginning of the REST paths met; empty meets all.
        retry_after_s: of the HTTP answer; asking again before it has passed is a
            violation. None sends no such header.
        lag_s: how old a ``stale`` answer is.
        after_bytes: a ``cut`` tears a connection somewhere in its first so many.
        deadline_s: how long after its notice the venue closes.
    """

    kind: str
    at_s: float = 0.0
    for_s: float | None = None
    mean_s: float | None = None
    every_s: float | None = None
    probability: float = 1.0
    channel: str = ""
    symbol: str = ""
    market: str = ""
    to: str = ""
    target: str = "all"
    code: int = 1001
    reason: str = ""
    status: int = 503
    body: str = ""
    path: str = ""
    retry_after_s: float | None = None
    lag_s: float = 2.0
    after_bytes: int = 20_000
    deadline_s: float = 60.0

    def problems(self) -> Sequence[str]:
        """Everything wrong with it, as sentences."""
        found = []
        if self.kind not in KINDS:
            found.append(
                f"expected a kind out of {one_of(KINDS)}, found {self.kind!r}"
                f"{did_you_mean(self.kind, KINDS)}"
            )
        for name in ("at_s", "for_s", "lag_s", "deadline_s", "retry_after_s"):
            value = getattr(self, name)
            if value is not None and value < 0:
                found.append(f"expected {name} of 0 or more seconds, found {value}")
        for name in ("mean_s", "every_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                found.append(f"expected {name} of more than 0 seconds, found {value}")
        if self.mean_s is not None and self.every_s is not None:
            found.append("expected mean_s or every_s, found both; remove one")
        repeated = self.mean_s is not None or self.every_s is not None
        if repeated and KINDS.get(self.kind, MOMENT) != MOMENT:
            found.append(
                f"expected no mean_s or every_s, found one: {self.kind!r} holds for a "
                "window; use at_s and for_s"
            )
        if not 0 <= self.probability <= 1:
            found.append(f"expected a probability of 0 to 1, found {self.probability}")
        if self.target not in ("all", "one"):
            found.append(f"expected target 'all' or 'one', found {self.target!r}")
        if not 1000 <= self.code <= 4999 or self.code in (1004, 1005, 1006, 1015):
            found.append(
                f"expected a close code that can be sent, found {self.code}; "
                "use kind 'abort' to end a connection without one"
            )
        if (self.kind == "rename") != bool(self.to):
            found.append(
                "expected a new spelling in to exactly for kind 'rename', found "
                f"kind {self.kind!r} with to {self.to!r}"
            )
        if self.after_bytes < 1:
            found.append(f"expected after_bytes of 1 or more, found {self.after_bytes}")
        if not 100 <= self.status <= 599:
            found.append(f"expected an HTTP status, found {self.status}")
        return found

    def meets(self, channel: str, symbol: str) -> bool:
        """True when it is about this channel and symbol."""
        return (not self.channel or self.channel == channel) and (
            not self.symbol or self.symbol == symbol
        )


class FaultRun:
    """A fault script at work in one simulator.

    Deterministic: the same script, seed and traffic meet the same faults.

    Args:
        faults: any order.
        seed: of its own source of chance.
        start_ns: wall nanoseconds UTC that the faults' times count from.

    Raises:
        ConfigError: a fault that cannot be, with every problem found.
    """

    def __init__(self, faults: Sequence[Fault], seed: int, start_ns: int) -> None:
        problems = [
            (f"faults[{index}]", text)
            for index, fault in enumerate(faults)
            for text in fault.problems()
        ]
        if problems:
            raise ConfigError(problems)
        self.applied: Counter[str] = Counter()
        self.random = random.Random(f"faults:{seed}")
        self._start_ns = start_ns
        self._frame_faults = [f for f in faults if KINDS[f.kind] == FRAME]
        self._windows = [f for f in faults if KINDS[f.kind] == WINDOW]
        self.shapes_frames = bool(self._frame_faults)
        self._held: dict[tuple[int, str, str], str] = {}
        self._malformed = 0
        moments: list[tuple[int, int, Fault]] = []
        for index, fault in enumerate(faults):
            if KINDS[fault.kind] == MOMENT:
                first_ns = start_ns + int(fault.at_s * 1e9)
                # A mean counts from the window's opening, nothing happens at once.
                if fault.mean_s is not None:
                    first_ns += self._draw_ns(fault.mean_s)
                moments.append((first_ns, index, fault))
        self._set_moments([moment for moment in moments if self._is_open(*moment)])

    def _set_moments(self, moments: list[tuple[int, int, Fault]]) -> None:
        self._moments = moments
        self._next_ns = min((moment[0] for moment in moments), default=None)

    def _draw_ns(self, mean_s: float) -> int:
        return max(1, int(self.random.expovariate(1 / mean_s) * 1e9))

    def _is_open(self, at_ns: int, index: int, fault: Fault) -> bool:
        return fault.for_s is None or at_ns <= self._start_ns + int(
            (fault.at_s + fault.for_s) * 1e9
        )

    def _holds(self, fault: Fault, now_ns: int) -> bool:
        since_s = (now_ns - self._start_ns) / 1e9 - fault.at_s
        return since_s >= 0 and (fault.for_s is None or since_s < fault.for_s)

    def wake_at_ns(self) -> int | None:
        """When the next moment comes."""
        return self._next_ns

    def due(self, now_ns: int) -> Sequence[Fault]:
        """Moments that have come, in order; each counts as applied."""
        next_ns = self._next_ns
        if next_ns is None or next_ns > now_ns:
            return ()
        done = sorted(m for m in self._moments if m[0] <= now_ns)
        later = [m for m in self._moments if m[0] > now_ns]
        for at_ns, index, fault in done:
            self.applied[fault.kind] += 1
            if fault.mean_s is not None:
                again = (at_ns + self._draw_ns(fault.mean_s), index, fault)
            elif fault.every_s is not None:
                again = (at_ns + max(1, int(fault.every_s * 1e9)), index, fault)
            else:
                continue
            if self._is_open(*again):
                later.append(again)
        self._set_moments(later)
        return [fault for _, _, fault in done]

    def active(
        self, kind: str, now_ns: int, channel: str = "", symbol: str = ""
    ) -> Fault | None:
        """The first fault of *kind* that meets this now; counts as applied."""
        for fault in self._windows:
            if (
                fault.kind == kind
                and self._holds(fault, now_ns)
                and fault.meets(channel, symbol)
                and (fault.probability >= 1 or self.random.random() < fault.probability)
            ):
                self.applied[kind] += 1
                return fault
        return None

    def rest(self, kind: str, path: str, now_ns: int) -> Fault | None:
        """The first fault of *kind* that meets a request for *path*."""
        for fault in self._windows:
            if (
                fault.kind == kind
                and self._holds(fault, now_ns)
                and path.startswith(fault.path)
                and (fault.probability >= 1 or self.random.random() < fault.probability)
            ):
                self.applied[kind] += 1
                return fault
        return None

    def cut_after(self, now_ns: int) -> int | None:
        """Bytes after which a connection that opens now is torn; None for never."""
        fault = self.active("cut", now_ns)
        return None if fault is None else self.random.randint(1, fault.after_bytes)

    def shape(
        self, conn: int, channel: str, symbol: str, frame: str, now_ns: int
    ) -> Sequence[str]:
        """What is really sent in place of *frame*."""
        frames = [frame]
        for fault in self._frame_faults:
            if not (
                fault.meets(channel, symbol)
                and self._holds(fault, now_ns)
                and (fault.probability >= 1 or self.random.random() < fault.probability)
            ):
                continue
            self.applied[fault.kind] += 1
            if fault.kind in ("drop", "mute"):
                frames = []
            elif fault.kind == "duplicate":
                frames = frames + frames
            elif frames and (conn, channel, symbol) not in self._held:
                # Held back until the next frame of the same stream has passed.
                self._held[conn, channel, symbol] = frames.pop(0)
                return frames
        held = self._held.pop((conn, channel, symbol), None)
        return frames if held is None else [*frames, held]

    def malformed(self, fault: Fault) -> str:
        """The frame that a ``malformed`` fault sends this time."""
        if fault.body:
            return fault.body
        self._malformed += 1
        return MALFORMED[(self._malformed - 1) % len(MALFORMED)]

    def forget(self, conn: int) -> None:
        """Drop what is held for a connection that is gone."""
        for key in [key for key in self._held if key[0] == conn]:
            del self._held[key]
