"""Frame → event in a callback, as a ratio to a typed decode of the same bytes.

The floor is what any Python client pays at least: `msgspec` decoding the whole frame
into typed structs. The goal is at most 4.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
from harness import compare

from tapeline.clock import Now
from tapeline.delivery import LiveFanOut
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import Channel, MarketDataPoint, Subscription
from tapeline.plugins import bind_session
from tapeline.runtime import Pipeline
from tapeline.transport import Inbox, StreamOpened
from tapeline_okx import OkxAdapter, OkxConfig

FRAMES = 10_000
BURST = 50
START_MS = 1_700_000_000_000


class _Arg(msgspec.Struct):
    channel: str
    instId: str


class _Trade(msgspec.Struct):
    instId: str
    tradeId: str
    px: str
    sz: str
    side: str
    ts: str
    count: str


class _Frame(msgspec.Struct):
    arg: _Arg
    data: list[_Trade]


def trade_frames(count: int = FRAMES, seed: int = 1) -> list[bytes]:
    """Trades as OKX sends them, each following the one before."""
    chance = random.Random(seed)
    frames: list[bytes] = []
    ticks = 422_199
    last_id = 130_639_474
    for number in range(count):
        ticks += chance.choice((-2, -1, 0, 0, 1, 2))
        fills = chance.choice((1, 1, 1, 2, 3))
        last_id += fills
        frames.append(
            (
                '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{'
                f'"instId":"BTC-USDT","tradeId":"{last_id}",'
                f'"px":"{ticks // 10}.{ticks % 10}","sz":"{chance.random():.8f}",'
                f'"side":"{chance.choice(("buy", "sell"))}",'
                f'"ts":"{START_MS + number}","count":"{fills}"}}]}}'
            ).encode()
        )
    return frames


async def _collect(
    parse: Callable[[bytes, int], Sequence[Any]],
    frames: list[bytes],
    stream: Subscription,
    channel: Channel,
    timeframes: tuple[str, ...],
) -> None:
    """The way of a message, from the frame to a synchronous callback."""
    received = 0

    def callback(event: MarketDataPoint) -> None:
        nonlocal received
        received += 1

    inbox = Inbox()
    pipeline = Pipeline(StreamLedger(IntegritySettings(), GapIds(1)))
    pipeline.register(stream, channel, timeframes=timeframes)
    live = LiveFanOut()
    live.add("trade", callback, name="benchmark")
    inbox.put(StreamOpened(stream, 1, 1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live.run)
        # Frames come in bursts; the loop hands them on once a turn.
        for begin in range(0, len(frames), BURST):
            for frame in frames[begin : begin + BURST]:
                inbox.items.extend(parse(frame, 1))
            live.publish(pipeline.process(inbox.swap(), 1).live)
            await anyio.lowlevel.checkpoint()
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    if received != len(frames):
        raise RuntimeError(f"expected {len(frames)} events, found {received}")


def main() -> None:
    """Print the table."""
    frames = trade_frames()
    decode = msgspec.json.Decoder(_Frame).decode
    adapter = OkxAdapter()
    config = OkxConfig()
    channel = adapter.channel(config, "trade", "")
    stream = Subscription(
        "okx", "spot", "BTC-USDT", "trade", channel.name, channel.id_kind
    )
    route = adapter.route(config, None, stream)
    now = Now(0, 0, 0)

    def session_parse() -> Callable[[bytes, int], Sequence[Any]]:
        session = adapter.session(config, {}, route)
        bound = bind_session(session)
        bound.connect(now, None)
        bound.subscribe([stream], now)
        return bound.parse

    def floor() -> None:
        for frame in frames:
            decode(frame)

    def parse_only() -> None:
        parse = session_parse()
        for frame in frames:
            parse(frame, 1)

    def to_callback(timeframes: tuple[str, ...] = ()) -> None:
        anyio.run(_collect, session_parse(), frames, stream, channel, timeframes)

    compare(
        f"OKX trade, {len(frames[0])} B",
        {
            "msgspec typed decode (floor)": floor,
            "session.parse": parse_only,
            "frame → event in a callback": to_callback,
            "the same with eleven timeframes": lambda: to_callback(
                ("1s", "5s", "10s", "15s", "30s", "1m", "5m", "15m", "1h", "4h", "1d")
            ),
        },
        len(frames),
    )


if __name__ == "__main__":
    main()
