"""What ``tapeline certify binance`` tests: frames of spot, and Binance's answers."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from decimal import Decimal

from tapeline.model import Secret, Send, Subscription, Trade
from tapeline.testing import (
    SECRET_TEXT,
    ExchangeUnderTest,
    Recording,
    SimulatedCollection,
)
from tapeline_binance.adapter import BinanceAdapter
from tapeline_binance.config import BinanceConfig

COST_RATIO = 8.0
"""``parse`` may cost so many decodes of its frames."""

_TRADES = (
    (
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1672515782136,'
        '"s":"BTCUSDT","a":12345,"p":"0.001","q":"100","f":100,"l":105,'
        '"T":1672515782135,"m":true,"M":true}}'
    ),
    (
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1672515782236,'
        '"s":"BTCUSDT","a":12346,"p":"0.00105","q":"0.5","f":106,"l":106,'
        '"T":1672515782235,"m":false,"M":true}}'
    ),
    (
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1672515782237,'
        '"s":"BTCUSDT","a":12347,"p":"0.0011","q":"12","f":107,"l":108,'
        '"T":1672515782235,"m":false,"M":true}}'
    ),
)
_CHANGES = (
    (
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1672515782136,'
        '"s":"BTCUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}}'
    ),
    (
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1672515782236,'
        '"s":"BTCUSDT","U":161,"u":163,"b":[["0.0024","0"],["0.0023","7"]],"a":[]}}'
    ),
    (
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1672515782336,'
        '"s":"BTCUSDT","U":164,"u":164,"b":[],"a":[["0.0026","0"],["0.00255","4"]]}}'
    ),
    (
        '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1672515782436,'
        '"s":"BTCUSDT","U":165,"u":170,"b":[["0.0024","3"]],"a":[["0.0027","1"]]}}'
    ),
)
_WHOLE_BOOK = (
    b'{"lastUpdateId":158,"bids":[["0.0024","11"],["0.0022","5"]],'
    b'"asks":[["0.0026","101"],["0.0028","2"]]}'
)
_STATES = (
    (
        '{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":160,'
        '"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}'
    ),
    (
        '{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1672515782136,'
        '"s":"BTCUSDT","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"0.0025",'
        '"Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010",'
        '"h":"0.0026","l":"0.0011","v":"10000","q":"18","O":0,"C":86400000,"F":0,'
        '"L":18150,"n":18151}}'
    ),
    (
        '{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1672515782136,'
        '"s":"BTCUSDT","k":{"t":1672515780000,"T":1672515839999,"s":"BTCUSDT","i":"1m",'
        '"f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0009","v":"1000",'
        '"n":100,"x":true,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}}'
    ),
)


def exchange_under_test() -> ExchangeUnderTest:
    """Every kind of channel of spot, the simulator, and options with secrets."""
    trades = _stream("aggTrade")
    secret = Secret(SECRET_TEXT)
    return ExchangeUnderTest(
        BinanceAdapter(),
        (
            Recording("trades", [trades], _TRADES, _golden(trades)),
            Recording(
                "books",
                [_stream("depth@100ms")],
                _CHANGES,
                responses={"/api/v3/depth": _WHOLE_BOOK},
            ),
            Recording(
                "states and trades",
                [
                    _stream("depth20@100ms"),
                    _stream("ticker"),
                    _stream("kline_1m"),
                    trades,
                ],
                (*_STATES, *_TRADES),
            ),
        ),
        answers=_answers,
        simulated=SimulatedCollection(
            config=BinanceConfig(depth="depth@100ms"),
            trades="aggTrade",
            books="depth@100ms",
        ),
        cost_ratio=COST_RATIO,
        secrets=BinanceConfig(api_key=secret, api_secret=secret),
        plugin="binance",
    )


def _stream(name: str) -> Subscription:
    channel = BinanceAdapter.capabilities.channel(name)
    assert channel is not None
    return Subscription(
        BinanceAdapter.name,
        "spot",
        "BTC-USDT",
        channel.data_type,
        channel.name,
        channel.id_kind,
        channel.timeframe,
    )


def _golden(stream: Subscription) -> Sequence[Trade]:
    rows = (
        (12345, 6, "sell", "0.001", "100", 1672515782135),
        (12346, 1, "buy", "0.00105", "0.5", 1672515782235),
        (12347, 2, "buy", "0.0011", "12", 1672515782235),
    )
    return [
        Trade(
            stream,
            str(number),
            number,
            number,
            fills,
            side,
            Decimal(price),
            Decimal(size),
            ms * 1_000_000,
            0,
        )
        for number, fills, side, price, size, ms in rows
    ]


def _answers(send: Send, refused: Collection[Subscription]) -> Sequence[str]:
    """One answer for the whole request: error 2 as soon as one stream is refused."""
    number = json.loads(send.frame)["id"]
    if not refused:
        return [f'{{"result":null,"id":{number}}}']
    return [f'{{"error":{{"code":2,"msg":"Invalid request: stream"}},"id":{number}}}']
