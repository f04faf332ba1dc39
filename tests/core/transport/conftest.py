"""The tiny venue, its adapter, and a link between them, on virtual time."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tapeline.model import Trade
from tapeline.plugins import bind_session
from tapeline.seams import Seams
from tapeline.testing import (
    TINY_BASE,
    InlineExecutor,
    ScriptedHttp,
    TinyAdapter,
    TinyConfig,
    TinyVenue,
    VirtualClock,
    run_virtual,
    tiny_stream,
)
from tapeline.transport import (
    BudgetKeeper,
    ExchangeLink,
    Inbox,
    LinkChange,
    LinkSettings,
    MemoryBans,
    RestClient,
    RestSettings,
    StreamLost,
    StreamOpened,
)


class World:
    """Venue, adapter, REST and one link, on virtual time."""

    def __init__(
        self,
        config: TinyConfig,
        settings: LinkSettings,
        max_items: int,
        seed: int,
        rest: RestSettings,
    ) -> None:
        self.clock = VirtualClock()
        self.random = random.Random(seed)
        self.venue = TinyVenue(self.clock)
        self.rules = self.venue.rules
        self.http = ScriptedHttp(self.clock, TINY_BASE)
        self.adapter = TinyAdapter()
        self.bans = MemoryBans(self.clock)
        self.budgets = BudgetKeeper(config.budgets, self.clock)
        self.inbox = Inbox(max_items)
        self.items: list[Any] = []
        self.changes: list[LinkChange] = []
        self.rest = RestClient(
            self.adapter,
            config,
            self.http,
            self.clock,
            self.budgets,
            self.random,
            self.bans,
            rest,
        )
        self.link = ExchangeLink(
            self.adapter,
            config,
            seams=Seams(
                self.clock, self.venue, self.http, InlineExecutor(), self.random
            ),
            instruments={},
            inbox=self.inbox,
            bind=bind_session,
            rest=self.rest,
            settings=settings,
            on_change=self.changes.append,
            logger=logging.getLogger("tapeline.link.tiny"),
        )

    stream = staticmethod(tiny_stream)
    base = TINY_BASE

    def want(self, symbols: Sequence[str]) -> None:
        """Want the trade streams of *symbols*."""
        self.link.want([tiny_stream(symbol) for symbol in symbols])

    @asynccontextmanager
    async def running(
        self, *symbols: str, settle_s: float = 1.0
    ) -> AsyncIterator[None]:
        """The link, wanting *symbols*, run for a while already."""
        self.want(symbols)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.link.run)
            tasks.start_soon(self._consume)
            await anyio.sleep(settle_s)
            yield
            await self.link.stop()
            tasks.cancel_scope.cancel()
        self.take()

    async def _consume(self) -> None:
        while True:
            await self.inbox.wait()
            self.take()

    def take(self) -> list[Any]:
        """Everything that came out so far."""
        self.items.extend(self.inbox.swap())
        return self.items

    def ids(self, symbol: str) -> list[int]:
        """Ids of the trades of *symbol* that came out."""
        return [
            item.first_id
            for item in self.take()
            if isinstance(item, Trade) and item.symbol == symbol
        ]

    def marks(self, symbol: str) -> list[str]:
        """``opened``, ``lost <cause>`` and ``trade`` of *symbol*, in order."""
        names: list[str] = []
        for item in self.take():
            if isinstance(item, StreamOpened | StreamLost | Trade):
                about = getattr(item, "subscription", None) or item.stream  # type: ignore[union-attr]
                if about.symbol != symbol:
                    continue
                if isinstance(item, StreamOpened):
                    names.append("opened")
                elif isinstance(item, StreamLost):
                    names.append(f"lost {item.cause}")
                else:
                    names.append("trade")
        return names

    def states(self) -> dict[str, str]:
        """Symbol → state, as status shows it."""
        return {
            one.subscription.symbol: one.state.value
            for one in self.link.status().subscriptions
        }


@pytest.fixture(scope="session")
def tiny_config() -> type[TinyConfig]:
    """The adapter's options."""
    return TinyConfig


@pytest.fixture(scope="session")
def run_world() -> Callable[..., None]:
    """Run ``async scenario(world)`` on virtual time."""

    def run(
        scenario: Callable[[World], Awaitable[None]],
        *,
        config: TinyConfig | None = None,
        settings: LinkSettings | None = None,
        max_items: int = 200_000,
        seed: int = 1,
        rest: RestSettings | None = None,
    ) -> None:
        async def main() -> None:
            with anyio.fail_after(10 * 24 * 3600):
                await scenario(
                    World(
                        config or TinyConfig(),
                        settings or LinkSettings(),
                        max_items,
                        seed,
                        rest or RestSettings(),
                    )
                )

        run_virtual(main, seed=seed)

    return run
