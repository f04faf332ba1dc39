"""Signatures of Binance: HMAC-SHA256, for REST and for the WebSocket API.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from tapeline.errors import ContractError
from tapeline.model import Request, Secret
from tapeline_binance.config import BinanceConfig

RECV_WINDOW_MS = 5_000
UNSIGNED = ("historicalTrades",)
"""Endpoints that want a key but no signature."""


def _signature(secret: Secret, text: str) -> str:
    key = secret.reveal().encode()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key(config: BinanceConfig) -> tuple[Secret, Secret]:
    if not (config.api_key and config.api_secret):
        raise ContractError("expected an API key in the options, found none; set one")
    return config.api_key, config.api_secret


def signed_params(
    config: BinanceConfig, params: Mapping[str, object], venue_ns: int
) -> dict[str, object]:
    """*params* of a WebSocket API request with key, time and signature.

    All of them are signed in the order of their names.
    """
    key, secret = _key(config)
    whole: dict[str, object] = {
        **params,
        "apiKey": key.reveal(),
        "timestamp": venue_ns // 1_000_000,
    }
    text = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
    return {**whole, "signature": _signature(secret, text)}


def signed(config: BinanceConfig, request: Request, venue_ns: int) -> Request:
    """*request* with the key, and signed for *venue_ns* where the venue wants it.

    The query is signed as it is sent, percent-encoded.
    """
    key, secret = _key(config)
    headers = {**request.headers, "X-MBX-APIKEY": key.reveal()}
    parts = urlsplit(request.url)
    if parts.path.rpartition("/")[2] in UNSIGNED:
        return attrs.evolve(request, headers=headers)
    timed = f"timestamp={venue_ns // 1_000_000}&recvWindow={RECV_WINDOW_MS}"
    query = f"{parts.query}&{timed}" if parts.query else timed
    query += f"&signature={_signature(secret, query)}"
    url = parts._replace(query=query).geturl()
    return attrs.evolve(request, url=url, headers=headers)
