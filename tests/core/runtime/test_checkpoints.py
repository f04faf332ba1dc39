"""A start goes on from the checkpoint, and from the journal when it cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.journal import MemoryJournal
from tapeline.model import (
    Channel,
    Continuity,
    Gap,
    Subscription,
    Trade,
)
from tapeline.runtime.checkpoints import load_state, save_state
from tapeline.runtime.pipeline import Pipeline
from tapeline.testing import VirtualClock, run_virtual

STREAM = Subscription("acme", "spot", "BTC-USD", "trade", "trades", "fill")
CHANNEL = Channel("trades", "trade", Continuity.CONTIGUOUS, "fill")
S = 10**9
NAME = "pipeline"


def trade(number: int) -> Trade:
    """One fill a second."""
    one = Decimal(1)
    at_ns = 1_760_000_000 * S + number * S
    return Trade(STREAM, str(number), number, number, 1, "buy", one, one, at_ns, at_ns)


def build() -> Pipeline:
    pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
    pipeline.register(STREAM, CHANNEL, timeframes=["5s"])
    return pipeline


def another_version(payload: bytes) -> bytes:
    """The checkpoint, with a ledger that a later version has written."""
    state = msgspec.msgpack.decode(payload)
    ledger = msgspec.msgpack.decode(state["ledger"])
    state["ledger"] = msgspec.msgpack.encode({**ledger, "version": 99})
    return msgspec.msgpack.encode(state)


def strange_stream(payload: bytes) -> bytes:
    """The checkpoint, with bars of a stream that has too few words."""
    state = msgspec.msgpack.decode(payload)
    state["candles"][0]["stream"] = ["acme"]
    return msgspec.msgpack.encode(state)


def other_bars(payload: bytes) -> bytes:
    """The checkpoint, with bars that cannot be read."""
    state = msgspec.msgpack.decode(payload)
    state["candles"][0]["state"] = b"\xc1"
    return msgspec.msgpack.encode(state)


@pytest.mark.parametrize(
    "damage",
    [
        lambda payload: b"",
        lambda payload: b"\xc1",
        lambda payload: payload[:-7],
        another_version,
        strange_stream,
        other_bars,
    ],
    ids=["empty", "not-msgpack", "cut", "version", "stream", "bars"],
)
def test_a_checkpoint_that_cannot_be_read_does_not_stop_the_start(
    damage: Callable[[bytes], bytes],
) -> None:
    async def play() -> list[object]:
        clock = VirtualClock()
        journal = MemoryJournal(clock)
        journal.expect_sink("any")
        before = build()
        for number in range(1, 8):
            journal.append(
                before.process([trade(number)], trade(number).exchange_ns).journal
            )
        save_state(journal, before)
        position, payload = journal.checkpoints()[NAME]
        journal.checkpoint(NAME, position, damage(payload))

        after = Pipeline(StreamLedger(IntegritySettings(), GapIds(0)))
        streams = await load_state(journal, after)
        assert streams == [STREAM]
        after.register(STREAM, CHANNEL, timeframes=["5s"])
        after.ledger.lost(STREAM, "downtime", 0)
        return list(after.process([trade(7), trade(10)], 0).journal)

    records = run_virtual(play)

    (gap,) = (record for record in records if isinstance(record, Gap))
    assert (gap.cause, gap.from_id, gap.to_id) == ("downtime", 8, 9)
    assert [r.last_id for r in records if isinstance(r, Trade)] == [10]
