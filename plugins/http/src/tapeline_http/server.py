"""The server: uvicorn inside the collection's own loop."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import anyio
import uvicorn

from tapeline import TapelineError
from tapeline.hookspecs import Control, ServiceContext
from tapeline_http.app import build_app
from tapeline_http.config import HttpConfig

_LOOK_S = 0.02
_CLOSE_TIMEOUT_S = 2
_TAKEN = (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL)


class _Server(uvicorn.Server):
    """A server that leaves the signals to the process it is a guest of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class HttpService:
    """``tapeline.hookspecs.Service`` that answers over HTTP.

    Attributes:
        port: that it listens on, once it serves.
    """

    def __init__(
        self, config: HttpConfig, control: Control, context: ServiceContext
    ) -> None:
        self.port = config.port
        self._config = config
        self._control = control
        self._context = context

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled.

        Raises:
            TapelineError: the address cannot be listened on.
        """
        listener = self._listen()
        self.port = listener.getsockname()[1]
        server = _Server(
            uvicorn.Config(
                build_app(self._control, self._config.token),
                lifespan="off",
                log_config=None,
                access_log=False,
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=_CLOSE_TIMEOUT_S,
            )
        )
        ended = anyio.Event()

        async def serve() -> None:
            # Ends by should_exit, within the time of a graceful shutdown.
            with anyio.CancelScope(shield=True):
                await server.serve(sockets=[listener])
            ended.set()

        with contextlib.closing(listener):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve)
                try:
                    # Bounded: it starts or it ends.
                    while not server.started and not ended.is_set():
                        await self._context.clock.sleep(_LOOK_S)
                    self._context.logger.info(
                        "listening on http://%s:%d", self._config.host, self.port
                    )
                    ready()
                    # For as long as the collection runs.
                    await ended.wait()
                finally:
                    server.should_exit = True

    def _listen(self) -> socket.socket:
        host, port = self._config.host, self._config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family)
        except OSError as error:
            raise TapelineError(
                f"expected an address to listen on, found {host}:{port} "
                f"{'not to be had' if error.errno in _TAKEN else 'unusable'} "
                f"({error.strerror}); set host and port of the service, or stop what "
                "listens there"
            ) from error
