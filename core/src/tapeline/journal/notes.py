"""Small things that ride along with the next commit: checkpoints and bans."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from tapeline.model import LetterKey


@attrs.frozen
class NoteChanges:
    """What is to be stored with the next commit."""

    checkpoints: Mapping[str, tuple[int, bytes]]
    forget: Sequence[str]
    bans: Mapping[str, int]
    retries: Mapping[LetterKey, int]

    def __bool__(self) -> bool:
        return bool(self.checkpoints or self.forget or self.bans or self.retries)


class Notes:
    """Checkpoints, which count once they are durable, and bans, which count at once.

    Args:
        checkpoints: name → position and payload, as stored.
        bans: scope → nanoseconds UTC, as stored.
    """

    def __init__(
        self, checkpoints: Mapping[str, tuple[int, bytes]], bans: Mapping[str, int]
    ) -> None:
        self.checkpoints = dict(checkpoints)
        self._bans = dict(bans)
        self._new_checkpoints: dict[str, tuple[int, bytes]] = {}
        self._new_bans: dict[str, int] = {}
        self._forget: set[str] = set()
        self._retries: dict[LetterKey, int] = {}

    def checkpoint(self, name: str, position: int, payload: bytes) -> None:
        """A newer checkpoint; an older one that was not stored is dropped."""
        self._new_checkpoints[name] = (position, payload)
        self._forget.discard(name)

    def retain_checkpoints(self, names: Collection[str]) -> None:
        """Forget all but *names*."""
        known = {**self.checkpoints, **self._new_checkpoints}
        for name in [name for name in known if name not in names]:
            self.checkpoints.pop(name, None)
            self._new_checkpoints.pop(name, None)
            self._forget.add(name)

    def ban(self, scope: str, until_ns: int) -> None:
        """Remember a ban."""
        self._bans[scope] = self._new_bans[scope] = until_ns

    def bans(self, now_ns: int) -> Mapping[str, int]:
        """Bans that are not over; the others are forgotten."""
        for scope in [scope for scope, at in self._bans.items() if at <= now_ns]:
            del self._bans[scope]
            self._new_bans[scope] = 0
        return dict(self._bans)

    def retry(self, key: LetterKey, position: int) -> None:
        """The dead letter *key* comes again at *position*."""
        self._retries[key] = position

    def take(self) -> NoteChanges:
        """What changed since the last time."""
        changes = NoteChanges(
            self._new_checkpoints, tuple(self._forget), self._new_bans, self._retries
        )
        self._retries = {}
        self._new_checkpoints = {}
        self._new_bans = {}
        self._forget = set()
        return changes

    def give_back(self, changes: NoteChanges) -> None:
        """A commit failed: *changes* wait for the next one; newer ones win."""
        self._new_checkpoints = {**changes.checkpoints, **self._new_checkpoints}
        self._new_bans = {**changes.bans, **self._new_bans}
        self._retries = {**changes.retries, **self._retries}
        self._forget.update(
            name for name in changes.forget if name not in self._new_checkpoints
        )
        for name in self._forget:
            self._new_checkpoints.pop(name, None)

    def stored(self, changes: NoteChanges) -> None:
        """*changes* are durable."""
        self.checkpoints.update(changes.checkpoints)
        for name in self._forget:
            self.checkpoints.pop(name, None)

    def all_again(self) -> None:
        """Everything has to be stored once more."""
        self._new_checkpoints = {**self.checkpoints, **self._new_checkpoints}
        self._new_bans = {**self._bans, **self._new_bans}
