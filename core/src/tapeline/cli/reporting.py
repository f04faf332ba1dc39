"""What ``tapeline run`` tells an operator: one line a minute, and the end."""

from __future__ import annotations

import logging

import anyio

from tapeline.collectors import CollectorManager
from tapeline.delivery import SinkRunner
from tapeline.runtime import Engine

EVERY_S = 60.0
SILENT_AFTER_S = 3.0
_LOOK_S = 1.0
_LIVE = ("live", "quiet")
_AWAY = ("unavailable", "failed")


class Reporter:
    """Looks at a running manager and logs what it sees; made after the start."""

    def __init__(self, manager: CollectorManager, logger: logging.Logger) -> None:
        engine = manager.engine
        assert engine is not None
        self._engine: Engine = engine
        # The engine forgets its runners at the end; their figures are wanted then.
        self._runners: dict[str, SinkRunner] = dict(engine.runners)
        self._logger = logger
        self._told: set[str] = set()

    async def run(self) -> None:
        """Tell of venues that do not answer, then a line a minute; until cancelled."""
        await anyio.sleep(SILENT_AFTER_S)
        self.tell_silent()
        while True:
            await anyio.sleep(EVERY_S)
            self._logger.info("%s", self.line())

    async def run_stop(self) -> None:
        """Tell once of each sink that is away while we stop; until cancelled."""
        while True:
            for name, runner in self._runners.items():
                if runner.state in _AWAY and name not in self._told:
                    self._told.add(name)
                    self._logger.warning(
                        "stopping: sink %s is %s (%s); what it has not taken stays in "
                        "the journal for the next start",
                        name,
                        runner.state,
                        runner.reason,
                    )
            await anyio.sleep(_LOOK_S)

    def tell_silent(self) -> None:
        """Warn of each venue that has not answered at all by now."""
        for name, feed in self._engine.feeds.items():
            if not feed.instruments_loaded:
                self._logger.warning(
                    "collector %s: %s has not answered yet; it is tried again until "
                    "it does, check the network and the addresses",
                    name,
                    feed.settings.adapter.name,
                )

    def line(self) -> str:
        """Events, streams, gaps and sinks, in one line."""
        engine = self._engine
        states = [
            stream.state.value
            for name in engine.feeds
            for stream in engine.link_status(name).subscriptions
        ]
        live = sum(state in _LIVE for state in states)
        parts = [
            f"{self.events:,} events",
            f"{live} of {len(states)} streams live",
            f"{len(engine.ledger.open_gaps())} gaps open",
        ]
        for name, runner in self._runners.items():
            status = runner.status()
            parts.append(
                f"sink {name} {status['state']}: {status['records']:,} stored, "
                f"{status['lag_rows']:,} waiting, {status['lag_seconds']:.1f} s behind"
            )
        return "; ".join([*parts, *self._audited()])

    def _audited(self) -> list[str]:
        """How our bars compare with the venues', when they are compared."""
        compared, matched = self._engine.audits.totals()
        if not self._engine.audits:
            return []
        return [f"{matched:,} of {compared:,} bars equal the venues'"]

    @property
    def events(self) -> int:
        """Events that were accepted from all streams so far."""
        return sum(state.accepted for state in self._engine.pipeline.streams.values())

    def last_line(self) -> str:
        """What was done, once everything has stopped."""
        parts = [f"stopped, {self.events:,} events"]
        for name, runner in self._runners.items():
            parts.append(f"sink {name} stored {runner.status()['records']:,} records")
        return "; ".join([*parts, *self._audited()])
