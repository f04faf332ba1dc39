"""What an exchange offers, and what of it can be checked."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs


class Continuity(enum.Enum):
    """What the ids of a stream let us check; no stream promises more."""

    CONTIGUOUS = "contiguous"
    """Ids step by one: every missing one is noticed."""
    MONOTONIC = "monotonic"
    """Ids only rise: a repeat is noticed, a hole is not."""
    SEQUENCED = "sequenced"
    """Each change names the one it follows: a broken chain is noticed."""
    SNAPSHOT = "snapshot"
    """Each message replaces the one before."""
    NONE = "none"
    """Nothing can be checked."""


@attrs.frozen
class Channel:
    """One channel of a venue.

    Args:
        name: as the adapter and its users spell it, e.g. ``books5``.
        data_type: a ``DataType`` value or a namespaced name.
        continuity: what its ids let us check.
        id_kind: ``fill``, ``aggregate``, ``block`` for trades, else empty.
        depth: levels a side of a book channel; None otherwise.
        timeframe: of a candle channel, else empty.
        backfill_reach_s: how far back REST can fill a hole; 0 when it cannot.
    """

    name: str
    data_type: str
    continuity: Continuity
    id_kind: str = ""
    depth: int | None = None
    timeframe: str = ""
    backfill_reach_s: float = 0.0


@attrs.frozen
class Capabilities:
    """What one exchange adapter can do.

    Args:
        markets: markets it knows.
        channels: data type → its channels, the default first.
    """

    markets: Sequence[str]
    channels: Mapping[str, Sequence[Channel]]

    @property
    def data_types(self) -> list[str]:
        """The data types on offer, sorted."""
        return sorted(self.channels)

    def channel(self, name: str) -> Channel | None:
        """The channel called *name*, or None."""
        for channels in self.channels.values():
            for channel in channels:
                if channel.name == name:
                    return channel
        return None
