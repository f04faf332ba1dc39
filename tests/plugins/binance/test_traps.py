"""The traps that the venue is known for, one test each, in the reference's order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tapeline.integrity import BookChange, LocalBook
from tapeline.model import (
    Acked,
    BookSnapshot,
    Malformed,
    Recovery,
    Rejected,
    Request,
    Response,
    Ticker,
    Trade,
)


def test_trap_1_an_acknowledgment_is_no_data(connect: Any, streams: Any) -> None:
    """It opens the stream, and it is left to core to wait for the first event."""
    connection = connect()
    stream = streams("aggTrade", "NOPE-USDT")
    assert connection.acknowledge(*connection.subscribe(stream)) == [Acked(stream)]


def test_trap_2_frames_leave_room_for_pings_and_storms_pause(
    adapter: Any, connect: Any
) -> None:
    budgets = {budget.name: budget for budget in adapter.budgets(adapter.config())}
    frames, futures = budgets["frames"], budgets["futures.frames"]
    # the ping of ours and the pong to theirs count, too
    assert int(frames.limit * frames.share) + 2 <= 5 == frames.limit
    assert int(futures.limit * futures.share) + 2 <= 10 == futures.limit
    assert frames.scope == futures.scope == "connection"
    assert (frames.window_s, budgets["connects"].limit) == (1.0, 300)
    assert connect().session.closed(1008, "Too many requests") is Recovery.BACK_OFF


@pytest.mark.parametrize("channel", ["aggTrade", "trade"])
def test_trap_3_a_buyer_that_is_maker_means_the_taker_sold(
    following: Any, wrap: Any, agg_trade: Any, trade: Any, channel: str
) -> None:
    connection = following(channel)
    make = agg_trade if channel == "aggTrade" else trade
    name = f"btcusdt@{channel}"
    (sold,) = connection.parse(wrap(name, make(m=True)))
    (bought,) = connection.parse(wrap(name, make(m=False)))
    assert (sold.side, bought.side) == ("sell", "buy")


def test_trap_4_raw_events_are_told_apart_by_their_keys(
    connect: Any, streams: Any, book_ticker: Any, partial: Any
) -> None:
    connection = connect()
    wanted = [streams("bookTicker"), streams("depth20@100ms")]
    connection.acknowledge(*connection.subscribe(*wanted))
    (ticker,) = connection.parse(book_ticker())
    assert isinstance(ticker, Ticker)
    (book,) = connection.parse(partial())
    assert (type(book), book.stream) == (BookSnapshot, wanted[1])
    other = streams("depth20@100ms", "ETH-USDT")
    connection.acknowledge(*connection.subscribe(other))
    (item,) = connection.parse(partial())
    assert (type(item), item.reason) == (Malformed, "no-symbol")


def test_trap_4_we_only_dial_sockets_that_wrap(adapter: Any, streams: Any) -> None:
    config = adapter.config()
    for market, channel in (
        ("spot", "aggTrade"),
        ("swap", "aggTrade"),
        ("swap", "depth"),
    ):
        route = adapter.route(config, None, streams(channel, "BTC-USDT", market))
        dial = adapter.session(config, {}, route).connect(None, None)
        assert dial.url.endswith("/stream")


def test_trap_5_the_same_letter_is_read_for_what_it_is(
    everything: Any, golden_frames: Any
) -> None:
    connection = everything()
    found = [connection.parse(frame)[0] for frame in golden_frames]
    trade, fill, delta, partial, ticker, best, _ = found
    assert (trade.last_id, fill.last_id) == (12345, 12345)
    assert delta.asks == [("0.0026", "100")]
    assert partial.asks == [("0.0026", "100")]
    assert str(ticker.ask) == "0.0026"
    assert str(ticker.low_24h) == "0.0011"
    assert str(best.ask_size) == "40.66000000"
    assert trade.exchange_ns == 1672515782135 * 10**6
    assert ticker.exchange_ns == 1672515782136 * 10**6


def test_trap_6_spot_chains_by_u_and_futures_by_pu(
    following: Any, wrap: Any, depth: Any
) -> None:
    spot = following("depth@100ms")
    name = "btcusdt@depth@100ms"
    (first,) = spot.parse(wrap(name, depth()))
    (second,) = spot.parse(wrap(name, depth(U=161, u=170)))
    assert (first.link_id, first.last_id) == (156, 160)
    assert second.link_id == first.last_id
    futures = following("depth@100ms", "BTC-USDT", "swap")
    first = futures.parse(wrap(name, depth(pu=149, T=1672515782130)))[0]
    (second,) = futures.parse(wrap(name, depth(U=201, u=230, pu=160)))
    assert (first.link_id, first.last_id) == (149, 160)
    assert second.link_id == first.last_id
    assert first.exchange_ns == 1672515782130 * 10**6


@pytest.mark.parametrize(
    ("last_id", "applied"),
    [(104, 3), (105, 2), (107, 2), (110, 1), (115, 0), (120, 0)],
)
def test_trap_6_a_spot_snapshot_joins_by_one_above_its_id(
    connect: Any, streams: Any, wrap: Any, depth: Any, last_id: int, applied: int
) -> None:
    stream = streams("depth@100ms")
    connection = connect(stream)
    _, fetch = connection.acknowledge(*connection.subscribe(stream))
    book = LocalBook(stream)
    for first, last in ((105, 105), (106, 110), (111, 115)):
        frame = wrap("btcusdt@depth@100ms", depth(U=first, u=last))
        (delta,) = connection.parse(frame)
        book.apply(delta)
    body = {"lastUpdateId": last_id, "bids": [["1", "2"]], "asks": [["2", "3"]]}
    (snapshot,) = connection.answer(fetch, body)
    assert book.apply(snapshot) is BookChange.SNAPSHOT
    assert book.valid
    assert book.statistics().updates == applied
    assert book.last_id == max(last_id, 115)


@pytest.mark.parametrize(
    ("last_id", "applied"),
    [(90, 3), (95, 3), (105, 2), (107, 2), (110, 1), (130, 1), (145, 1), (150, 0)],
)
def test_trap_6_a_futures_snapshot_joins_where_pu_is_at_most_its_id(
    connect: Any, streams: Any, wrap: Any, depth: Any, last_id: int, applied: int
) -> None:
    """Also exactly on the end of an event, where the next one only has its ``pu``."""
    stream = streams("depth@100ms", "BTC-USDT", "swap")
    connection = connect(stream)
    _, fetch = connection.acknowledge(*connection.subscribe(stream))
    book = LocalBook(stream)
    for first, last, before in ((95, 105, 90), (107, 110, 105), (140, 150, 110)):
        frame = wrap("btcusdt@depth@100ms", depth(U=first, u=last, pu=before))
        (delta,) = connection.parse(frame)
        book.apply(delta)
    body = {"lastUpdateId": last_id, "bids": [["1", "2"]], "asks": [["2", "3"]]}
    (snapshot,) = connection.answer(fetch, {**body, "E": 1, "T": 1})
    book.apply(snapshot)
    assert book.valid
    assert book.statistics().updates == applied
    assert book.last_id == 150


def test_trap_7_a_hundred_cold_books_fit_into_a_minute_of_weight(
    connect: Any, streams: Any, adapter: Any
) -> None:
    connection = connect()
    wanted = [streams("depth@100ms", f"A{i}-USDT") for i in range(100)]
    replies = connection.acknowledge(*connection.subscribe(*wanted))
    spent = sum(r.costs["weight"] for r in replies if not isinstance(r, Acked))
    budgets = {budget.name: budget for budget in adapter.budgets(adapter.config())}
    assert spent == 5_000
    assert spent <= budgets["weight"].limit * budgets["weight"].share


def test_trap_8_what_two_sockets_send_twice_has_one_identity(
    following: Any, wrap: Any, agg_trade: Any, depth: Any
) -> None:
    for channel, data in ("aggTrade", agg_trade()), ("depth@100ms", depth()):
        first, second = following(channel), following(channel)
        frame = wrap(f"btcusdt@{channel}", data)
        assert first.parse(frame)[0] == second.parse(frame)[0]


def test_trap_9_sockets_are_replaced_before_24_hours(connect: Any) -> None:
    """Core picks a random moment below that age, so they do not go together."""
    dial = connect().session.connect(None, None)
    assert 23.9 * 3_600 < dial.max_age_s < 24 * 3_600


def test_trap_10_times_in_microseconds_are_understood(
    following: Any, wrap: Any, agg_trade: Any, book_ticker: Any, depth: Any
) -> None:
    micros = {"E": 1672515782136123, "T": 1672515782135123}
    (trade,) = following("aggTrade").parse(
        wrap("btcusdt@aggTrade", agg_trade(**micros))
    )
    assert trade.exchange_ns == 1672515782135123000
    ticker = following("bookTicker", "BTC-USDT", "swap")
    (best,) = ticker.parse(wrap("btcusdt@bookTicker", book_ticker(**micros)))
    assert best.exchange_ns == 1672515782135123000
    book = following("depth@100ms").parse(wrap("btcusdt@depth@100ms", depth(**micros)))
    assert book[0].exchange_ns == 1672515782135123000


def test_trap_11_answers_are_never_wrapped(connect: Any, streams: Any) -> None:
    connection = connect()
    stream = streams("ticker")
    connection.subscribe(stream)
    assert connection.parse('{"result":null,"id":1}') == [Acked(stream)]


def test_trap_12_stream_names_have_lower_case_symbols(
    connect: Any, streams: Any
) -> None:
    (send,) = connect().subscribe(streams("aggTrade", "BTC-USDT"))
    assert json.loads(send.frame)["params"] == ["btcusdt@aggTrade"]


@pytest.mark.parametrize(
    ("channel", "path"),
    [
        ("depth@100ms", "/public"),
        ("depth20@100ms", "/public"),
        ("bookTicker", "/public"),
        ("aggTrade", "/market"),
        ("ticker", "/market"),
        ("kline_1m", "/market"),
    ],
)
def test_trap_13_each_futures_channel_goes_to_its_own_path(
    adapter: Any, streams: Any, channel: str, path: str
) -> None:
    config = adapter.config()
    for market, symbol in ("swap", "BTC-USDT"), ("future", "BTC-USDT-260327"):
        route = adapter.route(config, None, streams(channel, symbol, market))
        dial = adapter.session(config, {}, route).connect(None, None)
        assert dial.url == f"wss://fstream.binance.com{path}/stream"


def test_trap_14_the_account_is_fetched_as_nothing_is_sent_at_first(
    adapter: Any, streams: Any, keys: Any, now: Any
) -> None:
    config = adapter.config(**keys)
    stream = streams("userDataStream", "*")
    route = adapter.route(config, None, stream)
    session = adapter.session(config, {}, route)
    (fetch,) = session.subscribe([stream], now())
    assert fetch.request.private
    assert fetch.request.url == "https://api.binance.com/api/v3/account"


def test_trap_15_a_closing_candle_that_was_missed_is_fetched(
    connect: Any, streams: Any
) -> None:
    stream = streams("kline_1m")
    connection = connect(stream)
    _, fetch = connection.acknowledge(*connection.subscribe(stream))
    assert "/api/v3/klines?" in fetch.request.url


def test_trap_16_filters_are_found_by_type_and_new_states_are_kept(
    adapter: Any,
) -> None:
    row = {
        "symbol": "ETHBTC",
        "status": "CANCEL_ONLY",
        "baseAsset": "ETH",
        "quoteAsset": "BTC",
        "filters": [
            {"filterType": "SOMETHING_NEW"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "stepSize": "0.0001"},
            {"filterType": "PRICE_FILTER", "tickSize": "0.000001"},
        ],
    }
    body = json.dumps({"symbols": [row]}).encode()
    response = Response(Request("GET", ""), 200, {}, body, 0)
    (instrument,) = adapter.read_instruments(response)
    assert str(instrument.tick_size) == "0.000001"
    assert str(instrument.lot_size) == "0.0001"
    assert str(instrument.min_size) == "0.001"
    assert instrument.state == "cancel_only"


def test_trap_17_no_frame_reaches_4096_bytes(connect: Any, streams: Any) -> None:
    wanted = [streams("aggTrade", f"SOMETHING{i}-USDT") for i in range(400)]
    for send in connect().subscribe(*wanted):
        assert len(send.frame.encode()) <= 4_000


def test_trap_18_the_venue_says_what_the_whole_address_used(adapter: Any) -> None:
    for path, budget in ("/api/v3/time", "weight"), ("/fapi/v1/time", "futures.weight"):
        request = Request("GET", f"https://x{path}")
        headers = {"x-mbx-used-weight-1m": "417"}
        response = Response(request, 200, headers, b"{}", 0)
        assert adapter.classify(response).used == {budget: 417}


def test_a_raw_kline_is_told_by_its_interval(
    connect: Any, streams: Any, kline: Any
) -> None:
    connection = connect()
    wanted = [streams("kline_1m"), streams("kline_5m")]
    connection.subscribe(*wanted)
    (candle,) = connection.parse(kline())
    assert candle.stream == wanted[0]
    (candle,) = connection.parse(kline(i="5m"))
    assert candle.stream == wanted[1]
    (item,) = connection.parse(kline(i="3m"))
    assert isinstance(item, Malformed)


def test_fills_of_an_aggregate_are_counted(
    following: Any, wrap: Any, agg_trade: Any
) -> None:
    connection = following("aggTrade")
    (trade,) = connection.parse(wrap("btcusdt@aggTrade", agg_trade()))
    assert isinstance(trade, Trade)
    assert (trade.first_id, trade.last_id, trade.fills) == (12345, 12345, 6)
    assert trade.id_kind == "aggregate"


def test_rejections_name_a_code_as_text(connect: Any, streams: Any) -> None:
    connection = connect()
    stream = streams("aggTrade")
    connection.subscribe(stream)
    (reply,) = connection.parse({"code": 2, "msg": "x", "id": 1})
    assert reply == Rejected(stream, "2", "x", permanent=True)
