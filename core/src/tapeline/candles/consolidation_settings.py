"""What one consolidated symbol is made of."""

from __future__ import annotations

import attrs


@attrs.frozen
class ConsolidationSettings:
    """One symbol over several exchanges.

    Args:
        name: of the consolidation, unique in an engine.
        symbol: canonical symbol, the same on every exchange.
        exchanges: names of the venues, each once.
        market: kind of market, the same on every exchange.
        timeframes: of the consolidated bars; the parts' bars are built as well.
        wait_s: how long after its end a bar waits for parts that are not whole.
        stale_after_s: silence after which a part is stale; bars do not wait for it.
        keep_s: how long whole bars can still be revised.
        max_open: bars per timeframe that wait for a part to become whole; beyond
            it the oldest stays as it is.
    """

    name: str
    symbol: str
    exchanges: tuple[str, ...]
    market: str = "spot"
    timeframes: tuple[str, ...] = ("1m",)
    wait_s: float = 5.0
    stale_after_s: float = 60.0
    keep_s: float = 120.0
    max_open: int = 2_048

    @property
    def wait_ns(self) -> int:
        """The wait in nanoseconds."""
        return round(self.wait_s * 1e9)

    @property
    def stale_after_ns(self) -> int:
        """The bound of silence in nanoseconds."""
        return round(self.stale_after_s * 1e9)

    @property
    def keep_ns(self) -> int:
        """The time that whole bars are kept, in nanoseconds."""
        return round(self.keep_s * 1e9)
