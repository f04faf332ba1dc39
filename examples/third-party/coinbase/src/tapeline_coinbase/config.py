"""What an operator can set for Coinbase."""

from __future__ import annotations

from typing import Literal

import attrs

TradeIds = Literal["rising", "contiguous"]

# https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-overview
WS_URL = "wss://advanced-trade-ws.coinbase.com"
REST_URL = "https://api.coinbase.com"


def _no_trailing_slash(url: str) -> str:
    return url.rstrip("/")


@attrs.frozen(kw_only=True)
class CoinbaseConfig:
    """Options of the Coinbase adapter."""

    trade_ids: TradeIds = attrs.field(
        default="rising",
        validator=attrs.validators.in_(("rising", "contiguous")),
        metadata={
            "description": "what is made of trade ids: `rising` trusts the sequence of "
            "messages, `contiguous` takes each skipped id for missing until REST shows "
            "it or shows that there is none"
        },
    )
    streams_per_socket: int = attrs.field(
        default=30,
        validator=attrs.validators.ge(1),
        metadata={"description": "streams on one connection"},
    )
    ws_url: str = attrs.field(
        default=WS_URL,
        converter=_no_trailing_slash,
        metadata={"description": "address of the WebSocket, e.g. of a simulator"},
    )
    rest_url: str = attrs.field(
        default=REST_URL,
        converter=_no_trailing_slash,
        metadata={"description": "base of the REST addresses, e.g. of a simulator"},
    )
