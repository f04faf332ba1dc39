"""A pipeline while nothing can be stored: it takes nothing, and tells callbacks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tapeline.candles import CandleSettings
from tapeline.integrity import GapIds, IntegritySettings, StreamLedger
from tapeline.model import (
    BACKFILL,
    Candle,
    Channel,
    Continuity,
    Coverage,
    Gap,
    Malformed,
    RawMessage,
    Subscription,
    Trade,
)
from tapeline.runtime.pipeline import Pipeline
from tapeline.transport import StreamOpened

START_NS = 1_760_000_000 * 10**9
TRADES = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")


def at(second: float) -> int:
    """Nanoseconds of a second of the test."""
    return START_NS + int(second * 10**9)


@pytest.fixture
def make_trade() -> Callable[..., Trade]:
    """Trades, each with one fill."""

    def make(number: int, second: float, source: str = "live") -> Trade:
        return Trade(
            TRADES, str(number), number, number, 1, "buy", Decimal(1), Decimal(1),
            at(second), at(second), source,
        )  # fmt: skip

    return make


@pytest.fixture
def pipeline(make_trade: Callable[..., Trade]) -> Pipeline:
    """One stream with bars of a second; trades 1 and 2 were taken."""
    made = Pipeline(
        StreamLedger(IntegritySettings(), GapIds(START_NS)),
        candle_settings=CandleSettings(fill_empty=True),
    )
    channel = Channel("trades", "trade", Continuity.CONTIGUOUS)
    made.register(TRADES, channel, timeframes=["1s"])
    made.process([StreamOpened(TRADES, 1, at(0))], at(0))
    made.process([make_trade(1, 0.5), make_trade(2, 1.5)], at(1.6))
    return made


def test_what_is_refused_goes_live_and_leaves_a_gap(
    pipeline: Pipeline, make_trade: Callable[..., Trade]
) -> None:
    pipeline.refuse(True, at(2))
    refused = [make_trade(3, 2.1), make_trade(4, 2.2)]

    out = pipeline.process(refused, at(2.3))

    assert (out.journal, out.live) == ([], refused)
    pipeline.refuse(False, at(3))
    out = pipeline.process([make_trade(5, 3.1)], at(3.2))
    gap = out.journal[0]
    assert isinstance(gap, Gap)
    assert (gap.from_id, gap.to_id, gap.cause) == (3, 4, "shed")
    assert out.journal[1] == make_trade(5, 3.1)
    assert make_trade(5, 3.1) in out.live


def test_callbacks_get_each_trade_once_over_a_refusal(
    pipeline: Pipeline, make_trade: Callable[..., Trade]
) -> None:
    pipeline.refuse(True, at(2))
    # One that was stored before, two in order, and two again.
    numbers = [2, 3, 5, 3, 5]
    out = pipeline.process([make_trade(n, 2.1) for n in numbers], at(2.2))
    live = [t.last_id for t in out.live if isinstance(t, Trade)]
    pipeline.refuse(False, at(3))
    out = pipeline.process([make_trade(7, 3.1)], at(3.2))
    live += [t.last_id for t in out.live if isinstance(t, Trade)]

    found = [make_trade(n, 2.1, BACKFILL) for n in (6, 5, 4, 3)]
    out = pipeline.recover(TRADES, found, at(4))

    live += [t.last_id for t in out.live if isinstance(t, Trade)]
    # 4 came out of order: it counts as told. 6 never came, so it is told late.
    assert live == [3, 5, 7, 6]
    stored = [t.last_id for t in out.journal if isinstance(t, Trade)]
    assert stored == [6, 5, 4, 3]


def test_silence_makes_no_bars_while_trades_are_refused(
    pipeline: Pipeline, make_trade: Callable[..., Trade]
) -> None:
    pipeline.quiet(TRADES, 2, at(8))
    bars = [r for r in pipeline.advance(at(10)).journal if isinstance(r, Candle)]
    assert any(bar.trades_count == 0 for bar in bars)
    pipeline.refuse(True, at(10))
    # An ack in between changes nothing.
    pipeline.process([StreamOpened(TRADES, 2, at(11))], at(11))

    out = pipeline.advance(at(60))

    assert [record for record in out.journal if not isinstance(record, Coverage)] == []
    pipeline.refuse(False, at(60))
    pipeline.process([make_trade(3, 60.5)], at(60.6))
    assert any(isinstance(r, Candle) for r in pipeline.advance(at(70)).journal)


def test_nothing_but_facts_is_for_the_journal_meanwhile(pipeline: Pipeline) -> None:
    pipeline.refuse(True, at(2))

    out = pipeline.process(
        [
            RawMessage(TRADES, at(2), "{}"),
            Malformed("odd", "{}", TRADES, first_id=4, last_id=9),
        ],
        at(2.1),
    )

    assert out.journal == []
    assert pipeline.ledger.high_water(TRADES) == 2
