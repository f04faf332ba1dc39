"""What to install and what to begin with, read from core's own requirements.

The code of core names no exchange and no database. Which ones there are to install
stands in its extras: one for each plugin, and ``start`` for a first collection.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tapeline.errors import START_EXTRA
from tapeline.hookspecs import PROJECT
from tapeline.plugins.records import PluginRecord


def extra_for(scheme: str) -> str | None:
    """The extra whose plugin is for addresses ``scheme://``; None when unknown."""
    kind = scheme.partition("+")[0]
    found = [extra for extra in _extras() if kind.startswith(extra)]
    return max(found, key=len, default=None)


def begin_with(records: Iterable[PluginRecord]) -> list[PluginRecord]:
    """*records*, those of the distributions to begin with first."""
    first = _distributions(START_EXTRA)
    return sorted(
        records,
        key=lambda record: canonicalize_name(record.distribution or "") not in first,
    )


def _extras() -> Sequence[str]:
    """Core's extras; none in a source tree that is not installed."""
    try:
        return importlib.metadata.metadata(PROJECT).get_all("Provides-Extra") or ()
    except importlib.metadata.PackageNotFoundError:
        return ()


def _distributions(extra: str) -> frozenset[str]:
    """What core requires for *extra* and not without it."""
    try:
        lines = importlib.metadata.requires(PROJECT) or ()
    except importlib.metadata.PackageNotFoundError:
        return frozenset()
    return frozenset(
        canonicalize_name(requirement.name)
        for requirement in map(Requirement, lines)
        if requirement.marker is not None
        and requirement.marker.evaluate({"extra": extra})
        and not requirement.marker.evaluate({"extra": ""})
    )
