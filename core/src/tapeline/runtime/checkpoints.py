"""Restart where we were: saved state, then a silent refold of later rows."""

from __future__ import annotations

import logging
from collections.abc import Collection

import msgspec

from tapeline.errors import JournalError
from tapeline.journal import JournalLike
from tapeline.model import FROM_TRADES, Candle, Subscription, Trade
from tapeline.runtime.pipeline import Pipeline

_NAME = "pipeline"

logger = logging.getLogger("tapeline.engine")


class _Candles(msgspec.Struct):
    stream: tuple[str, ...]
    state: bytes


class _State(msgspec.Struct):
    ledger: bytes
    candles: list[_Candles]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


def keep_checkpoints(journal: JournalLike, others: Collection[str]) -> None:
    """Forget checkpoints that nobody renews: they would hold back the trim."""
    journal.retain_checkpoints([_NAME, *others])


def save_state(journal: JournalLike, pipeline: Pipeline) -> None:
    """Hand the state as of the last appended position to the journal."""
    state = _State(
        pipeline.ledger.snapshot(),
        [
            _Candles(_stream_key(subscription), stream.candles.snapshot())
            for subscription, stream in pipeline.streams.items()
            if stream.candles is not None and not pipeline.ledger.is_over(subscription)
        ]
        + [
            _Candles(_stream_key(subscription), saved)
            for subscription, saved in pipeline.saved_candles.items()
        ],
    )
    journal.checkpoint(_NAME, journal.last, _encode(state))


async def load_state(journal: JournalLike, pipeline: Pipeline) -> list[Subscription]:
    """Restore the last checkpoint and refold what the journal holds after it.

    Returns:
        the streams that were collected before: each has a downtime behind it.
    """
    saved = journal.checkpoints().get(_NAME)
    position = 0
    if saved is not None and _restore(pipeline, saved[1]):
        position = saved[0]
    pipeline.later = later = dict[Subscription, list[Trade | Candle]]()
    async for _, records in journal.read_from(position):
        pipeline.ledger.refold(records)
        for record in records:
            if isinstance(record, Trade) or (
                isinstance(record, Candle) and record.source == FROM_TRADES
            ):
                later.setdefault(record.stream, []).append(record)
    for subscription in [one for one in later if not _has_bars(one, pipeline)]:
        del later[subscription]
    return list(pipeline.ledger.streams())


def _restore(pipeline: Pipeline, payload: bytes) -> bool:
    """Go on from a checkpoint; False, and a warning, when it cannot be read.

    Another version may have left it. Then the journal tells what it still has.
    """
    try:
        state = _decode(payload)
        candles = {Subscription(*item.stream): item.state for item in state.candles}
        pipeline.ledger.restore(state.ledger)
    except (JournalError, msgspec.MsgspecError, TypeError, ValueError) as error:
        logger.warning(
            "expected a checkpoint that this version can read, found: %s; what was "
            "missing before it is not fetched any more",
            error,
        )
        return False
    pipeline.saved_candles = candles
    return True


def _has_bars(subscription: Subscription, pipeline: Pipeline) -> bool:
    """Whether bars were made of a stream, and are not in memory still."""
    known = pipeline.streams.get(subscription)
    if known is not None and known.candles is not None:
        return False
    made = (type(record) is Candle for record in pipeline.later[subscription])
    return subscription in pipeline.saved_candles or any(made)


def _stream_key(subscription: Subscription) -> tuple[str, ...]:
    return (
        subscription.exchange,
        subscription.market,
        subscription.symbol,
        subscription.data_type,
        subscription.channel,
        subscription.id_kind,
        subscription.timeframe,
    )
