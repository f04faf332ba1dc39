"""What HTTP statuses of Coinbase mean.

https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/rest-api
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tapeline.model import OutcomeKind

LIMITED_WAIT_S = 1.0
BLOCKED_WAIT_S = 300.0

STATUSES: Mapping[int, OutcomeKind] = MappingProxyType(
    {
        200: OutcomeKind.OK,
        401: OutcomeKind.AUTH,
        # A page of the network in front, for blocked addresses and regions.
        403: OutcomeKind.BANNED,
        408: OutcomeKind.RETRY,
        418: OutcomeKind.LIMITED,
        429: OutcomeKind.LIMITED,
    }
)
