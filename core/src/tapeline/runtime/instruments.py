"""Instrument lists outside of a running feed."""

from __future__ import annotations

from typing import Any

from tapeline.hookspecs import ExchangeAdapter
from tapeline.model import Instrument
from tapeline.seams import Seams
from tapeline.transport import BudgetPool, RestClient


async def fetch_instruments(
    adapter: ExchangeAdapter, config: Any, market: str, seams: Seams
) -> list[Instrument]:
    """Ask the venue for the instruments of *market*.

    Raises:
        RequestFailed: no usable answer.
    """
    rest = RestClient(
        adapter,
        config,
        http=seams.http,
        clock=seams.clock,
        budgets=BudgetPool(seams.clock).keeper(adapter.name, adapter.budgets(config)),
        rng=seams.random,
    )
    try:
        response = await rest.fetch(adapter.instruments(config, market))
    finally:
        await seams.http.aclose()
    return list(adapter.read_instruments(response))
