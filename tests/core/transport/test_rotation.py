"""When a replaced socket may go."""

from __future__ import annotations

import random

from tapeline.model import Rejected, Subscription
from tapeline.transport.rotation import is_behind
from tapeline.transport.streams import StreamTable

SECOND_NS = 10**9
TRADES = Subscription("tiny", "spot", "BTC-USDT", "trade", "trades", "fill")
TICKERS = Subscription("tiny", "spot", "BTC-USDT", "ticker", "tickers")


def table(**spoke_ns: int) -> StreamTable:
    """Both streams, asked for; those that spoke, with the time of it."""
    made = StreamTable(random.Random(1))
    made.want((TRADES, TICKERS))
    made.mark_asked((TRADES, TICKERS))
    for name, at_ns in spoke_ns.items():
        stream = made.get(TRADES if name == "trades" else TICKERS)
        assert stream is not None
        stream.last_message_ns = at_ns
        assert made.data(stream)
    return made


def test_a_new_socket_is_behind_while_it_lacks_what_the_old_one_brings() -> None:
    old = table(trades=9 * SECOND_NS)

    assert is_behind(table(), old, opened_ns=0)
    assert is_behind(table(tickers=SECOND_NS), old, opened_ns=0)
    assert not is_behind(table(trades=8 * SECOND_NS), old, opened_ns=0)


def test_what_is_silent_on_both_sockets_is_not_waited_for() -> None:
    assert not is_behind(table(), table(), opened_ns=0)


def test_what_the_old_socket_brought_before_does_not_count() -> None:
    old = table(trades=9 * SECOND_NS)

    assert not is_behind(table(), old, opened_ns=8 * SECOND_NS)


def test_a_stream_that_was_refused_is_not_waited_for() -> None:
    new = table()
    new.refused(Rejected(TRADES, "60018", "no such channel", permanent=True), 0)

    assert not is_behind(new, table(trades=9 * SECOND_NS), opened_ns=0)
