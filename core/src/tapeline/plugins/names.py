"""Names that ``tapeline`` gives out and another distribution defines.

The repositories need a database library, so core has none. A distribution that has
them says so in its entry points; it is imported when a name is asked for.
"""

from __future__ import annotations

import importlib.metadata
from types import MappingProxyType

NAMES_GROUP = "tapeline.names.v1"
"""Entry points of this group: a promised name → where it is defined."""

_REPOSITORIES = (
    "BalanceRepository",
    "CoverageRepository",
    "Database",
    "DeadLetterRepository",
    "GapRepository",
    "MarketDataRepository",
    "OrderBookRepository",
    "RawTradeRepository",
    "TickerRepository",
    "TradeRepository",
)

PROMISED_NAMES = MappingProxyType(dict.fromkeys(_REPOSITORIES, "tapeline-sql"))
"""Name that may be imported from ``tapeline`` → the distribution to install for it."""


def promised(name: str) -> object:
    """What *name* stands for.

    Raises:
        ImportError: nothing installed defines it; the text says what to install.
    """
    found = importlib.metadata.entry_points(group=NAMES_GROUP, name=name)
    for point in found:
        return point.load()
    package = PROMISED_NAMES[name]
    raise ImportError(
        f"expected an installed distribution that defines {name}, found none; run "
        f"'pip install {package}'",
        name="tapeline",
    )
