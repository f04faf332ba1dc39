"""Signatures of OKX, for the login on sockets and for private REST requests.

https://my.okx.com/docs-v5/en/#overview-rest-authentication
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import attrs
import msgspec

from tapeline.errors import ContractError
from tapeline.model import Request, Secret
from tapeline_okx.config import OkxConfig

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 10**9


def _signature(secret: Secret, text: str) -> str:
    digest = hmac.new(secret.reveal().encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _key(config: OkxConfig) -> tuple[Secret, Secret, Secret]:
    if not (config.api_key and config.api_secret and config.passphrase):
        raise ContractError("expected an API key in the options, found none; set one")
    return config.api_key, config.api_secret, config.passphrase


def login_frame(config: OkxConfig, venue_ns: int) -> str:
    """The frame that logs in at *venue_ns*; valid for 30 seconds."""
    key, secret, passphrase = _key(config)
    timestamp = str(venue_ns // _SECOND)
    argument = {
        "apiKey": key.reveal(),
        "passphrase": passphrase.reveal(),
        "timestamp": timestamp,
        "sign": _signature(secret, f"{timestamp}GET/users/self/verify"),
    }
    return msgspec.json.encode({"op": "login", "args": [argument]}).decode()


def signed(config: OkxConfig, request: Request, venue_ns: int) -> Request:
    """*request* with OKX's four headers, signed for *venue_ns*."""
    key, secret, passphrase = _key(config)
    moment = _EPOCH + timedelta(milliseconds=venue_ns // 1_000_000)
    timestamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}Z"
    parts = urlsplit(request.url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    text = f"{timestamp}{request.method}{target}{request.body.decode()}"
    return attrs.evolve(
        request,
        headers={
            **request.headers,
            "OK-ACCESS-KEY": key.reveal(),
            "OK-ACCESS-SIGN": _signature(secret, text),
            "OK-ACCESS-TIMESTAMP": timestamp,
            "OK-ACCESS-PASSPHRASE": passphrase.reveal(),
        },
    )
