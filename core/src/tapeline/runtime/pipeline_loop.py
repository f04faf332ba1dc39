"""The turns of the pipeline: the inbox in, what follows from it out to everybody."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from tapeline.clock import Clock
from tapeline.delivery import LiveFanOut
from tapeline.integrity import GapIds
from tapeline.journal import JournalLike
from tapeline.runtime.audits import Audits
from tapeline.runtime.book_keeper import BookKeeper
from tapeline.runtime.checkpoints import keep_checkpoints, load_state, save_state
from tapeline.runtime.consolidating import Consolidations
from tapeline.runtime.feeds import Feeds
from tapeline.runtime.gap_board import GapBoard
from tapeline.runtime.leftovers import Leftovers
from tapeline.runtime.pipeline import Output, Pipeline
from tapeline.runtime.standby_keeper import StandbyKeeper
from tapeline.transport import Inbox

_TICK_S = 0.25
_IDLE_TICK_S = 5.0
_CALM_NS = 5 * 10**9
"""Without any news for so long, nothing waits for a deadline of the pipeline."""


class PipelineLoop:
    """Turns one pipeline, and hands on what comes out of it in the order it came.

    Args:
        inbox: what the sockets received.
        feeds: whose streams these are.
        gap_ids: of the gaps that the pipeline finds.
        checkpoint_s: how often the state is saved.

    Attributes:
        journal: where records go; set before the first turn.
        gap_board: told of gaps once there is one.
        heartbeat_ns: monotonic time of the last turn.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        inbox: Inbox,
        live: LiveFanOut,
        feeds: Feeds,
        audits: Audits,
        consolidations: Consolidations,
        gap_ids: GapIds,
        clock: Clock,
        checkpoint_s: float,
    ) -> None:
        self.journal: JournalLike | None = None
        self.gap_board: GapBoard | None = None
        self.books = BookKeeper(pipeline.streams, feeds.links_of, clock)
        self.standbys = StandbyKeeper(pipeline.streams, feeds.links_of, clock)
        self.heartbeat_ns = clock.monotonic_ns()
        self._pipeline = pipeline
        self._inbox = inbox
        self._live = live
        self._feeds = feeds
        self._audits = audits
        self._consolidations = consolidations
        self._gap_ids = gap_ids
        self._clock = clock
        self._checkpoint_after_ns = checkpoint_s * 10**9
        self._leftovers = Leftovers(pipeline, lambda: feeds.by_name.values(), clock)
        self._checkpoint_ns = 0
        self._unsaved = True
        self._news_ns = clock.monotonic_ns()
        self._gap_id = 0

    async def restore(self, journal: JournalLike) -> None:
        """Begin where the last run ended; what came meanwhile is a downtime."""
        pipeline = self._pipeline
        streams = await load_state(journal, pipeline)
        now_ns = self._clock.wall_ns()
        for subscription in streams:
            pipeline.ledger.lost(subscription, "downtime", now_ns)
        self._leftovers.begin()
        await self._consolidations.restore(journal)
        keep_checkpoints(journal, self._consolidations.checkpoint_names)

    async def run(self, scope: anyio.CancelScope) -> None:
        """Turn whenever something came or is due, until *scope* is cancelled."""
        with scope:
            advance_ns = self._clock.monotonic_ns()
            while True:
                with anyio.move_on_after(self._tick_s()):
                    await self._inbox.wait()
                self.step()
                monotonic_ns = self._clock.monotonic_ns()
                if monotonic_ns - advance_ns >= _TICK_S * 10**9:
                    advance_ns = monotonic_ns
                    self.emit(self._pipeline.advance(self._clock.wall_ns()))
                    swept = self._leftovers.sweep()
                    if swept is not None:
                        self.emit(swept)
                # One turn of the loop for everybody else, also under a flood.
                await anyio.lowlevel.checkpoint()

    def _tick_s(self) -> float:
        """Until the next turn, if nothing comes: longer in an idle market.

        Bars end, books are asked for and checkpoints are due by the clock.
        """
        calm_ns = self._clock.monotonic_ns() - self._news_ns
        busy = calm_ns < _CALM_NS or self._unsaved or self._pipeline.keeps_time
        return _TICK_S if busy else _IDLE_TICK_S

    def step(self) -> None:
        """Take what is in the inbox through the pipeline."""
        clock = self._clock
        self.heartbeat_ns = clock.monotonic_ns()
        items = self._inbox.swap()
        journal = self.journal
        self._pipeline.refuse(journal is not None and journal.full, clock.wall_ns())
        if items:
            self._unsaved = True
            self._news_ns = self.heartbeat_ns
            self.emit(self._pipeline.process(items, clock.wall_ns()))

    def settle(self) -> None:
        """The sockets are closed: what is missing now, is."""
        self.step()
        self.emit(self._pipeline.settle(self._clock.wall_ns()))

    def finish(self, journal: JournalLike) -> None:
        """The last turn: end coverage and bars, and save where it ended."""
        self.step()
        last = self._pipeline.finish(self._clock.wall_ns())
        self.emit(last, ends=True)
        if not self._leftovers.hold_checkpoints:
            save_state(journal, self._pipeline)
        self._consolidations.save(journal, force=True)

    def refuses(self) -> bool:
        """True while a record would be shed instead of stored."""
        journal = self.journal
        return journal is None or journal.full or self._pipeline.shedding

    def emit(self, out: Output, *, ends: bool = False) -> None:
        """Hand *out* to the journal, to live consumers and to whom it concerns.

        Args:
            ends: nothing follows, so consolidated bars do not wait for more.
        """
        journal = self.journal
        if journal is None:
            return
        if self._audits:
            self._audits.take(out)
        if self._consolidations:
            self._consolidations.take(out, self._clock.wall_ns(), ends=ends)
        if out.journal:
            # What the pipeline has taken counts as stored, so it is never refused:
            # ``step`` sees to it that little is taken while the journal is full.
            journal.append(out.journal, urgent=True)
            self._unsaved = True
            if self.gap_board is not None:
                self.gap_board.take(out.journal)
        if out.live:
            self._live.publish(out.live)
        for subscription in out.broken_books:
            self.books.broke(subscription)
        for subscription, connection in out.broken_standbys:
            self.standbys.broke(subscription, connection)
        self.books.look()
        self.standbys.look()
        if self._gap_ids.last != self._gap_id:
            self._gap_id = self._gap_ids.last
            self._feeds.poke_backfills()
        if self._unsaved:
            self._checkpoint(journal, at_once=out.ended)

    def _checkpoint(self, journal: JournalLike, *, at_once: bool) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._leftovers.hold_checkpoints or (
            not at_once and now_ns - self._checkpoint_ns < self._checkpoint_after_ns
        ):
            return
        self._checkpoint_ns = now_ns
        self._unsaved = False
        save_state(journal, self._pipeline)
        self._consolidations.save(journal)
