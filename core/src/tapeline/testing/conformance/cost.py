"""Cases about cost: ratios to a decode of the same bytes, never absolute times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tapeline.clock import processor_ns
from tapeline.model import Batch
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.play import RECEIVED_NS, begin
from tapeline.testing.conformance.sink_driver import Driver, closing, drive
from tapeline.testing.conformance.sink_records import numbered
from tapeline.testing.conformance.subjects import (
    ExchangeUnderTest,
    Recording,
    SinkUnderTest,
)
from tapeline.testing.conformance.verdicts import NotShown, RuleBroken

MOST_EXCHANGE_RATIO = 25.0
MOST_SINK_RATIO = 100.0
"""No declared budget may be larger."""

_ROUNDS = 7
_FRAMES_A_ROUND = 600
_BATCHES = 10
_BATCH = 200


@case("EX-COST-001", "parse stays within its cost budget", tier=Tier.GOLD)
def parse_cost(subject: ExchangeUnderTest) -> None:
    """The processor time of ``parse`` over all recorded frames, as a multiple of
    decoding the same bytes as plain JSON with msgspec; the best of seven rounds each,
    measured in turn. The budget is the author's, up to 25.
    """
    if not subject.recordings:
        raise NotShown("recorded frames; give at least one Recording")
    _check_budget(subject.cost_ratio, MOST_EXCHANGE_RATIO)
    ratio = parse_cost_ratio(subject)
    if ratio > subject.cost_ratio:
        raise RuleBroken(
            f"parse costs {ratio:.1f} decodes of its frames, the budget is "
            f"{subject.cost_ratio}"
        )


@case("SK-COST-001", "write stays within its cost budget", tier=Tier.GOLD)
def write_cost(subject: SinkUnderTest) -> None:
    """The processor time of this process for writing 2,000 trades, as a multiple of
    encoding them as JSON with msgspec. The time of a server is not counted. The
    budget is the author's, up to 100.
    """
    _check_budget(subject.cost_ratio, MOST_SINK_RATIO)
    ratio = write_cost_ratio(subject)
    if ratio > subject.cost_ratio:
        raise RuleBroken(
            f"write costs {ratio:.1f} encodings of its events, the budget is "
            f"{subject.cost_ratio}"
        )


def parse_cost_ratio(subject: ExchangeUnderTest) -> float:
    """Cost of ``parse`` over that of decoding the same frames."""
    plays = [(_parser(subject, one), _bytes(one)) for one in subject.recordings]
    total = sum(len(frames) for _, frames in plays)
    turns = max(1, _FRAMES_A_ROUND // total)

    def parse() -> None:
        for call, frames in plays:
            for frame in frames:
                call(frame, RECEIVED_NS)

    def decode() -> None:
        call = msgspec.json.decode
        for _, frames in plays:
            for frame in frames:
                call(frame)

    parsing: list[float] = []
    decoding: list[float] = []
    for _ in range(_ROUNDS):
        parsing.append(_processor_s(parse, turns))
        decoding.append(_processor_s(decode, turns))
    return min(parsing) / max(min(decoding), 1e-9)


def write_cost_ratio(subject: SinkUnderTest) -> float:
    """Cost of ``write`` over that of encoding the same events."""
    spent: list[float] = []

    async def story(driver: Driver) -> None:
        sink, _ = await driver.opened()
        async with closing(sink):
            # What is made on first use is not counted.
            await driver.write(sink, numbered(1, _BATCH))
            for turn in range(1, _BATCHES + 1):
                batch = numbered(turn * _BATCH + 1, (turn + 1) * _BATCH)
                begun_ns = processor_ns()
                await sink.write(batch)
                spent.append((processor_ns() - begun_ns) / 1e9)

    drive(subject, story)
    batch = numbered(1, _BATCH)
    encoding = min(
        _processor_s(lambda: _encode(batch), 20) / 20 for _ in range(_ROUNDS)
    )
    return min(spent) / max(encoding, 1e-9)


def _check_budget(ratio: float, most: float) -> None:
    if not 0 < ratio <= most:
        raise RuleBroken(f"the budget is {ratio}, the largest allowed is {most}")


def _parser(
    subject: ExchangeUnderTest, recording: Recording
) -> Callable[[bytes, int], object]:
    return begin(subject, recording).bound.parse


def _bytes(recording: Recording) -> Sequence[bytes]:
    """The frames that are JSON; others have nothing to be compared with."""
    encoded = [frame.encode() for frame in recording.frames]
    return [frame for frame in encoded if frame[:1] in b"{["]


def _encode(batch: Batch) -> None:
    encode = msgspec.json.encode
    for _, _, record in batch.records():
        encode(
            (
                record.trade_id,  # type: ignore[union-attr]
                record.first_id,  # type: ignore[union-attr]
                record.last_id,  # type: ignore[union-attr]
                record.side,  # type: ignore[union-attr]
                record.price,  # type: ignore[union-attr]
                record.size,  # type: ignore[union-attr]
                record.exchange_ns,  # type: ignore[union-attr]
                record.received_ns,  # type: ignore[union-attr]
            )
        )


def _processor_s(call: Callable[[], None], turns: int) -> float:
    begun_ns = processor_ns()
    for _ in range(turns):
        call()
    return (processor_ns() - begun_ns) / 1e9
