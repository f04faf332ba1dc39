"""What ``tapeline certify callbacks`` tests: a function that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeline.model import MarketDataPoint, Trade
from tapeline.testing import Destination, SinkUnderTest
from tapeline_callbacks.adapter import CallbacksAdapter
from tapeline_callbacks.config import CallbacksConfig

COST_RATIO = 3.0
"""``write`` may cost so many encodings of its events."""

_heard: list[int] = []


def remember(point: MarketDataPoint) -> None:
    """The function that is called."""
    if isinstance(point, Trade):
        _heard.append(point.last_id)


@contextmanager
def sink_under_test(folder: Path) -> Iterator[SinkUnderTest]:
    """A function of this module; nothing can take it away."""

    @contextmanager
    def destination() -> Iterator[Destination]:
        _heard.clear()
        config = CallbacksConfig(f"{__name__}:{remember.__name__}")
        yield Destination(config, lambda: list(_heard))

    yield SinkUnderTest(
        CallbacksAdapter(), destination, cost_ratio=COST_RATIO, plugin="callbacks"
    )
