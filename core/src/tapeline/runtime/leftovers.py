"""What an earlier run followed and nobody wants any more: forgotten, not for ever.

At start every stream of the last checkpoint is kept, as its collector may still wait
for the venue. What no collector claims after a while was removed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tapeline.clock import Clock
from tapeline.runtime.feed import Feed
from tapeline.runtime.pipeline import Output, Pipeline

_SETTLE_NS = 60 * 10**9
_LONGEST_NS = 600 * 10**9


class Leftovers:
    """Sweeps the restored streams of one run; synchronous.

    Args:
        feeds: the collectors there are.
    """

    def __init__(
        self, pipeline: Pipeline, feeds: Callable[[], Iterable[Feed]], clock: Clock
    ) -> None:
        self._pipeline = pipeline
        self._feeds = feeds
        self._clock = clock
        self._since_ns = clock.monotonic_ns()
        self._swept = True

    def begin(self) -> None:
        """A run has restored its state."""
        self._since_ns = self._clock.monotonic_ns()
        self._swept = False

    @property
    def hold_checkpoints(self) -> bool:
        """True while bars wait for the rows that follow the last checkpoint.

        A younger checkpoint would no longer have those rows behind it.
        """
        return bool(self._pipeline.later) and self._age_ns < _LONGEST_NS

    @property
    def _age_ns(self) -> int:
        return self._clock.monotonic_ns() - self._since_ns

    def sweep(self) -> Output | None:
        """Forget what nobody claims, once it is time; None when it is not."""
        if self._swept or self._age_ns < _SETTLE_NS:
            return None
        feeds = list(self._feeds())
        waits = not all(feed.instruments_loaded for feed in feeds)
        if waits and self._age_ns < _LONGEST_NS:
            return None
        self._swept = not waits
        pipeline = self._pipeline
        out = Output()
        for subscription in pipeline.ledger.streams():
            known = subscription in pipeline.streams
            if known or any(feed.claims(subscription) for feed in feeds):
                continue
            pipeline.ledger.forget(subscription, self._clock.wall_ns(), out.journal)
            pipeline.saved_candles.pop(subscription, None)
        pipeline.later.clear()
        out.ended = True
        return out
