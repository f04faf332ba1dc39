"""A change of 20+20 levels into a local book, as a ratio to a typed decode of it.

The goal is at most 5.5, with the integrity check on.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from harness import compare

from tapeline.clock import Now
from tapeline.integrity import LocalBook
from tapeline.model import BookDelta, BookSnapshot, Subscription
from tapeline.plugins import bind_session
from tapeline_okx import OkxAdapter, OkxConfig

FRAMES = 2_000
SIDE = 20
DEPTH = 400


class _Arg(msgspec.Struct):
    channel: str
    instId: str


class _Book(msgspec.Struct):
    asks: list[tuple[str, str, str, str]]
    bids: list[tuple[str, str, str, str]]
    ts: str
    seqId: int
    prevSeqId: int


class _Frame(msgspec.Struct):
    arg: _Arg
    action: str
    data: list[_Book]


def _level(tick: int, size: float) -> str:
    shown = f"{size:.8f}" if size else "0"
    return f'["{tick // 10}.{tick % 10}","{shown}","0","3"]'


def _frame(
    action: str, bids: list[str], asks: list[str], link: int, last: int
) -> bytes:
    return (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},'
        f'"action":"{action}","data":[{{"asks":[{",".join(asks)}],'
        f'"bids":[{",".join(bids)}],"ts":"{1_700_000_000_000 + last}",'
        f'"checksum":0,"seqId":{last},"prevSeqId":{link}}}]}}'
    ).encode()


def book_frames(seed: int = 1) -> list[bytes]:
    """A snapshot of 400+400 levels, then changes of 20+20 near the top."""
    chance = random.Random(seed)
    middle = 420_000
    frames = [
        _frame(
            "snapshot",
            [_level(middle - n, chance.random() + 0.001) for n in range(DEPTH)],
            [_level(middle + 1 + n, chance.random() + 0.001) for n in range(DEPTH)],
            -1,
            1,
        )
    ]
    for number in range(1, FRAMES):
        bids = sorted(chance.sample(range(100), SIDE))
        asks = sorted(chance.sample(range(100), SIDE))
        gone = chance.random
        frames.append(
            _frame(
                "update",
                [_level(middle - n, 0 if gone() < 0.2 else gone()) for n in bids],
                [_level(middle + 1 + n, 0 if gone() < 0.2 else gone()) for n in asks],
                number,
                number + 1,
            )
        )
    return frames


def main() -> None:
    """Print the table."""
    frames = book_frames()
    decode = msgspec.json.Decoder(_Frame).decode
    adapter, config = OkxAdapter(), OkxConfig(depth="books")
    channel = adapter.channel(config, "orderbook", "")
    stream = Subscription("okx", "spot", "BTC-USDT", "orderbook", channel.name)
    now = Now(0, 0, 0)

    def run(take: Callable[[BookSnapshot | BookDelta], object]) -> None:
        """Parse every frame and hand each event on; nothing is kept, as at work."""
        session = adapter.session(config, {}, adapter.route(config, None, stream))
        bound = bind_session(session)
        bound.connect(now, None)
        bound.subscribe([stream], now)
        parse = bound.parse
        for frame in frames:
            for item in parse(frame, 1):
                if isinstance(item, (BookSnapshot, BookDelta)):
                    take(item)

    def floor() -> None:
        for frame in frames:
            decode(frame)

    def parse_only() -> None:
        run(lambda event: None)

    def apply() -> None:
        book = LocalBook(stream)
        run(book.apply)
        if not book.valid or book.statistics().updates != FRAMES - 1:
            raise RuntimeError(f"expected a valid book, found: {book.reason}")

    def top() -> None:
        book = LocalBook(stream)
        run(lambda event: (book.apply(event), book.top(10)))

    compare(
        f"OKX book change {SIDE}+{SIDE}, {len(frames[1])} B",
        {
            "msgspec typed decode (floor)": floor,
            "session.parse": parse_only,
            "parse and apply, sequence checked": apply,
            "the same, and the best 10+10 after each": top,
        },
        len(frames),
        rounds=9,
    )


if __name__ == "__main__":
    main()
