"""REST over ``httpx``: one request, one whole answer, nothing decided here."""

from __future__ import annotations

import logging

import httpx

from tapeline.clock import Clock
from tapeline.errors import RequestFailed
from tapeline.model import Request, Response
from tapeline.transport.addresses import shown_url

MAX_BODY_BYTES = 64 * 2**20
_POOL_TIMEOUT_S = 10.0


class _ShownUrls(logging.Filter):
    """Cuts queries, and so signatures, out of what the driver logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                shown_url(str(arg)) if isinstance(arg, httpx.URL) else arg
                for arg in record.args
            )
        return True


_shown_urls = _ShownUrls()


class HttpxClient:
    """``seams.Http`` over an ``httpx.AsyncClient``.

    Follows no redirects, so that a signed request never travels to another host.

    Args:
        clock: stamps answers.
        proxy: address of a proxy; None uses the environment's.
        trust_env: whether the environment's proxies are used.
        max_connections: open at the same time.
    """

    def __init__(
        self,
        clock: Clock,
        proxy: str | None = None,
        *,
        trust_env: bool = True,
        max_connections: int = 20,
    ) -> None:
        self._clock = clock
        self._proxy = proxy
        self._trust_env = trust_env
        self._limits = httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections
        )
        self._client: httpx.AsyncClient | None = None
        self.recycled = 0
        # Adding the same filter again changes nothing.
        logging.getLogger("httpx").addFilter(_shown_urls)

    async def send(self, request: Request, timeout_s: float) -> Response:
        """Send *request* and read the whole answer.

        Raises:
            RequestFailed: no answer in time, or a broken one.
        """
        client = self._open()
        shown = f"{request.method} {shown_url(request.url)}"
        try:
            return await self._exchange(client, request, timeout_s)
        except httpx.PoolTimeout as error:
            # A pool can leak slots when requests are cancelled: start a fresh one.
            await self._recycle(client)
            raise RequestFailed(f"{shown}: no free connection in time") from error
        except httpx.TimeoutException as error:
            raise RequestFailed(
                f"{shown}: expected an answer within {timeout_s:g} s, found none"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            text = str(error).replace(request.url, shown_url(request.url))
            raise RequestFailed(
                f"{shown}: expected an answer, found {type(error).__name__}"
                f"{': ' if text else ''}{text[:200]}"
            ) from error

    async def aclose(self) -> None:
        """Release all connections; safe twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchange(
        self, client: httpx.AsyncClient, request: Request, timeout_s: float
    ) -> Response:
        body = bytearray()
        async with client.stream(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.body or None,
            timeout=httpx.Timeout(timeout_s, pool=_POOL_TIMEOUT_S),
        ) as answer:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise ValueError(
                        f"expected at most {MAX_BODY_BYTES} bytes, found more"
                    )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(
                request, answer.status_code, headers, bytes(body), self._clock.wall_ns()
            )

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                proxy=self._proxy,
                trust_env=self._trust_env,
                follow_redirects=False,
                limits=self._limits,
            )
        return self._client

    async def _recycle(self, client: httpx.AsyncClient) -> None:
        if self._client is client:
            self._client = None
            self.recycled += 1
            await client.aclose()
