"""What one socket carries, and which stream a frame belongs to."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import msgspec

from tapeline.model import Continuity, DataType, Market, Subscription
from tapeline_binance.channels import CHANNELS
from tapeline_binance.reader import Fast, Reader, ReaderSettings
from tapeline_binance.readers import build_reader
from tapeline_binance.wire import UNDECODABLE, Envelope

RawKey = tuple[str, str]
"""``(event, symbol)``: what tells the stream of an event without a wrapper."""


@attrs.frozen
class Stream:
    """One stream.

    Args:
        name: as the venue spells it, e.g. ``btcusdt@aggTrade``.
        head: bytes of its combined frames up to the first comma.
        raw_key: of its events when they come without a wrapper; None when those do
            not tell.
    """

    name: str
    subscription: Subscription
    reader: Reader
    head: bytes
    raw_key: RawKey | None


def _raw_key(subscription: Subscription, name: str) -> RawKey | None:
    symbol = name.partition("@")[0].upper()
    channel = subscription.channel
    if subscription.data_type == DataType.CANDLE.value:
        return f"kline {subscription.timeframe}", symbol
    if subscription.data_type == DataType.ORDERBOOK.value:
        partial = CHANNELS[channel].channel.continuity is Continuity.SNAPSHOT
        if partial and subscription.market == Market.SPOT.value:
            return None
        return "depthUpdate", symbol
    return "24hrTicker" if channel == "ticker" else channel, symbol


class _Interval(msgspec.Struct):
    i: str = ""


_decode_interval = msgspec.json.Decoder(_Interval).decode


def _interval(kline: msgspec.Raw) -> str:
    try:
        return _decode_interval(kline).i
    except UNDECODABLE:
        return ""


class Streams:
    """All streams of one socket.

    Args:
        fast: head of a combined frame → the fast way of its reader.
    """

    def __init__(self, settings: ReaderSettings) -> None:
        self.fast: dict[bytes, Fast] = {}
        self._settings = settings
        self._by_name: dict[str, Stream] = {}
        self._raw: dict[RawKey, Stream] = {}
        self._leaving: set[str] = set()
        self._left: set[str] = set()

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._by_name.values())

    def get(self, name: str) -> Stream | None:
        """The stream called *name*."""
        return self._by_name.get(name)

    def follow(self, name: str, subscription: Subscription) -> None:
        """Carry *subscription*; nothing when it is carried already.

        One that was about to end begins afresh: its book was given up.
        """
        leaving = name in self._leaving
        self._leaving.discard(name)
        self._left.discard(name)
        known = self._by_name.get(name)
        if known is not None and known.subscription == subscription and not leaving:
            return
        stream = Stream(
            name,
            subscription,
            build_reader(subscription, self._settings),
            b'{"stream":' + msgspec.json.encode(name),
            _raw_key(subscription, name),
        )
        self._by_name[name] = stream
        self.fast[stream.head] = stream.reader.fast
        if stream.raw_key is not None:
            self._raw[stream.raw_key] = stream

    def leave(self, name: str) -> bool:
        """*name* is about to end; False when it is not carried."""
        if name not in self._by_name:
            return False
        self._leaving.add(name)
        return True

    def ended(self, name: str) -> bool:
        """*name* has ended; False when it is wanted again, or was not to end."""
        if name not in self._leaving:
            return False
        self._leaving.discard(name)
        self.forget(name)
        return True

    def forget(self, name: str) -> None:
        """Carry *name* no more; what still comes of it is late."""
        stream = self._by_name.pop(name, None)
        if stream is None:
            return
        del self.fast[stream.head]
        if stream.raw_key is not None and self._raw.get(stream.raw_key) is stream:
            del self._raw[stream.raw_key]
        self._left.add(name)

    def is_late(self, name: str) -> bool:
        """Whether *name* was carried before."""
        return name in self._left

    def of_raw(self, envelope: Envelope) -> Stream | None:
        """The stream of an event without a wrapper."""
        event = envelope.e
        if event is None and envelope.u is not None and envelope.A is not None:
            # on spot, bookTicker has no type: its keys tell
            event = "bookTicker"
        elif event == "kline":
            event = f"kline {_interval(envelope.k)}"
        return self._raw.get((str(event), envelope.s))

    def nameless(self) -> Stream | None:
        """The one stream whose raw events name no symbol; None if not exactly one."""
        found = [stream for stream in self if stream.raw_key is None]
        return found[0] if len(found) == 1 else None

    def of_broken(self, frame: bytes) -> Subscription | None:
        """The stream of a combined frame that is broken behind its name."""
        head = frame.partition(b",")[0]
        if head not in self.fast:
            return None
        return next(s.subscription for s in self if s.head == head)
