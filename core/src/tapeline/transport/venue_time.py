"""How far the venue's clock is from ours."""

from __future__ import annotations

import anyio

from tapeline.errors import RequestFailed
from tapeline.transport.rest import RestClient

SYNC_EVERY_S = 600.0
RETRY_AFTER_S = 30.0


class VenueTime:
    """Keeps ``RestClient.venue_offset_ns`` from the venue's own clock.

    Venues without one leave the offset at 0.
    """

    def __init__(self, rest: RestClient) -> None:
        self._rest = rest
        self.synced = anyio.Event()

    async def run(self) -> None:
        """Measure now and then every ten minutes; failures are tried again."""
        fetch = self._rest.adapter.server_time(self._rest.config)
        if fetch is None:
            self.synced.set()
            return
        while True:
            try:
                await self.measure()
            except RequestFailed:
                await self._rest.clock.sleep(RETRY_AFTER_S)
            else:
                await self._rest.clock.sleep(SYNC_EVERY_S)

    async def measure(self) -> None:
        """Ask once; the offset is too small by the time that the answer traveled.

        Waits and retries are not in it, because the answer carries its own stamp.

        Raises:
            RequestFailed: no usable answer.
        """
        rest = self._rest
        fetch = rest.adapter.server_time(rest.config)
        if fetch is not None:
            response = await rest.fetch(fetch)
            venue_ns = rest.adapter.read_server_time(response)
            rest.venue_offset_ns = venue_ns - response.received_ns
        self.synced.set()
