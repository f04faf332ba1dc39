"""Status changes on their way to observers: each told once, none told in floods."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from tapeline.clock import Clock
from tapeline.model import StatusChange

WINDOW_S = 60.0
"""Time in which a component's state is told ``OFTEN`` times at most."""
OFTEN = 3


@attrs.define
class _Component:
    """What was told of one component, and what is held back.

    Args:
        told_ns: state → when it was told lately, monotonic.
        held: the newest change that was not told.
        held_count: changes since the last one that was told.
    """

    state: str = ""
    told_ns: dict[str, list[int]] = attrs.field(factory=dict)
    held: StatusChange | None = None
    held_count: int = 0


class Notices:
    """Tells of changes at once, until a component flaps.

    Of one that flaps its first changes are told, and then, when the window allows,
    where it stands and how often it changed meanwhile.

    Args:
        tell: gets what is told.
        window_s: see ``WINDOW_S``.
    """

    def __init__(
        self,
        clock: Clock,
        tell: Callable[[StatusChange], None],
        window_s: float = WINDOW_S,
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._window_ns = int(window_s * 1e9)
        self._components: dict[str, _Component] = {}

    def change(self, change: StatusChange) -> None:
        """Tell of *change*, or hold it back."""
        known = self._components.setdefault(change.component, _Component())
        if known.held is None and change.after == known.state:
            return
        if self._is_spent(known, change.after):
            known.held = change
            known.held_count += 1
            return
        self._say(known, change)

    def due(self) -> None:
        """Tell of what was held back for long enough; called now and then."""
        for known in self._components.values():
            held = known.held
            if held is None or self._is_spent(known, held.after):
                continue
            if held.after == known.state:
                # It came back to what was told: nobody missed anything.
                known.held, known.held_count = None, 0
            else:
                self._say(known, held)

    def forget(self, component: str) -> None:
        """Drop what is known of a component that was removed."""
        self._components.pop(component, None)

    def _is_spent(self, known: _Component, state: str) -> bool:
        edge_ns = self._clock.monotonic_ns() - self._window_ns
        lately = [at_ns for at_ns in known.told_ns.get(state, ()) if at_ns > edge_ns]
        known.told_ns[state] = lately
        return len(lately) >= OFTEN

    def _say(self, known: _Component, change: StatusChange) -> None:
        count, known.held, known.held_count = known.held_count, None, 0
        before = known.state or change.before
        reason = change.reason
        if count > 1:
            reason = f"{reason} (after {count} changes)".strip()
        known.state = change.after
        told_ns = known.told_ns.setdefault(change.after, [])
        told_ns.append(self._clock.monotonic_ns())
        self._tell(attrs.evolve(change, before=before, reason=reason))
