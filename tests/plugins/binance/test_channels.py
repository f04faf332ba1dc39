"""Channels, symbols, routes and what recordings show to be subscribed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tapeline.errors import ConfigError
from tapeline.model import Continuity, Instrument
from tapeline_binance.channels import (
    CHANNELS,
    family_of,
    place_of,
    split_pair,
    stream_name_of,
    venue_symbol_of,
)
from tapeline_binance.config import DIFF_DEPTHS, HOSTS, PARTIAL_DEPTHS


def test_defaults_are_cheap_and_checkable(adapter: Any) -> None:
    config = adapter.config()
    names = {
        data_type: adapter.channel(config, data_type, "").name
        for data_type in ("trade", "orderbook", "ticker")
    }
    assert names == {
        "trade": "aggTrade",
        "orderbook": "depth20@100ms",
        "ticker": "ticker",
    }
    for data_type, name in names.items():
        assert adapter.capabilities.channels[data_type][0].name == name
    trade = adapter.channel(config, "trade", "")
    assert (trade.continuity, trade.id_kind) == (Continuity.CONTIGUOUS, "aggregate")
    assert trade.backfill_reach_s > 0


def test_options_choose_the_channels(adapter: Any) -> None:
    config = adapter.config(trades="trade", depth="depth@100ms", ticker="bookTicker")
    assert adapter.channel(config, "trade", "").id_kind == "fill"
    book = adapter.channel(config, "orderbook", "")
    assert book.continuity is Continuity.SEQUENCED
    assert adapter.channel(config, "ticker", "").name == "bookTicker"
    assert adapter.channel(config, "candle", "1h").name == "kline_1h"
    with pytest.raises(LookupError):
        adapter.channel(config, "candle", "5s")


def test_every_depth_that_can_be_chosen_is_a_channel() -> None:
    for name in PARTIAL_DEPTHS:
        assert CHANNELS[name].channel.continuity is Continuity.SNAPSHOT
    for name in DIFF_DEPTHS:
        assert CHANNELS[name].channel.continuity is Continuity.SEQUENCED


@pytest.mark.parametrize(
    ("market", "symbol", "venue", "family"),
    [
        ("spot", "BTC-USDT", "BTCUSDT", "spot"),
        ("spot", "BTC-USD", "BTCUSD", "spot"),
        ("swap", "BTC-USDT", "BTCUSDT", "usdm"),
        ("swap", "BTC-USD1", "BTCUSD1", "usdm"),
        ("future", "BTC-USDT-260327", "BTCUSDT_260327", "usdm"),
        ("swap", "BTC-USD", "BTCUSD_PERP", "coinm"),
        ("future", "BTC-USD-200925", "BTCUSD_200925", "coinm"),
    ],
)
def test_symbols_there_and_back(
    market: str, symbol: str, venue: str, family: str
) -> None:
    assert venue_symbol_of(market, symbol, {}) == venue
    assert family_of(market, symbol) == family
    assert place_of(venue, family) == (market, symbol)


def test_metadata_knows_better_than_the_form(streams: Any) -> None:
    odd = Instrument("binance", "spot", "BTC-USDT", "XBTUSDT", "BTC", "USDT")
    assert stream_name_of(streams("trade"), {odd.key: odd}) == "xbtusdt@trade"


def test_a_symbol_that_nothing_fits_is_not_guessed() -> None:
    assert split_pair("WHATEVER") is None
    assert split_pair("USDT") is None
    assert place_of("WHATEVER", "spot") is None
    assert place_of("WHATEVER", "usdm") is None


@pytest.mark.parametrize("region", sorted(HOSTS))
def test_every_region_has_spot(adapter: Any, streams: Any, region: str) -> None:
    config = adapter.config(region=region)
    route = adapter.route(config, None, streams("aggTrade"))
    url = adapter.session(config, {}, route).connect(None, None).url
    assert url.startswith("wss://")
    assert url.endswith("/stream")
    assert config.rest_base("spot").startswith("https://")


@pytest.mark.parametrize("region", ["testnet", "demo"])
def test_hosts_that_are_not_split_have_one_path(
    adapter: Any, streams: Any, region: str
) -> None:
    config = adapter.config(region=region)
    for channel in "depth", "aggTrade":
        route = adapter.route(config, None, streams(channel, "BTC-USDT", "swap"))
        url = adapter.session(config, {}, route).connect(None, None).url
        assert url.count("/") == 3


def test_other_addresses_take_the_place_of_the_regions(
    adapter: Any, streams: Any, keys: Any
) -> None:
    config = adapter.config(
        ws_url="ws://127.0.0.1:1/", rest_url="http://127.0.0.1:2/", **keys
    )
    urls = []
    for stream in (
        streams("aggTrade"),
        streams("depth", "BTC-USDT", "swap"),
        streams("aggTrade", "BTC-USDT", "swap"),
        streams("userDataStream", "*"),
    ):
        route = adapter.route(config, None, stream)
        urls.append(adapter.session(config, {}, route).connect(None, None).url)
    base = "ws://127.0.0.1:1"
    assert urls == [
        f"{base}/stream",
        f"{base}/public/stream",
        f"{base}/market/stream",
        f"{base}/ws-api/v3",
    ]
    url = adapter.instruments(config, "swap").request.url
    assert url == "http://127.0.0.1:2/fapi/v1/exchangeInfo"


def test_streams_share_sockets_by_what_they_cost(adapter: Any, streams: Any) -> None:
    config = adapter.config()
    light = adapter.route(config, None, streams("aggTrade"))
    deep = adapter.route(config, None, streams("depth@100ms"))
    assert light.name == deep.name == "spot"
    assert light.cost < deep.cost
    assert light.capacity <= 1_024


def test_channels_that_a_market_does_not_have_are_refused(
    adapter: Any, streams: Any
) -> None:
    config = adapter.config()
    for stream in (
        streams("depth@500ms"),
        streams("depth5@500ms"),
        streams("depth@0ms"),
        streams("kline_1s", "BTC-USDT", "swap"),
    ):
        with pytest.raises(ConfigError, match="expected a channel that market"):
            adapter.route(config, None, stream)
    adapter.route(config, None, streams("depth@500ms", "BTC-USDT", "swap"))


def test_a_key_has_two_parts(adapter: Any, keys: Any, streams: Any) -> None:
    adapter.config(**keys)
    with pytest.raises(ConfigError, match="api_key and api_secret together"):
        adapter.config(api_key=keys["api_key"])
    with pytest.raises(ConfigError, match="expected an API key"):
        adapter.route(adapter.config(), None, streams("userDataStream", "*"))
    with pytest.raises(ConfigError, match="expected a region with accounts"):
        adapter.route(
            adapter.config(region="us", **keys), None, streams("userDataStream", "*")
        )


SPOT_URL = "wss://stream.binance.com:9443/stream"
UM_URL = "wss://fstream.binance.com/market/stream"
CM_URL = "wss://dstream.binance.com/stream"


def shown(adapter: Any, frame: object, url: str = "", **options: Any) -> list[str]:
    text = frame if isinstance(frame, str) else json.dumps(frame)
    config = adapter.config(**options)
    return [str(s) for s in adapter.recorded_subscriptions(config, text, url)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "wss://stream.binance.com:9443/stream?streams=btcusdt@trade/ethbtc@ticker",
            ["binance:spot:BTC-USDT:trade", "binance:spot:ETH-BTC:ticker"],
        ),
        (
            "wss://fstream.binance.com/market/ws/btcusdt@aggTrade/ethusdt_260327@trade",
            [
                "binance:swap:BTC-USDT:aggTrade",
                "binance:future:ETH-USDT-260327:trade",
            ],
        ),
        (
            "wss://dstream.binance.com/stream?streams=btcusd_perp@depth@100ms&x=y",
            ["binance:swap:BTC-USD:depth@100ms"],
        ),
        ("wss://stream.binance.com:9443/ws", []),
        ("wss://stream.binance.com:9443/ws/nonsense/btcusdt@nonsense", []),
        ("wss://example.com/stream?streams=btcusdt@trade", []),
        ("wss://[", []),
        (
            "https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT&fromId=5&limit=9",
            ["binance:spot:BTC-USDT:aggTrade"],
        ),
        (
            "https://fapi.binance.com/fapi/v1/historicalTrades?fromId=5&symbol=BTCUSDT",
            ["binance:swap:BTC-USDT:trade"],
        ),
        ("https://api.binance.com/api/v3/aggTrades?symbol=BTCUSDT&limit=1", []),
        ("https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000", []),
    ],
)
def test_addresses_show_what_they_carry(
    adapter: Any, text: str, expected: list[str]
) -> None:
    assert shown(adapter, text) == expected


def test_requests_show_their_streams_where_the_address_is_known(adapter: Any) -> None:
    request = {"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade", 5], "id": 1}
    assert shown(adapter, request, SPOT_URL) == ["binance:spot:BTC-USDT:aggTrade"]
    assert shown(adapter, request, UM_URL) == ["binance:swap:BTC-USDT:aggTrade"]
    local = "ws://127.0.0.1:8765"
    assert shown(adapter, request, f"{local}/market/stream") == [
        "binance:swap:BTC-USDT:aggTrade"
    ]
    assert shown(adapter, request, f"{local}/stream") == [
        "binance:spot:BTC-USDT:aggTrade"
    ]
    assert shown(adapter, request) == []
    assert shown(adapter, {**request, "method": "UNSUBSCRIBE"}, SPOT_URL) == []


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("btcusdt@depth", {"e": "depthUpdate"}, "spot:BTC-USDT:depth"),
        ("btcusdt@depth", {"e": "depthUpdate", "pu": 1}, "swap:BTC-USDT:depth"),
        ("btcusdt@aggTrade", {"e": "aggTrade", "M": True}, "spot:BTC-USDT:aggTrade"),
        ("btcusdt@aggTrade", {"e": "aggTrade"}, "swap:BTC-USDT:aggTrade"),
        ("btcusdt@trade", {"e": "trade"}, "spot:BTC-USDT:trade"),
        ("btcusdt@trade", {"e": "trade", "X": "MARKET"}, "swap:BTC-USDT:trade"),
        ("btcusdt@bookTicker", {"u": 1}, "spot:BTC-USDT:bookTicker"),
        ("btcusdt@bookTicker", {"e": "bookTicker"}, "swap:BTC-USDT:bookTicker"),
        ("btcusdt@ticker", {"e": "24hrTicker", "b": "1"}, "spot:BTC-USDT:ticker"),
        ("btcusdt@ticker", {"e": "24hrTicker"}, "swap:BTC-USDT:ticker"),
        ("btcusd_perp@trade", {"e": "trade"}, "swap:BTC-USD:trade"),
        ("btcusd_200925@trade", {"e": "trade"}, "future:BTC-USD-200925:trade"),
        ("btcusdt_260327@trade", {"e": "trade"}, "future:BTC-USDT-260327:trade"),
        ("btcusdt@depth20@100ms", {"lastUpdateId": 1}, "spot:BTC-USDT:depth20@100ms"),
    ],
)
def test_data_shows_which_exchange_it_came_from(
    adapter: Any, name: str, data: Any, expected: str
) -> None:
    assert shown(adapter, {"stream": name, "data": data}) == [f"binance:{expected}"]


def test_a_pair_member_marks_coin_margined_unless_the_event_says_otherwise(
    adapter: Any,
) -> None:
    event: dict[str, Any] = {"e": "bookTicker", "s": "BTCUSD_PERP", "ps": "BTCUSD"}
    assert shown(adapter, event) == ["binance:swap:BTC-USD:bookTicker"]
    event = {"e": "depthUpdate", "s": "BTCUSDT", "ps": "BTCUSDT", "st": 1, "pu": 1}
    assert shown(adapter, event) == ["binance:swap:BTC-USDT:depth@100ms"]


def test_raw_events_show_their_channel(adapter: Any) -> None:
    depth = {"e": "depthUpdate", "s": "BTCUSDT"}
    assert shown(adapter, depth) == ["binance:spot:BTC-USDT:depth@100ms"]
    assert shown(adapter, depth, depth="depth") == ["binance:spot:BTC-USDT:depth"]
    assert shown(adapter, depth, depth="depth5") == [
        "binance:spot:BTC-USDT:depth@100ms"
    ]
    fast = {**depth, "pu": 1}
    assert shown(adapter, fast, depth="depth@500ms") == [
        "binance:swap:BTC-USDT:depth@500ms"
    ]
    kline = {"e": "kline", "s": "ETHUSDT", "k": {"i": "1h"}}
    assert shown(adapter, kline) == ["binance:spot:ETH-USDT:kline_1h"]
    assert shown(adapter, kline, UM_URL) == ["binance:swap:ETH-USDT:kline_1h"]
    best = {"u": 1, "s": "ETHUSDT", "b": "1", "B": "1", "a": "1", "A": "1"}
    assert shown(adapter, best) == ["binance:spot:ETH-USDT:bookTicker"]
    balance = {"subscriptionId": 0, "event": {"e": "outboundAccountPosition"}}
    assert shown(adapter, balance) == ["binance:spot:*:userDataStream"]
    bare = {"e": "outboundAccountPosition", "E": 1}
    assert shown(adapter, bare) == ["binance:spot:*:userDataStream"]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        "null",
        "x",
        '{"stream":5}',
        '{"stream":"x"}',
        '{"stream":"btcusdt@trade","data":[]}',
        '{"stream":"btcusdt@nonsense","data":{}}',
        '{"e":5,"s":"BTCUSDT"}',
        '{"e":"kline","s":"BTCUSDT","k":[]}',
        '{"e":"kline","s":"BTCUSDT","k":{"i":"9y"}}',
        '{"e":"trade","s":7}',
        '{"result":null,"id":1}',
        '{"method":"SUBSCRIBE","params":{}}',
        "\ud800",
        "{\ud800",
        "[" * 10_000,
    ],
)
def test_other_frames_show_nothing(adapter: Any, frame: str) -> None:
    assert shown(adapter, frame) == []
    shown(adapter, frame, SPOT_URL)
    shown(adapter, frame, "wss://[")


def test_listed_instruments_split_symbols(adapter: Any) -> None:
    """``DOTUSD`` looks like DO and TUSD, but the venue lists DOT and USD."""
    listed = Instrument("binance", "spot", "DOT-USD", "DOTUSD", "DOT", "USD")
    frame = json.dumps({"stream": "dotusd@trade", "data": {"e": "trade", "M": True}})
    (found,) = adapter.recorded_subscriptions(
        adapter.config(), frame, "", {("spot", "DOTUSD"): listed}
    )
    assert found.symbol == "DOT-USD"
