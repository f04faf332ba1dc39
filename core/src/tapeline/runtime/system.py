"""The seams of the real machine, and how tests and simulations replace them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tapeline.clock import SystemClock
from tapeline.runtime.executor import ThreadExecutor
from tapeline.seams import Seams
from tapeline.transport import HttpxClient, WebsocketsDialer

_seams: ContextVar[Seams | None] = ContextVar("tapeline_seams", default=None)


def system_seams(proxy: str | None = None) -> Seams:
    """Clocks, sockets, HTTP and threads of this machine.

    Args:
        proxy: URL of a proxy for all venues; the environment's when None.
    """
    clock = SystemClock()
    return Seams(
        clock=clock,
        dialer=WebsocketsDialer(proxy=proxy or True),
        http=HttpxClient(clock, proxy=proxy),
        executor=ThreadExecutor(),
        random=random.Random(),
    )


def current_seams() -> Seams:
    """The seams in force: those of ``use_seams``, else the machine's."""
    return _seams.get() or system_seams()


@contextmanager
def use_seams(seams: Seams) -> Iterator[Seams]:
    """Make everything that is built inside use *seams*."""
    token = _seams.set(seams)
    try:
        yield seams
    finally:
        _seams.reset(token)
