"""Which channel lives on which socket, and what the wrong one is told.

https://www.okx.com/docs-v5/en/#overview-websocket-overview
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tapeline_okx.simulator_wire import BARS, OkxInstrument

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "/ws/v5/public": "public",
        "/ws/v5/business": "business",
        "/ws/v5/private": "private",
    }
)
CANDLES = frozenset(f"candle{bar}" for bar in BARS)
PUBLIC_CHANNELS = frozenset(
    {"trades", "tickers", "books", "books5", "bbo-tbt", "instruments"}
)
BUSINESS_CHANNELS = CANDLES | {"trades-all"}

Refusal = tuple[str, str]
"""Code and message of an error event."""


def refusal_of(
    arg: Mapping[str, object],
    socket: str,
    logged_in: bool,
    instruments: Mapping[str, OkxInstrument],
    routing_codes: bool,
) -> Refusal | None:
    """Why *arg* cannot be subscribed on *socket*; None when it can."""
    channel = str(arg.get("channel", ""))
    inst_id = str(arg.get("instId", ""))
    shown = f"channel:{channel},instId:{inst_id}"
    text = (
        f"Wrong URL or {shown} doesn't exist. Please use the correct URL, channel and "
        "parameters referring to API document."
    )
    unknown = ("60018", text)
    if channel == "account":
        if socket != "private":
            return unknown
        return None if logged_in else ("60011", "Please log in")
    if channel in PUBLIC_CHANNELS:
        if socket == "business" and routing_codes:
            return ("64002", f'Channel not supported by the "/business" URL. {shown}')
        if socket != "public":
            return unknown
    elif channel in BUSINESS_CHANNELS:
        if socket == "public" and routing_codes:
            return ("64001", f'Channel has moved to the "/business" URL. {shown}')
        if socket != "business":
            return unknown
    else:
        return unknown
    if "uly" in arg:
        return "64000", "The uly parameter is not supported, use instFamily"
    if channel == "instruments":
        known = {found.inst_type for found in instruments.values()}
        return None if str(arg.get("instType", "")) in known else unknown
    instrument = instruments.get(inst_id)
    return None if instrument is not None and instrument.listed else unknown
