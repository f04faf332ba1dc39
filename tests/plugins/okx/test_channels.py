"""Channels, symbols and options: OKX's words and ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tapeline_okx
from tapeline.errors import ConfigError
from tapeline.model import (
    TIMEFRAMES,
    Continuity,
    Instrument,
    Secret,
    Subscription,
)
from tapeline_okx import plugin
from tapeline_okx.channels import arg_of, args_in_frame, subscription_from_arg


@pytest.mark.parametrize(
    ("inst_id", "market", "symbol"),
    [
        ("BTC-USDT", "spot", "BTC-USDT"),
        ("BTC-USDT-SWAP", "swap", "BTC-USDT"),
        ("BTC-USD-251226", "future", "BTC-USD-251226"),
        ("TRX-USDT-210924", "future", "TRX-USDT-210924"),
        ("BTC-USD-221230-4000-C", "option", "BTC-USD-221230-4000-C"),
        ("BTC-USD-221230-0.5-P", "option", "BTC-USD-221230-0.5-P"),
        ("1INCH-USDT", "spot", "1INCH-USDT"),
    ],
)
def test_the_form_of_an_id_tells_its_market(
    streams: Any, inst_id: str, market: str, symbol: str
) -> None:
    stream = streams("trades", inst_id)
    assert (stream.market, stream.symbol) == (market, symbol)
    assert arg_of(stream, {}) == {"channel": "trades", "instId": inst_id}


def test_a_listed_instrument_wins_over_the_form() -> None:
    arg = {"channel": "trades", "instId": "BTC-USDT-SWAP"}
    listed = Instrument("okx", "swap", "BTC-USDT", "OTHER", "BTC", "USDT")
    assert subscription_from_arg(arg, {listed.key: listed}) is None
    same = Instrument("okx", "swap", "BTC-USDT", "BTC-USDT-SWAP", "BTC", "USDT")
    assert subscription_from_arg(arg, {same.key: same}) is not None


def test_subscriptions_carry_the_identity_of_their_stream(streams: Any) -> None:
    assert streams("trades") == Subscription(
        "okx", "spot", "BTC-USDT", "trade", "trades", id_kind="fill"
    )
    assert streams("candle1H") == Subscription(
        "okx", "spot", "BTC-USDT", "candle", "candle1H", timeframe="1h"
    )
    assert streams("account") == Subscription("okx", "spot", "*", "balance", "account")


@pytest.mark.parametrize(
    ("frame", "channels"),
    [
        ('{"op":"subscribe","args":[{"channel":"a"},{"channel":"b"}]}', ["a", "b"]),
        ('{"op":"unsubscribe","args":[{"channel":"a"}]}', []),
        ('{"op":"login","args":[{"apiKey":"a"}]}', []),
        ('{"event":"subscribe","arg":{"channel":"a"}}', ["a"]),
        ('{"event":"unsubscribe","arg":{"channel":"a"}}', []),
        ('{"event":"error","code":"60018"}', []),
        ('{"arg":{"channel":"a"},"data":[]}', ["a"]),
        ("ping", []),
        ("pong", []),
        ("", []),
        ('{"op":5}', []),
        ("[" * 100_000, []),
        ("\ud800", []),
    ],
)
def test_frames_show_what_is_subscribed(frame: str, channels: list[str]) -> None:
    assert [arg["channel"] for arg in args_in_frame(frame)] == channels


def test_recorded_channels_that_we_do_not_read_are_left_out(adapter: Any) -> None:
    args = [
        {"channel": "mark-price", "instId": "BTC-USDT"},
        {"channel": "candle3m", "instId": "BTC-USDT"},
        {"channel": "trades"},
        {"channel": "trades", "instId": ""},
        {"channel": ["x"]},
        {"channel": "trades", "instId": "BTC-USDT"},
    ]
    frame = json.dumps({"op": "subscribe", "args": args})
    found = adapter.recorded_subscriptions(adapter.config(), frame)
    assert [str(stream) for stream in found] == ["okx:spot:BTC-USDT:trades"]


def test_options_choose_the_channels(adapter: Any) -> None:
    config = adapter.config(depth="books", trades="trades-all")
    assert adapter.channel(config, "orderbook", "").name == "books"
    assert adapter.channel(config, "trade", "").name == "trades-all"
    assert adapter.channel(config, "ticker", "").name == "tickers"
    assert adapter.channel(config, "balance", "").name == "account"
    default = adapter.config()
    assert adapter.channel(default, "orderbook", "").name == "books5"
    assert adapter.channel(default, "trade", "").name == "trades"


def test_candles_exist_for_matching_timeframes_only(adapter: Any) -> None:
    config, found = adapter.config(), {}
    for timeframe in TIMEFRAMES:
        try:
            found[timeframe] = adapter.channel(config, "candle", timeframe).name
        except LookupError:
            found[timeframe] = ""
    assert found == {
        "1s": "candle1s",
        "5s": "",
        "10s": "",
        "15s": "",
        "30s": "",
        "1m": "candle1m",
        "5m": "candle5m",
        "15m": "candle15m",
        "1h": "candle1H",
        "4h": "candle4H",
        "1d": "candle1Dutc",
    }


def test_capabilities_promise_what_the_venue_lets_us_check(adapter: Any) -> None:
    capabilities = adapter.capabilities
    assert capabilities.markets == ("spot", "swap", "future", "option")
    assert capabilities.data_types == [
        "balance",
        "candle",
        "orderbook",
        "ticker",
        "trade",
    ]
    for name in "trades", "trades-all":
        channel = capabilities.channel(name)
        assert channel.continuity is Continuity.CONTIGUOUS
        assert channel.id_kind == "fill"
        assert channel.backfill_reach_s == 90 * 86_400
    for name in "books", "books50-l2-tbt", "books-l2-tbt":
        assert capabilities.channel(name).continuity is Continuity.SEQUENCED
    for name in "books5", "bbo-tbt", "tickers", "candle1m", "account":
        assert capabilities.channel(name).continuity is Continuity.SNAPSHOT


def test_routes_separate_sockets_and_spread_deep_books(
    adapter: Any, streams: Any, keys: Any
) -> None:
    config = adapter.config(**keys)
    found = {
        name: adapter.route(config, None, streams(name))
        for name in ("trades", "books", "books-l2-tbt", "candle1m", "account")
    }
    assert {name: route.name for name, route in found.items()} == {
        "trades": "public",
        "books": "public",
        "books-l2-tbt": "public-login",
        "candle1m": "business",
        "account": "private",
    }
    assert [name for name, route in found.items() if route.private] == [
        "books-l2-tbt",
        "account",
    ]
    assert found["books"].capacity // found["books"].cost == 30


def test_a_login_book_is_on_the_public_socket(
    adapter: Any, streams: Any, keys: Any, now: Any
) -> None:
    config = adapter.config(**keys)
    route = adapter.route(config, None, streams("books-l2-tbt"))
    session = adapter.session(config, {}, route)
    assert session.connect(now(), None).url.endswith(":8443/ws/v5/public")
    assert [send.purpose for send in session.opened(now())] == ["login"]


def test_balances_without_a_key_are_a_configuration_error(
    adapter: Any, streams: Any
) -> None:
    with pytest.raises(ConfigError, match=r"options\.api_key: expected an API key"):
        adapter.route(adapter.config(), None, streams("account"))


def test_half_a_key_is_a_configuration_error(adapter: Any) -> None:
    with pytest.raises(ConfigError, match="found no passphrase") as caught:
        adapter.config(api_key=Secret("a"), api_secret=Secret("b"))
    assert [path for path, _ in caught.value.problems] == ["passphrase"]


@pytest.mark.parametrize(
    "options",
    [
        {"depth": "books7"},
        {"trades": "fills"},
        {"region": "mars"},
        {"ping_interval_s": 0},
        {"ping_interval_s": 30},
    ],
)
def test_options_outside_their_range_are_refused(adapter: Any, options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        adapter.config(**options)


def test_every_option_is_described(adapter: Any) -> None:
    for field in adapter.config.__attrs_attrs__:
        assert field.metadata["description"]


def test_the_plugin_says_who_it_is_and_offers_one_exchange() -> None:
    info = plugin.tapeline_plugin_info()
    assert (info.name, info.api) == ("okx", (1, 0))
    (adapter,) = plugin.tapeline_exchanges()
    assert isinstance(adapter, tapeline_okx.OkxAdapter)
    assert adapter.name == "okx"


def test_the_public_names_are_sorted() -> None:
    assert tapeline_okx.__all__ == sorted(tapeline_okx.__all__)
