"""Binance's codes by table; their texts change and decide nothing.

https://developers.binance.com/docs/binance-spot-api-docs/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from tapeline.model import OutcomeKind, Recovery


@attrs.frozen
class WsError:
    """One error code of a stream socket.

    Args:
        permanent: asking again will not help.
        blames_one: one stream of the request may be to blame, not all of them.
    """

    permanent: bool = True
    blames_one: bool = False


UNKNOWN_WS_ERROR = WsError(permanent=False)

WS_ERRORS: Mapping[int, WsError] = MappingProxyType(
    {
        0: WsError(),  # unknown property
        1: WsError(),  # value of a property
        2: WsError(blames_one=True),  # invalid request, or stream
        3: WsError(permanent=False, blames_one=True),  # invalid JSON, or cut off
        4: WsError(permanent=False),  # too many subscriptions
    }
)

CLOSE_CODES: Mapping[int, Recovery] = MappingProxyType(
    {
        1008: Recovery.BACK_OFF,  # too many requests
        1009: Recovery.BACK_OFF,  # our request was too long
        1013: Recovery.BACK_OFF,  # try again later
    }
)

BLOCKED_WAIT_S = 300.0
LIMITED_WAIT_S = 10.0
BANNED_WAIT_S = 120.0

REST_CODES: Mapping[int, OutcomeKind] = MappingProxyType(
    {
        -1000: OutcomeKind.RETRY,  # unknown error
        -1001: OutcomeKind.RETRY,  # disconnected
        -1002: OutcomeKind.AUTH,  # not authorized
        -1003: OutcomeKind.LIMITED,  # too many requests
        -1006: OutcomeKind.RETRY,  # unexpected response
        -1007: OutcomeKind.RETRY,  # timeout: state unknown, reads may be repeated
        -1008: OutcomeKind.RETRY,  # overloaded
        -1015: OutcomeKind.LIMITED,  # too many orders
        -1016: OutcomeKind.FATAL,  # shutting down for good
        -1021: OutcomeKind.RETRY,  # timestamp: signed again when resent
        -1022: OutcomeKind.AUTH,  # signature
        -1034: OutcomeKind.LIMITED,  # too many connections
        -1099: OutcomeKind.AUTH,  # not authenticated
        -1120: OutcomeKind.FATAL,  # interval
        -1121: OutcomeKind.FATAL,  # symbol
        -1125: OutcomeKind.AUTH,  # listen key
        -1127: OutcomeKind.FATAL,  # range too long
        -1194: OutcomeKind.FATAL,  # time unit
        -1220: OutcomeKind.FATAL,  # symbol status
        -2008: OutcomeKind.AUTH,  # API key id
        -2014: OutcomeKind.AUTH,  # API key format
        -2015: OutcomeKind.AUTH,  # API key, address or permission
    }
)
"""Others from -1100 to -1199 are about parameters, and final."""

PERMANENT_LOGIN_CODES = frozenset({-1022, -1099, -2008, -2014, -2015, -1002})
"""Refusals of a user data subscription that will not change by themselves."""
