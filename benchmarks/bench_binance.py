"""Binance frames into events, as ratios to a typed decode of the same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from harness import compare

from tapeline.clock import Now
from tapeline.model import MarketDataPoint, Subscription
from tapeline.plugins import bind_session
from tapeline_binance import BinanceAdapter, BinanceConfig

FRAMES = 5_000


class _Trade(msgspec.Struct):
    e: str
    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    last: int = msgspec.field(name="l")
    T: int
    m: bool


class _Depth(msgspec.Struct):
    e: str
    E: int
    s: str
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _WrappedTrade(msgspec.Struct):
    stream: str
    data: _Trade


class _WrappedDepth(msgspec.Struct):
    stream: str
    data: _Depth


def trade_frames(seed: int = 1) -> list[bytes]:
    """Aggregated trades as the combined stream wraps them."""
    chance = random.Random(seed)
    frames: list[bytes] = []
    for number in range(1, FRAMES + 1):
        ticks = 4_200_000 + chance.randrange(1_000)
        frames.append(
            (
                '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade",'
                f'"E":{1_700_000_000_000 + number},"s":"BTCUSDT","a":{number},'
                f'"p":"{ticks // 100}.{ticks % 100:02d}000000",'
                f'"q":"{chance.random():.8f}","f":{number * 2},"l":{number * 2 + 1},'
                f'"T":{1_700_000_000_000 + number},'
                f'"m":{chance.choice(("true", "false"))},"M":true}}}}'
            ).encode()
        )
    return frames


def depth_frames(seed: int = 2) -> list[bytes]:
    """Diff depth of 20+20 levels, each following the one before."""
    chance = random.Random(seed)

    def side(sign: int) -> str:
        ticks = sorted(chance.sample(range(500), 20))
        return ",".join(
            f'["{price // 100}.{price % 100:02d}000000","{chance.random():.8f}"]'
            for price in (4_200_000 + sign * n for n in ticks)
        )

    return [
        (
            '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate",'
            f'"E":{1_700_000_000_000 + number},"s":"BTCUSDT","U":{number * 10 + 1},'
            f'"u":{number * 10 + 10},"b":[{side(-1)}],"a":[{side(1)}]}}}}'
        ).encode()
        for number in range(1, FRAMES // 2 + 1)
    ]


def main() -> None:
    """Print the tables."""
    adapter = BinanceAdapter()
    now = Now(0, 0, 0)
    config = BinanceConfig(depth="depth@100ms")
    cases: list[tuple[str, str, list[bytes], Any]] = [
        ("aggTrade", "trade", trade_frames(), _WrappedTrade),
        ("depth 20+20", "orderbook", depth_frames(), _WrappedDepth),
    ]
    for title, data_type, frames, wire in cases:
        channel = adapter.channel(config, data_type, "")
        stream = Subscription(
            "binance", "spot", "BTC-USDT", data_type, channel.name, channel.id_kind
        )
        decode = msgspec.json.Decoder(wire).decode

        def session_parse(
            stream: Subscription = stream,
        ) -> Callable[[bytes, int], Sequence[Any]]:
            session = adapter.session(config, {}, adapter.route(config, None, stream))
            bound = bind_session(session)
            bound.connect(now, None)
            bound.subscribe([stream], now)
            return bound.parse

        def floor(frames: list[bytes] = frames, decode: Any = decode) -> None:
            for frame in frames:
                decode(frame)

        def parse(frames: list[bytes] = frames, make: Any = session_parse) -> None:
            call = make()
            events = 0
            for frame in frames:
                events += sum(isinstance(i, MarketDataPoint) for i in call(frame, 1))
            if events != len(frames):
                raise RuntimeError(f"expected {len(frames)} events, found {events}")

        compare(
            f"Binance {title}, {len(frames[0])} B",
            {"msgspec typed decode (floor)": floor, "session.parse": parse},
            len(frames),
        )


if __name__ == "__main__":
    main()
