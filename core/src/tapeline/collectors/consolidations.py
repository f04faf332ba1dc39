"""The consolidated symbols of one manager."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tapeline.candles import ConsolidationSettings
from tapeline.collectors.base import BaseDataCollector
from tapeline.collectors.consolidation import Consolidation
from tapeline.collectors.exchange import ExchangeCollector
from tapeline.errors import UsageError
from tapeline.runtime import Engine


class Consolidations:
    """What a manager consolidates, each symbol once."""

    def __init__(self) -> None:
        self._all: list[Consolidation] = []

    def __iter__(self) -> Iterator[Consolidation]:
        return iter(self._all)

    def add(
        self, settings: ConsolidationSettings, engine: Engine | None
    ) -> Consolidation:
        """One more.

        Args:
            engine: on which it runs at once; None to wait for ``attach``.

        Raises:
            UsageError: *settings* cannot be, alone or beside the others.
        """
        _check(settings)
        made = Consolidation(settings)
        for other in self._all:
            made.check_beside(other)
        if engine is not None:
            made.attach(engine)
        self._all.append(made)
        return made

    def attach(self, engine: Engine) -> None:
        """Run on *engine*; before its start."""
        for one in self._all:
            one.attach(engine)

    def detach(self) -> None:
        """Let go of an engine that has stopped."""
        for one in self._all:
            one.detach()

    def missing_venues(self, collectors: Sequence[BaseDataCollector]) -> list[str]:
        """The venues whose trades none of *collectors* collects, as sentences."""
        return [
            f"consolidation {settings.name}: no collector collects trades of "
            f"{settings.symbol} ({settings.market}) from {exchange}; its bars are "
            "partial without it"
            for settings in (one.settings for one in self._all)
            for exchange in settings.exchanges
            if not any(
                isinstance(collector, ExchangeCollector)
                and collector.collects_trades_of(
                    exchange, settings.market, settings.symbol
                )
                for collector in collectors
            )
        ]


def _check(settings: ConsolidationSettings) -> None:
    exchanges = list(settings.exchanges)
    if len(set(exchanges)) < 2 or len(set(exchanges)) < len(exchanges):
        raise UsageError(
            f"expected two or more exchanges, each once, found {exchanges!r}"
        )
    if settings.wait_s < 0 or settings.stale_after_s <= 0:
        raise UsageError(
            "expected a wait_s of 0 or more and a stale_after_s above 0, found "
            f"{settings.wait_s} and {settings.stale_after_s}"
        )
