"""The checkpoint of integrity, as msgpack; private to this package."""

from __future__ import annotations

import msgspec

from tapeline.integrity.holes import Hole
from tapeline.model import Subscription

VERSION = 1


class HoleState(msgspec.Struct, array_like=True):
    """A ``Hole``."""

    first: int
    last: int
    from_ns: int | None
    to_ns: int | None
    since_ns: int
    whole_first: int
    whole_last: int
    whole_from_ns: int | None
    whole_to_ns: int | None
    cause: str
    gap_id: int | None
    revision: int
    detected_ns: int
    state: str


class ContinuityState(msgspec.Struct):
    """What a continuity has to know to go on."""

    seen_ns: int | None = None
    high: int | None = None
    low: int | None = None
    last_ns: int | None = None
    lost: str | None = None
    fresh: bool = False
    holes: list[HoleState] = []


class StreamState(msgspec.Struct):
    """One stream of the ledger; *subscription* is the fields in order."""

    subscription: tuple[str, str, str, str, str, str, str]
    continuity_class: str
    started_ns: int | None
    continuity: ContinuityState


class LedgerState(msgspec.Struct):
    """The whole ledger."""

    version: int
    gap_floor: int
    streams: list[StreamState]


def state_of_hole(hole: Hole) -> HoleState:
    """*hole* as it is written."""
    return HoleState(
        hole.first,
        hole.last,
        hole.from_ns,
        hole.to_ns,
        hole.since_ns,
        hole.whole_first,
        hole.whole_last,
        hole.whole_from_ns,
        hole.whole_to_ns,
        hole.cause,
        hole.gap_id,
        hole.revision,
        hole.detected_ns,
        hole.state,
    )


def hole_of_state(state: HoleState) -> Hole:
    """The hole that *state* was written from."""
    return Hole(
        state.first,
        state.last,
        state.from_ns,
        state.to_ns,
        state.since_ns,
        state.whole_first,
        state.whole_last,
        state.whole_from_ns,
        state.whole_to_ns,
        state.cause,
        state.gap_id,
        state.revision,
        state.detected_ns,
        state.state,
    )


def fields_of(
    subscription: Subscription,
) -> tuple[str, str, str, str, str, str, str]:
    """*subscription* as it is written.

    It is rebuilt through its constructor: its cached hash is set only there.
    """
    return (
        subscription.exchange,
        subscription.market,
        subscription.symbol,
        subscription.data_type,
        subscription.channel,
        subscription.id_kind,
        subscription.timeframe,
    )
