"""The callbacks sink: every event to one Python function."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import anyio.lowlevel

from tapeline.clock import Now
from tapeline.errors import SinkError
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, MarketDataPoint, Record, SinkHealth
from tapeline_callbacks.config import CallbacksConfig
from tapeline_callbacks.targets import Callback, resolve

REPORT_INTERVAL_NS = 60 * 10**9
"""At most one log record per this time tells of a callback that raises."""

CALLS_PER_TURN = 256
"""After as many calls the other tasks have a turn."""


class CallbacksSink:
    """Calls one function per event, at most once each; see ``hookspecs.Sink``.

    Facts (gaps, coverage, raw messages) are not events and are not passed on. A
    call that raises is counted and logged, and the next event follows.
    """

    def __init__(self, config: CallbacksConfig, context: SinkContext) -> None:
        self._config = config
        self._context = context
        self._wanted = _filter(config)
        self._callback: Callback | None = None
        self._called = 0
        self._failed = 0
        self._last_failure = ""
        self._reported_ns: int | None = None
        self._unreported = 0

    async def open(self, journal_id: str) -> int | None:
        """Find the function; None, because nothing is kept.

        Raises:
            SinkError: there is no such function; final.
        """
        self._callback = resolve(self._config.target)
        return None

    async def write(self, batch: Batch) -> None:
        """Call the function with each wanted event of *batch*, in order."""
        callback = self._callback
        if callback is None:
            raise SinkError(
                f"expected callback {self._config.target!r} to be opened before it "
                "is written to, found it closed; open it"
            )
        wanted = self._wanted
        for part in batch.parts:
            for record in part.records:
                if not wanted(record):
                    continue
                self._called += 1
                # Supervised: the function is the user's and may raise anything;
                # neither the other events nor the other sinks may notice.
                try:
                    result = callback(record)  # type: ignore[arg-type]
                    if result is not None and inspect.isawaitable(result):
                        # No deadline: what waits behind it is bounded by delivery.
                        await result
                except Exception as error:
                    self._report(error)
                if not self._called % CALLS_PER_TURN:
                    await anyio.lowlevel.checkpoint()

    async def close(self) -> None:
        """Let the function go; safe twice, safe unopened."""
        self._callback = None
        if self._unreported:
            self._context.logger.error(
                "callback %s raised %d more times",
                self._config.target,
                self._unreported,
            )
            self._unreported = 0

    def health(self, now: Now) -> SinkHealth:
        """Calls and failures; a function that raised makes it an issue."""
        issues = (self._last_failure,) if self._last_failure else ()
        counters = {"called": self._called, "failed": self._failed}
        return SinkHealth(not issues, issues, counters)

    def _report(self, error: Exception) -> None:
        self._failed += 1
        target = self._config.target
        self._last_failure = f"callback {target} raised {type(error).__name__}: {error}"
        now_ns = self._context.clock.monotonic_ns()
        if (
            self._reported_ns is not None
            and now_ns - self._reported_ns < REPORT_INTERVAL_NS
        ):
            self._unreported += 1
            return
        self._context.logger.error(
            "callback %s raised %s: %s (%d more since the last report)",
            target,
            type(error).__name__,
            error,
            self._unreported,
            exc_info=error,
        )
        self._reported_ns = now_ns
        self._unreported = 0


def _filter(config: CallbacksConfig) -> Callable[[Record], bool]:
    data_types = None if config.data_types is None else frozenset(config.data_types)
    symbols = None if config.symbols is None else frozenset(config.symbols)

    def wanted(record: Record) -> bool:
        return (
            isinstance(record, MarketDataPoint)
            and (data_types is None or str(record.data_type) in data_types)
            and (symbols is None or record.symbol in symbols)
        )

    return wanted
