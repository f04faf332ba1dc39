"""REST requests that one session asks for: side by side, and bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import anyio.abc

from tapeline.errors import RequestFailed
from tapeline.model import Fetch, Response, Subscription
from tapeline.transport.rest import RestClient


class SessionFetches:
    """The requests of one session.

    Args:
        max_fetches: under way at the same time.
        answered: gets each answer.
        failed: gets each request without a usable one.
        tasks: where they run; None while there is no socket, and nothing is sent.
    """

    def __init__(
        self,
        rest: RestClient,
        max_fetches: int,
        answered: Callable[[Response], None],
        failed: Callable[[Fetch, RequestFailed], None],
    ) -> None:
        self.tasks: anyio.abc.TaskGroup | None = None
        self._rest = rest
        self._max_fetches = max_fetches
        self._answered = answered
        self._failed = failed
        self._under_way: Counter[Subscription | None] = Counter()

    def __contains__(self, subscription: object) -> bool:
        return self._under_way[subscription] > 0  # type: ignore[index]

    def start(self, fetch: Fetch) -> None:
        """Send *fetch* soon."""
        if self.tasks is None:
            return
        if self._under_way.total() >= self._max_fetches:
            self._failed(fetch, RequestFailed("too many requests of one session"))
            return
        self._under_way[fetch.subscription] += 1
        self.tasks.start_soon(self._fetch, fetch)

    async def _fetch(self, fetch: Fetch) -> None:
        try:
            response = await self._rest.fetch(fetch)
        except RequestFailed as error:
            self._failed(fetch, error)
            return
        finally:
            self._under_way[fetch.subscription] -= 1
            self._under_way += Counter()  # forgets what is zero
        self._answered(response)
