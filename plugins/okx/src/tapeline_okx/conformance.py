"""What ``tapeline certify okx`` tests: frames as OKX sends them, and its answers."""

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
from tapeline_okx.adapter import OkxAdapter
from tapeline_okx.channels import CHANNELS, arg_of
from tapeline_okx.config import OkxConfig

COST_RATIO = 8.0
"""``parse`` may cost so many decodes of its frames."""

_TRADES = (
    (
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT",'
        '"tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy",'
        '"ts":"1630048897897","count":"3","source":"0","seqId":1234}]}'
    ),
    (
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT",'
        '"tradeId":"130639475","px":"42219.8","sz":"0.00001","side":"sell",'
        '"ts":"1630048898012","count":"1","source":"0","seqId":1240}]}'
    ),
    (
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT",'
        '"tradeId":"130639477","px":"42220","sz":"1.5","side":"buy",'
        '"ts":"1630048898012","count":"2","source":"0","seqId":1251}]}'
    ),
)
_BOOKS = (
    (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{'
        '"asks":[["8476.98","415","0","13"],["8477","7","0","2"],["8478","1","0","1"]],'
        '"bids":[["8476.97","256","0","12"],["8475.55","101","0","1"]],'
        '"ts":"1597026383085","checksum":0,"prevSeqId":-1,"seqId":123456}]}'
    ),
    (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{'
        '"asks":[["8477","0","0","0"]],"bids":[["8476.97","260","0","13"]],'
        '"ts":"1597026383185","checksum":0,"prevSeqId":123456,"seqId":123460}]}'
    ),
    (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{'
        '"asks":[["8476.99","12","0","2"]],"bids":[],'
        '"ts":"1597026383285","checksum":0,"prevSeqId":123460,"seqId":123471}]}'
    ),
    (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{'
        '"asks":[],"bids":[["8475.55","0","0","0"],["8476.5","3","0","1"]],'
        '"ts":"1597026383385","checksum":0,"prevSeqId":123471,"seqId":123472}]}'
    ),
    (
        '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{'
        '"asks":[["8476.98","0","0","0"]],"bids":[["8476.97","1.25","0","1"]],'
        '"ts":"1597026383485","checksum":0,"prevSeqId":123472,"seqId":123490}]}'
    ),
)
_STATES = (
    (
        '{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{'
        '"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],'
        '"instId":"BTC-USDT","ts":"1670324386802","seqId":363996337}]}'
    ),
    (
        '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT",'
        '"instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","askPx":"9999.99",'
        '"askSz":"11","bidPx":"8888.88","bidSz":"5","open24h":"9000",'
        '"high24h":"10000","low24h":"8888.88","volCcy24h":"2222","vol24h":"2222",'
        '"sodUtc0":"2222","sodUtc8":"2222","ts":"1597026383085"}]}'
    ),
)
_CANDLES = (
    (
        '{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1597026360000",'
        '"8533.02","8553.74","8527.17","8548.26","45247","529.5858061",'
        '"5529.5858061","1"]]}'
    ),
)


def exchange_under_test() -> ExchangeUnderTest:
    """Every kind of public channel, the simulator, and options with secrets."""
    trades = _stream("trades")
    secret = Secret(SECRET_TEXT)
    return ExchangeUnderTest(
        OkxAdapter(),
        (
            Recording("trades", [trades], _TRADES, _golden(trades)),
            Recording("books", [_stream("books")], _BOOKS),
            Recording(
                "states and trades",
                [_stream("books5"), _stream("tickers"), trades],
                (*_STATES, *_TRADES),
            ),
            Recording("candles", [_stream("candle1m")], _CANDLES),
        ),
        answers=_answers,
        simulated=SimulatedCollection(
            config=OkxConfig(depth="books"), trades="trades", books="books"
        ),
        cost_ratio=COST_RATIO,
        secrets=OkxConfig(api_key=secret, api_secret=secret, passphrase=secret),
        plugin="okx",
    )


def _stream(name: str) -> Subscription:
    channel = CHANNELS[name].channel
    return Subscription(
        OkxAdapter.name,
        "spot",
        "BTC-USDT",
        channel.data_type,
        channel.name,
        channel.id_kind,
        channel.timeframe,
    )


def _golden(stream: Subscription) -> Sequence[Trade]:
    rows = (
        (130639472, 130639474, 3, "buy", "42219.9", "0.12060306", 1630048897897),
        (130639475, 130639475, 1, "sell", "42219.8", "0.00001", 1630048898012),
        (130639476, 130639477, 2, "buy", "42220", "1.5", 1630048898012),
    )
    return [
        Trade(
            stream,
            str(last),
            first,
            last,
            fills,
            side,
            Decimal(price),
            Decimal(size),
            ms * 1_000_000,
            0,
        )
        for first, last, fills, side, price, size, ms in rows
    ]


def _answers(send: Send, refused: Collection[Subscription]) -> Sequence[str]:
    """An acknowledgment for each argument, or error 60018 that names it."""
    request = json.loads(send.frame)
    frames = []
    for subscription in send.subscriptions:
        arg = arg_of(subscription, {})
        frame = {"id": request["id"], "event": request["op"], "arg": arg}
        if subscription in refused:
            named = ",".join(f"{name}:{value}" for name, value in arg.items())
            frame = {
                "id": request["id"],
                "event": "error",
                "code": "60018",
                "msg": f"Wrong URL or {named} doesn't exist. Please use the correct "
                "URL, channel and parameters referring to API document.",
            }
        frames.append(json.dumps(frame, separators=(",", ":")))
    return frames
