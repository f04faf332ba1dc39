"""Tells other processes how the sinks are, and does what they ask."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from tapeline.delivery import SinkRunner
from tapeline.runtime.sink_files import (
    DROP,
    SinkRequest,
    done_requests,
    remove_status,
    take_requests,
    write_status,
)
from tapeline.seams import Seams

logger = logging.getLogger("tapeline.sinks")

EVERY_S = 5.0
"""How often the files are looked at."""


class SinkDesk:
    """One task beside the runners of an engine with a journal on disk.

    Args:
        folder: the journal's.
        runners: of the durable sinks.
        live: status of the live sinks, JSON-ready.
    """

    def __init__(
        self,
        folder: Path,
        runners: Mapping[str, SinkRunner],
        live: Callable[[], Mapping[str, object]],
        seams: Seams,
    ) -> None:
        self._folder = folder
        self._runners = runners
        self._live = live
        self._clock = seams.clock
        self._worker = seams.executor.worker("sinks")

    async def run(self) -> None:
        """Write and look every few seconds, until cancelled."""
        try:
            while True:
                # A disk that refuses these files refuses more important ones too,
                # and the journal says so.
                with contextlib.suppress(OSError):
                    await self._turn()
                await self._clock.sleep(EVERY_S)
        finally:
            with contextlib.suppress(OSError):
                remove_status(self._folder)

    async def _turn(self) -> None:
        requests = await self._worker.run(take_requests, self._folder)
        for request in requests:
            await self._do(request)
        if requests:
            await self._worker.run(done_requests, self._folder)
        status = {
            "pid": os.getpid(),
            "wall_ns": self._clock.wall_ns(),
            "durable": {name: one.status() for name, one in self._runners.items()},
            "live": self._live(),
        }
        await self._worker.run(write_status, self._folder, status)

    async def _do(self, request: SinkRequest) -> None:
        runner = self._runners.get(request.sink)
        if runner is None:
            logger.warning("asked about sink %s, which is not here", request.sink)
        elif request.action == DROP:
            count = await runner.drop_dead_letters()
            logger.info("sink %s: forgot %d dead letters", request.sink, count)
        else:
            count = await runner.retry_dead_letters()
            logger.info("sink %s: tries %d dead letters again", request.sink, count)
