"""HTTP that answers what a test wrote down before."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import anyio

from tapeline.clock import Clock
from tapeline.errors import RequestFailed
from tapeline.model import Request, Response


class ScriptedHttp:
    """``seams.Http`` that answers from ``script`` in turn, then by path.

    Args:
        base: beginning of all addresses; ``paths`` has what follows it.

    ``sent`` has each request with its monotonic time; an error in ``script`` is
    raised; what has no path is answered with ``1``.
    """

    def __init__(self, clock: Clock, base: str) -> None:
        self.clock = clock
        self.base = base
        self.script: deque[tuple[int, bytes, Mapping[str, str]] | Exception] = deque()
        self.paths: dict[str, bytes] = {}
        self.sent: list[tuple[int, Request]] = []
        self.takes_s = 0.01

    async def send(self, request: Request, timeout_s: float) -> Response:
        """The next answer, after ``takes_s``.

        Raises:
            RequestFailed: it takes longer than *timeout_s*, or the script says so.
        """
        self.sent.append((self.clock.monotonic_ns(), request))
        if self.takes_s > timeout_s:
            await anyio.sleep(timeout_s)
            raise RequestFailed("no answer in time")
        await anyio.sleep(self.takes_s)
        if self.script:
            answer = self.script.popleft()
            if isinstance(answer, Exception):
                raise answer
        else:
            path = request.url.removeprefix(self.base).partition("?")[0]
            answer = (200, self.paths.get(path, b"1"), {})
        status, body, headers = answer
        return Response(request, status, headers, body, self.clock.wall_ns())

    async def aclose(self) -> None:
        """Nothing to release."""
