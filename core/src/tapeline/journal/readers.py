"""Who reads the journal, how far each is, and what each will never get."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from tapeline.errors import JournalError
from tapeline.journal.losses import (
    LATE_SINK,
    RESTORED,
    Loss,
    report_loss,
    told_part,
)
from tapeline.journal.rows import Chunk
from tapeline.model import Part


@attrs.frozen
class Changes:
    """What is to be stored with the next commit."""

    cursors: Mapping[str, int] = attrs.field(factory=dict)
    losses: Mapping[str, Sequence[Loss]] = attrs.field(factory=dict)
    forget: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.cursors or self.losses or self.forget)


class Readers:
    """Cursors and losses of all sinks; every change waits for the next commit."""

    def __init__(
        self, cursors: Mapping[str, int], losses: Mapping[str, Sequence[Loss]]
    ) -> None:
        self.cursors = dict(cursors)
        self._losses = {name: list(parts) for name, parts in losses.items()}
        self._handed: dict[str, int] = {}
        self._moved: set[str] = set()
        self._told: set[str] = set()
        self._forgotten: set[str] = set()

    @property
    def lowest(self) -> int | None:
        """The position up to which nobody needs rows; None when nobody reads."""
        return min((self._needs(name) for name in self.cursors), default=None)

    def expect(self, name: str, floor: int) -> None:
        """Keep rows from now on for a sink that will register."""
        if name not in self.cursors:
            self.cursors[name] = floor
            self._moved.add(name)
            self._forgotten.discard(name)

    def register(
        self,
        name: str,
        position: int | None,
        *,
        own_cursor: bool,
        started: int,
        floor: int,
        chunks: Sequence[Chunk],
    ) -> int:
        """Take *name* as a reader; returns its cursor. See ``JournalLike``."""
        if position is None and not own_cursor:
            position = self.cursors.get(name)
        cause = RESTORED
        if position is None:
            cause = LATE_SINK
            position = started - 1
        losses = self._losses.pop(name, [])
        if losses:
            self._told.add(name)
        kept = [loss for loss in losses if loss.position > position]
        begins = kept[0].after if kept else floor
        if position < min(begins, floor):
            kept.insert(0, _trimmed_loss(name, position, begins, cause, chunks))
            report_loss(kept[0])
            self._told.add(name)
        if kept:
            self._losses[name] = kept
        self.cursors[name] = position
        self._handed.pop(name, None)
        self._moved.add(name)
        self._forgotten.discard(name)
        return position

    def advance(self, name: str, position: int) -> None:
        """Move a cursor forward; losses up to there are told."""
        known = self.cursors.get(name)
        if known is None:
            raise JournalError(
                f"expected a sink that is registered, found {name!r}; call "
                "register_sink first"
            )
        if position <= known:
            return
        self.cursors[name] = position
        self._moved.add(name)
        losses = self._losses.get(name)
        if losses is not None:
            kept = [loss for loss in losses if loss.position > position]
            if len(kept) != len(losses):
                self._told.add(name)
                self._losses[name] = kept
                if not kept:
                    del self._losses[name]

    def told(self, name: str, after: int, detected_ns: int) -> Part | None:
        """The losses of *name* behind *after* as one part, None without any."""
        losses = self._losses.get(name)
        if losses is None:
            return None
        behind = [loss for loss in losses if loss.position > after]
        return told_part(behind, detected_ns) if behind else None

    def hand(self, name: str, position: int) -> None:
        """*name* was given everything up to *position*, and may be storing it."""
        if name in self.cursors:
            self._handed[name] = position

    def losable(self, name: str, upto: int) -> Sequence[tuple[int, int]]:
        """Intervals of positions that *name* can still lose, up to *upto*.

        What was handed over is an interval of its own: it is no loss when the
        sink ends up storing it.
        """
        start = self._needs(name)
        handed = self._handed.get(name, start)
        if start >= upto:
            return ()
        if start < handed < upto:
            return ((start, handed), (handed, upto))
        return ((start, upto),)

    def lose(self, loss: Loss) -> bool:
        """Note *loss*, which follows those that are known.

        Returns:
            False when the sink has stored it meanwhile, or is gone.
        """
        if loss.sink not in self.cursors or self._needs(loss.sink) > loss.after:
            return False
        losses = self._losses.setdefault(loss.sink, [])
        newest = losses[-1] if losses else None
        if (
            newest is not None
            and newest.cause == loss.cause
            and newest.position > self._handed.get(loss.sink, -1)
        ):
            losses[-1] = newest.joined(loss)
        else:
            losses.append(loss)
            report_loss(loss)
        self._told.add(loss.sink)
        return True

    def retain(self, names: Collection[str]) -> None:
        """Forget all but *names*."""
        for name in [name for name in self.cursors if name not in names]:
            del self.cursors[name]
            self._losses.pop(name, None)
            self._handed.pop(name, None)
            self._moved.discard(name)
            self._told.discard(name)
            self._forgotten.add(name)

    def take_changes(self, everything: bool = False) -> Changes:
        """What changed since the last time, or all of it."""
        moved = set(self.cursors) if everything else self._moved
        told = self._told.union(self._losses) if everything else self._told
        changes = Changes(
            cursors={name: self.cursors[name] for name in moved},
            losses={name: tuple(self._losses.get(name, ())) for name in told},
            forget=tuple(self._forgotten),
        )
        self._moved = set()
        self._told = set()
        self._forgotten = set()
        return changes

    def give_back(self, changes: Changes) -> None:
        """A commit failed: *changes* wait for the next one."""
        known = self.cursors
        self._moved.update(name for name in changes.cursors if name in known)
        self._told.update(name for name in changes.losses if name in known)
        self._forgotten.update(name for name in changes.forget if name not in known)

    def _needs(self, name: str) -> int:
        """Rows up to here are stored by *name*, or lost for it."""
        losses = self._losses.get(name)
        cursor = self.cursors[name]
        return max(cursor, losses[-1].position) if losses else cursor


def _trimmed_loss(
    name: str, after: int, position: int, cause: str, chunks: Sequence[Chunk]
) -> Loss:
    """What the trimmed rows ``after < p <= position`` held, from their summaries."""
    loss = Loss(name, after, position, cause)
    for chunk in chunks:
        if chunk.last_position > after and chunk.first_position <= position:
            loss.spans.add(chunk.headers)
            loss.rows += chunk.rows
    return loss
