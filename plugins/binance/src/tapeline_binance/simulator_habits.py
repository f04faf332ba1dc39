"""How a simulated Binance behaves where the venue's own behavior may differ."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Habits:
    """Times, limits and choices of one simulator; the defaults are the venue's.

    Args:
        ping_s, pong_s: server pings on spot and the WebSocket API, and how long a
            pong may take.
        futures_ping_s, futures_pong_s: the same on futures.
        lifetime_s: after which a connection is cut.
        cut_code: of the close frame then; None cuts without one.
        max_streams: on one connection.
        unknown_streams: ``silent`` acks them, ``error`` answers code 2.
        oversize: a frame above 4096 bytes gets no answer (``silent``) or code 3.
        flat_errors: errors on streams as the documents print them, not nested.
        ack_delay_s: how long after its effect a request is acknowledged.
        depth_lag_s: how old a book over REST is; it may then end before the first
            update that a new subscriber saw.
        rest_lag_s: how old trades and bars over REST are.
        history_needs_key: whether ``historicalTrades`` asks for an API key.
        one_sided: share of book updates that come as two, one for each side.
        stray: share of book updates that delete a level nobody knows.
        lose_closes: share of bars whose closing frame is never sent.
        spot_weight, futures_weight: of REST requests in a minute.
        patience: requests after a 429 and before its end until the address is
            banned.
        ban_s: of the first ban; each later one is twice as long.
        account_s: time between two changes of the account.
    """

    ping_s: float = 20.0
    pong_s: float = 60.0
    futures_ping_s: float = 180.0
    futures_pong_s: float = 600.0
    lifetime_s: float = 86_400.0
    cut_code: int | None = None
    max_streams: int = 1_024
    unknown_streams: str = "silent"
    oversize: str = "silent"
    flat_errors: bool = False
    ack_delay_s: float = 0.0
    depth_lag_s: float = 0.0
    rest_lag_s: float = 0.0
    history_needs_key: bool = True
    one_sided: float = 0.3
    stray: float = 0.02
    lose_closes: float = 0.0
    spot_weight: int = 6_000
    futures_weight: int = 2_400
    patience: int = 10
    ban_s: float = 120.0
    account_s: float = 5.0
