"""What looks after one feed: its gaps, its streams' health, its instruments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import attrs

from tapeline.backoff import Backoff
from tapeline.errors import RequestFailed
from tapeline.model import StatusChange, Subscription, SubscriptionState
from tapeline.runtime.audits import Audits, CandleFetcher
from tapeline.runtime.backfiller import Backfiller
from tapeline.runtime.feed import Feed
from tapeline.runtime.healing import Healer
from tapeline.runtime.pipeline import Pipeline
from tapeline.runtime.supervision import Supervised, Supervisor
from tapeline.runtime.watch_settings import Known, WatchSettings
from tapeline.runtime.watcher import Watcher
from tapeline.seams import Seams
from tapeline.transport import LinkStatus, SubscriptionStatus

_REFRESH_S = 3_600.0
_RELISTED_S = 300.0
_REFRESH_PAUSE_S = 60.0
_LONGEST_PAUSE_S = 900.0


class Caretaker:
    """Supervises what helps one feed; a failure here never stops the feed.

    It outlives the feed's sockets, so that the last gaps can be filled when they
    are closed.

    Args:
        pipeline: which knows what came of a stream.
        audits: which know what the venue's candles did not bring.
        on_change: told when a part fails or comes back.
        max_silence_s: longest silence of a stream that is never asked about.
    """

    def __init__(
        self,
        feed: Feed,
        healer: Healer,
        pipeline: Pipeline,
        audits: Audits,
        seams: Seams,
        on_change: Callable[[StatusChange], None],
        max_silence_s: float,
    ) -> None:
        name = feed.settings.name
        self.name = name
        self.backfiller = Backfiller(
            feed.settings.adapter,
            feed.settings.config,
            wanted=lambda: {**feed.wanted, **feed.halted},
            rest=feed.link.rest,
            healer=healer,
            clock=seams.clock,
            rng=seams.random,
            logger=feed.settings.logger("backfill"),
        )
        self.watcher = Watcher(
            feed.settings.adapter,
            feed.settings.config,
            feed.link,
            known=self._known,
            instrument=feed.instrument,
            refresh=self._refresh_soon,
            quiet=pipeline.quiet,
            settings=WatchSettings(ceiling_s=max_silence_s),
            logger=feed.settings.logger("watch"),
        )
        self._fetcher = CandleFetcher(feed, audits, emit=healer.give, clock=seams.clock)
        self.parts = {
            part: Supervised(f"{part} of {name}")
            for part in ("care", "backfill", "watch", "instruments", "audit")
        }
        self._feed = feed
        self._pipeline = pipeline
        self._refresh = anyio.Event()
        self._seams = seams
        self._on_change = on_change
        self._logger = feed.settings.logger("care")
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Care until ``stop``; a part that fails is started again."""
        with self._scope:
            await self._supervise("care", self._run_parts)

    async def _run_parts(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._supervise, "backfill", self.backfiller.run)
            tasks.start_soon(self._supervise, "watch", self.watcher.run)
            tasks.start_soon(self._supervise, "instruments", self._keep_fresh)
            tasks.start_soon(self._supervise, "audit", self._fetcher.run)

    def stop(self) -> None:
        """Let ``run`` return, also one that has not begun."""
        self._scope.cancel()

    def status(self) -> LinkStatus:
        """How the link is, with what was found out about its silent streams."""
        status = self._feed.link.status()
        verdict = self.watcher.verdict
        streams = [
            attrs.evolve(one, state=verdict(one.subscription) or one.state)
            for one in status.subscriptions
        ]
        halted = [
            SubscriptionStatus(
                stream,
                SubscriptionState.HALTED,
                0,
                None,
                None,
                0,
                self._feed.delisted.get(stream.symbol, ""),
            )
            for stream in self._feed.halted
        ]
        return attrs.evolve(status, subscriptions=(*streams, *halted))

    def failed_parts(self) -> list[Supervised]:
        """Parts that are not started again."""
        return [part for part in self.parts.values() if part.state == "failed"]

    def statistics(self) -> dict[str, object]:
        """What backfill and watch have done so far, JSON-ready."""
        return {
            "backfill": attrs.asdict(self.backfiller.statistics),
            "watch": attrs.asdict(self.watcher.statistics),
            "audit": attrs.asdict(self._fetcher.statistics),
            "parts": {name: part.state for name, part in self.parts.items()},
        }

    def _known(self, subscription: Subscription) -> Known:
        """What the pipeline has of a stream, for those who watch it."""
        state = self._pipeline.streams.get(subscription)
        last = None if state is None else state.last
        return Known(
            self._pipeline.ledger.high_water(subscription),
            getattr(last, "exchange_ns", None),
        )

    def _refresh_soon(self) -> None:
        self._refresh.set()

    async def _keep_fresh(self) -> None:
        """Ask for the instruments every hour, and when a stream gives reason to.

        Symbols that are not listed are looked for more often.

        The list is long, and in a quiet market there is always a stream that gives
        reason to ask: while nothing changes, it is asked for ever more rarely.
        """
        pause_s = _REFRESH_PAUSE_S
        while True:
            gone = self._feed.delisted or self._feed.unknown_symbols
            with anyio.move_on_after(_RELISTED_S if gone else _REFRESH_S):
                await self._refresh.wait()
            self._refresh = anyio.Event()
            if self._feed.instruments_loaded:
                try:
                    changed = await self._feed.refresh_instruments()
                except RequestFailed as error:
                    self._logger.info("%s", error)
                else:
                    longer_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                    pause_s = _REFRESH_PAUSE_S if changed else longer_s
            await self._seams.clock.sleep(pause_s)

    async def _supervise(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        backoff = Backoff(self._seams.random)
        supervisor = Supervisor(
            self._seams.clock,
            lambda _: backoff.next_delay_s(),
            self._on_change,
            self._logger,
        )
        await supervisor.run(self.parts[name], body)
