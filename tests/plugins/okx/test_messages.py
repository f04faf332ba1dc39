"""What becomes of the frames that OKX's guide shows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest

from tapeline.model import (
    BookDelta,
    BookSnapshot,
    Candle,
    Malformed,
    Ticker,
    Trade,
)

RECEIVED_NS = 1_700_000_000_000_000_123
D = Decimal


def test_a_trade_covers_the_fills_up_to_its_id(
    everything: Any, golden_frames: Any, streams: Any
) -> None:
    expected = Trade(
        stream=streams("trades"),
        trade_id="130639474",
        first_id=130639472,
        last_id=130639474,
        fills=3,
        side="buy",
        price=D("42219.9"),
        size=D("0.12060306"),
        exchange_ns=1630048897897000000,
        received_ns=RECEIVED_NS,
    )
    assert everything().parse(golden_frames[0]) == [expected]


@pytest.mark.parametrize("text", ["0.12345678901234567891", "98765432109876543.21000"])
def test_prices_and_sizes_keep_every_digit(
    everything: Any, golden_frames: Any, text: str
) -> None:
    frame = golden_frames[0].replace("42219.9", text).replace("0.12060306", text)
    (trade,) = everything().parse(frame)
    assert (str(trade.price), str(trade.size)) == (text, text)


def test_a_snapshot_keeps_levels_as_text_and_drops_the_retired_checksum(
    everything: Any, golden_frames: Any, streams: Any
) -> None:
    (book,) = everything().parse(golden_frames[1])
    assert isinstance(book, BookSnapshot)
    assert book.stream == streams("books")
    assert [tuple(level[:2]) for level in book.bids] == [
        ("8476.97", "256"),
        ("8475.55", "101"),
    ]
    assert [tuple(level[:2]) for level in book.asks] == [
        ("8476.98", "415"),
        ("8477", "7"),
    ]
    assert (book.last_id, book.checksum) == (123456, None)
    assert book.exchange_ns == 1597026383085000000


def test_an_update_is_linked_to_what_it_follows(
    everything: Any, golden_frames: Any
) -> None:
    (delta,) = everything().parse(golden_frames[2])
    assert isinstance(delta, BookDelta)
    assert (delta.link_id, delta.last_id) == (123456, 123460)
    assert delta.checksum is None
    assert list(delta.asks[0][:2]) == ["8477", "0"]


def test_books5_frames_are_snapshots_without_an_action(
    everything: Any, golden_frames: Any
) -> None:
    (book,) = everything().parse(golden_frames[3])
    assert isinstance(book, BookSnapshot)
    assert book.last_id == 363996337


def test_a_ticker_has_base_volume_and_the_other_volume(
    everything: Any, golden_frames: Any
) -> None:
    (ticker,) = everything().parse(golden_frames[4])
    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.last_size) == (D("9999.99"), D("0.1"))
    assert (ticker.bid, ticker.bid_size) == (D("8888.88"), D("5"))
    assert (ticker.ask, ticker.ask_size) == (D("9999.99"), D("11"))
    assert (ticker.open_24h, ticker.high_24h, ticker.low_24h) == (
        D("9000"),
        D("10000"),
        D("8888.88"),
    )
    assert (ticker.volume_24h, ticker.quote_volume_24h) == (D("2222"), D("2222"))


def test_a_final_candle_is_complete_and_comes_from_the_venue(
    everything: Any, golden_frames: Any
) -> None:
    (candle,) = everything().parse(golden_frames[5])
    assert isinstance(candle, Candle)
    assert (candle.state, candle.source, candle.revision) == ("complete", "venue", 0)
    assert candle.open_ns == 1597026360000000000
    assert candle.timeframe == "1m"
    assert (candle.open, candle.high, candle.low, candle.close) == (
        D("8533.02"),
        D("8553.74"),
        D("8527.17"),
        D("8548.26"),
    )
    assert (candle.volume, candle.quote_volume) == (D("45247"), D("5529.5858061"))


def test_empty_and_zero_prices_of_a_ticker_are_none(following: Any, push: Any) -> None:
    row = {"last": "", "bidPx": "0", "askPx": "1", "lastSz": "0", "ts": "1"}
    (ticker,) = following("tickers").parse(push("tickers", row))
    assert (ticker.last, ticker.bid, ticker.ask) == (None, None, D("1"))
    assert (ticker.last_size, ticker.volume_24h) == (D("0"), None)


CANDLE = ["1597026360000", "2", "4", "1", "3", "10", "30", "31", "0"]


def test_forming_candles_are_held_back_by_default(following: Any, push: Any) -> None:
    assert following("candle1m").parse(push("candle1m", CANDLE)) == []


def test_forming_candles_come_with_rising_revisions(following: Any, push: Any) -> None:
    connection = following("candle1m", forming_candles=True)
    final = [*CANDLE[:-1], "1"]
    following_bar = ["1597026420000", *CANDLE[1:]]
    rows = (CANDLE, CANDLE, final, following_bar)
    candles = connection.parse(push("candle1m", *rows))
    assert [(c.state, c.revision) for c in candles] == [
        ("partial", 0),
        ("partial", 1),
        ("complete", 2),
        ("partial", 0),
    ]


def test_a_candle_of_seven_items_has_the_quote_volume_in_its_last_one(
    following: Any, push: Any
) -> None:
    row = CANDLE[:7]
    assert following("candle1m").parse(push("candle1m", row)) == []
    connection = following("candle1m", forming_candles=True)
    (candle,) = connection.parse(push("candle1m", row))
    assert (candle.state, candle.quote_volume) == ("partial", D("30"))


def test_the_other_volume_of_an_old_derivative_candle_is_no_quote_volume(
    following: Any, push: Any
) -> None:
    connection = following("candle1m", "BTC-USDT-SWAP", forming_candles=True)
    frame = push("candle1m", CANDLE[:7], inst_id="BTC-USDT-SWAP")
    assert connection.parse(frame)[0].quote_volume is None


@pytest.mark.parametrize(
    "row",
    [
        CANDLE[:6],
        [*CANDLE[:2], "3", "1", "4", "10", "30", "31", "1"],
        ["0", "2", "4", "1", "3", "10", "30", "31", "1"],
        ["1", "NaN", "4", "1", "3", "10", "30", "31", "1"],
        ["1", "2", "4", "0", "3", "10", "30", "31", "1"],
        [1597026360000, "2", "4", "1", "3", "10", "30", "31", "1"],
        {"ts": "1"},
        None,
    ],
)
def test_an_impossible_candle_is_malformed(following: Any, push: Any, row: Any) -> None:
    (item,) = following("candle1m").parse(push("candle1m", row))
    assert isinstance(item, Malformed)


def test_raw_objects_are_kept_only_on_request(
    everything: Any, golden_frames: Any
) -> None:
    for frame in golden_frames:
        (plain,) = everything().parse(frame)
        (kept,) = everything(keep_raw=True).parse(frame)
        assert plain.raw is None
        assert kept.raw
        assert attrs.evolve(kept, raw=None) == plain


def test_text_and_bytes_and_other_spacing_give_the_same(
    everything: Any, golden_frames: Any
) -> None:
    """The last one cannot take the fast way, so both ways agree."""
    for frame in golden_frames:
        events = everything().parse(frame)
        assert everything().parse(frame.encode()) == events
        assert everything().parse(frame.replace('{"arg":', '{ "arg": ')) == events


def test_unordered_levels_of_a_snapshot_are_put_in_order(
    following: Any, push: Any
) -> None:
    row = {
        "asks": [["10", "1", "0", "1"], ["9.5", "1", "0", "1"]],
        "bids": [["8", "1", "0", "1"], ["9", "0", "0", "1"], ["8.5", "2", "0", "1"]],
        "ts": "1",
    }
    (book,) = following("books5").parse(push("books5", row))
    assert [level[0] for level in book.asks] == ["9.5", "10"]
    assert [level[0] for level in book.bids] == ["8.5", "8"]


def test_a_real_checksum_is_passed_on_unless_switched_off(
    following: Any, push: Any
) -> None:
    row = {"asks": [], "bids": [], "ts": "1", "checksum": 2**32 - 5}
    frame = push("books", row, action="update")
    assert following("books").parse(frame)[0].checksum == -5
    unchecked = following("books", verify_checksum=False)
    assert unchecked.parse(frame)[0].checksum is None


def test_events_are_real_frozen_objects(everything: Any, golden_frames: Any) -> None:
    """They are built another way than by their constructors."""
    for frame in golden_frames:
        (event,) = everything().parse(frame)
        assert type(event) in (Trade, Ticker, BookSnapshot, BookDelta, Candle)
        with pytest.raises(AttributeError):
            event.stream = None
