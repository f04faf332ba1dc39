"""OKX's codes by table; their texts change and decide nothing.

https://my.okx.com/docs-v5/en/#error-code
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from tapeline.model import OutcomeKind, Recovery


class Scope(enum.Enum):
    """What a WebSocket error is about."""

    ARGUMENT = "argument"
    REQUEST = "request"
    LOGIN = "login"
    NOT_LOGGED_IN = "not logged in"


@attrs.frozen
class WsError:
    """One WebSocket error code.

    Args:
        permanent: asking again will not help.
    """

    scope: Scope
    permanent: bool = True


UNKNOWN_WS_ERROR = WsError(Scope.ARGUMENT, permanent=False)

WS_ERRORS: Mapping[str, WsError] = MappingProxyType(
    {
        "60004": WsError(Scope.LOGIN, permanent=False),  # timestamp cannot be read
        "60005": WsError(Scope.LOGIN),  # apiKey
        "60006": WsError(Scope.LOGIN, permanent=False),  # timestamp expired
        "60007": WsError(Scope.LOGIN),  # sign
        "60008": WsError(Scope.ARGUMENT),  # channel not on this URL
        "60009": WsError(Scope.LOGIN, permanent=False),  # login failed
        "60011": WsError(Scope.NOT_LOGGED_IN),
        "60012": WsError(Scope.REQUEST),  # request cannot be read
        "60013": WsError(Scope.REQUEST),  # args
        "60014": WsError(Scope.REQUEST, permanent=False),  # too frequent
        "60018": WsError(Scope.ARGUMENT),  # wrong URL, or no such channel, instrument
        "60019": WsError(Scope.REQUEST),  # op
        "60023": WsError(Scope.LOGIN, permanent=False),  # logins too frequent
        "60024": WsError(Scope.LOGIN),  # passphrase
        "60027": WsError(Scope.REQUEST),  # empty parameter
        "60028": WsError(Scope.REQUEST),  # operation not on this URL
        "60029": WsError(Scope.ARGUMENT),  # VIP tier, books-l2-tbt
        "60030": WsError(Scope.ARGUMENT),  # VIP tier, books50-l2-tbt
        "60031": WsError(Scope.LOGIN),  # logged in already
        "60032": WsError(Scope.LOGIN),  # key not known in this region, environment
        "63999": WsError(Scope.REQUEST, permanent=False),  # internal
        "64000": WsError(Scope.ARGUMENT),  # uly is gone
        "64001": WsError(Scope.ARGUMENT),  # channel moved to /business
        "64002": WsError(Scope.ARGUMENT),  # channel not on /business
        "64003": WsError(Scope.ARGUMENT),  # fee tier
        "64004": WsError(Scope.ARGUMENT),  # books-l2-tbt excludes other books
        "64007": WsError(Scope.REQUEST, permanent=False),  # internal
    }
)

LOGGED_IN_ALREADY = "60031"
SERVICE_UPGRADE = "64008"
UPGRADE_NOTICE_S = 60.0

CLOSE_CODES: Mapping[int, Recovery] = MappingProxyType(
    {
        1009: Recovery.BACK_OFF,  # our request was too long
        4001: Recovery.BACK_OFF,  # login failed
        4002: Recovery.BACK_OFF,  # invalid request
        4003: Recovery.BACK_OFF,  # over 100 subscriptions by one key
        4004: Recovery.RETRY,  # silence of 30 s
        4005: Recovery.RETRY,  # we read too slowly
        4006: Recovery.RETRY,  # abnormal disconnection
        4007: Recovery.BACK_OFF,  # API key changed
        4008: Recovery.BACK_OFF,  # too many channels
        4009: Recovery.BACK_OFF,  # too many channels on this connection
    }
)

# channel and instrument named in a text; a hint only, as the wording changes
_HINT = re.compile(r"channel:\s*([^,\s]+)\s*,\s*instId:\s*(\S+)")


def hinted_key(text: str) -> tuple[str, str] | None:
    """``(channel, instId)`` that an error text seems to name."""
    match = _HINT.search(text[:2_000])
    if match is None:
        return None
    channel, inst_id = match[1], match[2].rstrip(".,;")
    return channel, inst_id.removeprefix(f"{channel}.")


LIMITED_WAIT_S = 2.0
BLOCKED_WAIT_S = 300.0

REST_CODES: Mapping[str, OutcomeKind] = MappingProxyType(
    {
        "0": OutcomeKind.OK,
        "50001": OutcomeKind.RETRY,  # unavailable
        "50004": OutcomeKind.RETRY,  # timeout
        "50011": OutcomeKind.LIMITED,  # requests too frequent
        "50013": OutcomeKind.RETRY,  # busy
        "50014": OutcomeKind.FATAL,  # parameter empty
        "50026": OutcomeKind.RETRY,  # system error
        "50039": OutcomeKind.FATAL,  # `before` with timestamps
        "50051": OutcomeKind.FATAL,  # compliance region
        "50052": OutcomeKind.FATAL,  # compliance region
        "50061": OutcomeKind.LIMITED,  # sub-account over its limit
        "50100": OutcomeKind.AUTH,
        "50101": OutcomeKind.AUTH,  # key of the other environment
        "50102": OutcomeKind.RETRY,  # timestamp expired: signed again when resent
        "50103": OutcomeKind.AUTH,
        "50104": OutcomeKind.AUTH,
        "50105": OutcomeKind.AUTH,
        "50110": OutcomeKind.AUTH,  # address not allowed
        "50111": OutcomeKind.AUTH,
        "50112": OutcomeKind.RETRY,  # timestamp cannot be read
        "50113": OutcomeKind.AUTH,
        "50114": OutcomeKind.AUTH,
        "50119": OutcomeKind.AUTH,  # key not known in this region
        "50121": OutcomeKind.AUTH,  # address not allowed
        "51000": OutcomeKind.FATAL,  # parameter
        "51001": OutcomeKind.FATAL,  # instrument does not exist
    }
)
