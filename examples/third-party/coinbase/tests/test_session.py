"""Messages of the documentation become events; nothing is dropped silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tapeline_coinbase import CoinbaseSession

from tapeline.model import (
    Acked,
    BookDelta,
    BookSnapshot,
    Malformed,
    Missed,
    Rejected,
    Send,
    Subscription,
    Ticker,
    Trade,
)

S = 10**9
AT_NS = 1_767_323_045 * S  # 2026-01-02T03:04:05Z


def test_each_channel_is_asked_for_in_a_message_of_its_own(wire: Any) -> None:
    actions = wire.session.subscribe(
        (wire.trades, wire.eth_trades, wire.book), wire.now
    )

    asked = [json.loads(action.frame) for action in actions]
    assert asked == [
        {
            "type": "subscribe",
            "channel": "market_trades",
            "product_ids": ["BTC-USD", "ETH-USD"],
        },
        {"type": "subscribe", "channel": "level2", "product_ids": ["BTC-USD"]},
    ]
    assert actions[0].subscriptions == (wire.trades, wire.eth_trades)


def test_heartbeats_are_asked_for_as_soon_as_the_socket_is_open(wire: Any) -> None:
    (send,) = wire.session.opened(wire.now)

    assert isinstance(send, Send)
    assert json.loads(send.frame) == {"type": "subscribe", "channel": "heartbeats"}
    assert send.subscriptions == ()


def test_a_list_of_subscriptions_confirms_what_was_asked_for(wire: Any) -> None:
    said = wire.say("subscriptions")

    assert {one.subscription for one in said} == {
        wire.book, wire.trades, wire.eth_trades
    }  # fmt: skip
    assert all(isinstance(one, Acked) and one.active for one in said)
    assert wire.say("subscriptions", sequence_num=1) == []


def test_what_was_ended_is_confirmed_when_it_is_not_listed_any_more(wire: Any) -> None:
    wire.say("subscriptions")
    wire.session.unsubscribe((wire.eth_trades,), wire.now)
    events = [{"subscriptions": {"market_trades": ["BTC-USD"]}}]

    said = wire.say("subscriptions", sequence_num=1, events=events)

    assert said == [Acked(wire.eth_trades, active=False)]


def test_trades_come_out_in_rising_order_and_exact(wire: Any) -> None:
    first, second = wire.say("trades-newest-first")

    assert isinstance(first, Trade)
    assert (first.first_id, second.first_id) == (929248662, 929248663)
    assert (first.price, first.size) == (Decimal("88355.59"), Decimal("0.00099993"))
    assert (first.side, second.side) == ("sell", "buy")
    assert first.exchange_ns == AT_NS + 610_000_000
    assert second.exchange_ns == AT_NS + 654_578_000
    assert first.stream == wire.trades


def test_a_snapshot_has_the_best_levels_first_and_changes_are_chained(
    wire: Any,
) -> None:
    (snapshot,) = wire.say("book-snapshot")
    (delta,) = wire.say("book-update")

    assert isinstance(snapshot, BookSnapshot)
    assert [level[0] for level in snapshot.bids] == ["100.0", "99.5"]
    assert isinstance(delta, BookDelta)
    assert delta.link_id == snapshot.last_id == AT_NS + 800_000_000
    assert delta.last_id == AT_NS + 850_000_000
    assert list(delta.bids) == [("100.0", "0")]


def test_a_ticker_leaves_out_what_the_venue_left_empty(wire: Any) -> None:
    (ticker,) = wire.say("ticker")

    assert isinstance(ticker, Ticker)
    assert (ticker.last, ticker.bid) == (Decimal("21932.98"), Decimal("21931.98"))
    assert ticker.ask_size is None
    assert ticker.exchange_ns == AT_NS + 900_000_000


def test_a_hole_in_the_numbers_tells_of_every_stream_before_what_comes_next(
    wire: Any,
) -> None:
    wire.say("subscriptions")

    said = wire.say("trades-newest-first", sequence_num=3)

    assert [type(one) for one in said] == [Missed] * 4 + [Trade] * 2
    assert {one.subscription for one in said[:4]} == {
        wire.trades, wire.eth_trades, wire.book, wire.ticker
    }  # fmt: skip


def test_a_message_sent_twice_is_no_hole(wire: Any) -> None:
    wire.say("subscriptions")
    wire.say("trades-newest-first")

    assert not any(isinstance(one, Missed) for one in wire.say("trades-newest-first"))
    assert not any(isinstance(one, Missed) for one in wire.say("book-snapshot"))


def test_an_old_change_of_a_book_that_comes_again_is_left_out(wire: Any) -> None:
    wire.say("book-snapshot", sequence_num=1)
    wire.say("book-update", sequence_num=2)
    later = "2026-01-02T03:04:05.9Z"
    wire.say("book-update", sequence_num=3, timestamp=later)

    assert wire.say("book-update", sequence_num=2) == []
    (delta,) = wire.say("book-update", sequence_num=4, timestamp="2026-01-02T03:04:06Z")
    assert delta.link_id == AT_NS + 900_000_000


def test_numbers_that_begin_afresh_are_a_hole(wire: Any) -> None:
    wire.say("book-snapshot", sequence_num=700)

    said = wire.say("book-update", sequence_num=5)

    assert wire.book in [one.subscription for one in said if isinstance(one, Missed)]
    assert said[-1].link_id not in (None, AT_NS + 800_000_000)


def test_numbers_by_channel_are_understood(wire: Any) -> None:
    wire.say("subscriptions", sequence_num=0)
    wire.say("trades-newest-first", sequence_num=0)
    wire.say("book-snapshot", sequence_num=0)

    said = [
        *wire.say("trades-newest-first", sequence_num=1),
        *wire.say("book-update", sequence_num=1),
    ]
    assert not any(isinstance(one, Missed) for one in said)
    lost = wire.say("book-update", sequence_num=3)
    assert [one.subscription for one in lost if isinstance(one, Missed)] == [wire.book]


def test_data_of_usd_feeds_the_usdc_product_that_was_asked_for(
    new_session: Callable[..., CoinbaseSession], messages: Any
) -> None:
    session = new_session()
    usdc = Subscription(
        "coinbase", "spot", "BTC-USDC", "trade", "market_trades", "fill"
    )
    session.subscribe((usdc,), _now())

    said = session.parse(json.dumps(messages["trades-newest-first"]), 1)

    assert [one.stream for one in said if isinstance(one, Trade)] == [usdc, usdc]


def _now() -> Any:
    from tapeline.clock import Now

    return Now(0, 0, 0)


def test_an_error_of_the_venue_is_told_without_a_stream(wire: Any) -> None:
    said = wire.tell({"type": "error", "message": "authentication failure"})

    assert said == [Rejected(None, "error", "authentication failure", permanent=False)]


@pytest.mark.parametrize(
    "frame",
    [
        "", "{", "[]", "null", "\x00\x01", "[" * 2_000, "<html>", b"\xff\xfe",
        '{"channel":5}', '{"channel":"unheard-of","sequence_num":1}',
        '{"channel":"market_trades","events":{}}',
        '{"channel":"l2_data","timestamp":"now","events":[]}',
        '{"channel":"ticker","events":[{"tickers":[1]}]}',
        '{"channel":"subscriptions","events":[{"subscriptions":7}]}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_malformed_and_never_raises(
    wire: Any, frame: str | bytes
) -> None:
    said = wire.session.parse(frame, 1)

    assert any(isinstance(one, Malformed) for one in said)


@pytest.mark.parametrize("case", ["trades-newest-first", "book-snapshot", "ticker"])
def test_every_beginning_of_a_message_is_survived(wire: Any, case: str) -> None:
    text = json.dumps(wire.messages[case])

    for end in range(len(text)):
        said = wire.session.parse(text[:end], 1)
        assert [type(one) for one in said] == [Malformed]


@pytest.mark.parametrize(
    ("field", "value"),
    [("price", "NaN"), ("price", "0"), ("size", "-1"), ("side", "?"), ("time", "x")],
)
def test_a_trade_that_cannot_be_used_is_named_by_its_id(
    wire: Any, field: str, value: str
) -> None:
    events = json.loads(json.dumps(wire.messages["trades-newest-first"]["events"]))
    events[0]["trades"][0][field] = value

    said = wire.say("trades-newest-first", events=events)

    (bad,) = [one for one in said if isinstance(one, Malformed)]
    assert (bad.reason, bad.first_id, bad.subscription) == (
        field, 929248663, wire.trades
    )  # fmt: skip
    assert [one.first_id for one in said if isinstance(one, Trade)] == [929248662]


def test_a_trade_without_an_id_is_a_loss_of_its_stream(wire: Any) -> None:
    events = json.loads(json.dumps(wire.messages["trades-newest-first"]["events"]))
    events[0]["trades"][0]["trade_id"] = "8e4f"

    said = wire.say("trades-newest-first", events=events)

    assert [type(one) for one in said] == [Malformed, Missed, Trade]


def test_a_field_of_another_type_costs_one_trade_and_says_so(wire: Any) -> None:
    events = json.loads(json.dumps(wire.messages["trades-newest-first"]["events"]))
    events[0]["trades"][0]["price"] = 88355.58

    said = wire.say("trades-newest-first", events=events)

    assert [type(one) for one in said] == [Malformed, Missed, Missed, Trade]


def test_a_resync_ends_the_book_and_asks_for_it_again(wire: Any) -> None:
    end, begin = wire.session.resync(wire.book, wire.now)

    assert json.loads(end.frame)["type"] == "unsubscribe"
    assert end.subscriptions == ()
    assert json.loads(begin.frame)["type"] == "subscribe"
    assert begin.subscriptions == (wire.book,)
