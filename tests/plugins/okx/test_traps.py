"""The traps that the venue is known for, one test each, in the reference's order."""

from __future__ import annotations

import json
from typing import Any

from tapeline.model import (
    Acked,
    BookDelta,
    BookSnapshot,
    LoggedIn,
    Malformed,
    Recovery,
    Rejected,
    Send,
    Trade,
)

RECEIVED_NS = 1_700_000_000_000_000_123


def book(previous: int, seq: int, **more: object) -> dict[str, Any]:
    asks = [["10", "1", "0", "1"]]
    row = {"asks": asks, "bids": [], "ts": "1", "checksum": 0}
    return {**row, "prevSeqId": previous, "seqId": seq, **more}


def test_trap_1_a_checksum_of_zero_is_never_given_for_verification(
    following: Any, push: Any
) -> None:
    connection = following("books", verify_checksum=True)
    snapshot = push("books", book(-1, 10), action="snapshot")
    update = push("books", book(10, 15), action="update")
    assert [e.checksum for e in connection.parse(snapshot)] == [None]
    assert [e.checksum for e in connection.parse(update)] == [None]


def test_trap_2_and_3_sequence_ids_pass_as_they_are_even_backward(
    following: Any, push: Any
) -> None:
    """The chain of the guide, with its jump, its heartbeat and its reset."""
    connection = following("books")
    chain = [(-1, 10), (10, 15), (15, 15), (15, 3), (3, 5)]
    events = []
    for previous, seq in chain:
        action = "snapshot" if previous == -1 else "update"
        empty: dict[str, Any] = {"asks": []} if previous == seq else {}
        frame = push("books", book(previous, seq, **empty), action=action)
        events += connection.parse(frame)
    assert isinstance(events[0], BookSnapshot)
    deltas = [event for event in events[1:] if isinstance(event, BookDelta)]
    assert [(delta.link_id, delta.last_id) for delta in deltas] == chain[1:]


def test_trap_4_empty_sides_are_normal(following: Any, push: Any) -> None:
    connection = following("books")
    for asks, bids in ([], []), ([["1", "2", "0", "1"]], []), ([], [["1", "0", "0"]]):
        row = book(1, 2, asks=asks, bids=bids)
        (delta,) = connection.parse(push("books", row, action="update"))
        assert isinstance(delta, BookDelta)
        assert (len(delta.asks), len(delta.bids)) == (len(asks), len(bids))


def test_trap_5_an_old_cached_trade_is_just_a_trade(
    following: Any, push: Any, trade_row: Any
) -> None:
    """Core drops it by its id; its own time says how old it is."""
    connection = following("trades")
    row = trade_row(ts="1626922893155")
    first = connection.parse(push("trades", row))
    again = connection.parse(push("trades", row))
    assert first == again
    assert first[0].exchange_ns == 1626922893155000000


def test_trap_6_trades_cover_ranges_and_trades_all_single_fills(
    following: Any, push: Any, trade_row: Any
) -> None:
    (merged,) = following("trades").parse(push("trades", trade_row()))
    row = trade_row(count=None)
    (single,) = following("trades-all").parse(push("trades-all", row))
    assert (merged.first_id, merged.last_id, merged.fills) == (130639472, 130639474, 3)
    assert (single.first_id, single.last_id, single.fills) == (130639474, 130639474, 1)
    assert merged.id_kind == single.id_kind == "fill"


def test_trap_7_sizes_of_derivatives_stay_contracts(
    following: Any, push: Any, trade_row: Any
) -> None:
    connection = following("trades", "BTC-USDT-SWAP")
    frame = push("trades", trade_row(sz="0.01"), inst_id="BTC-USDT-SWAP")
    (trade,) = connection.parse(frame)
    assert str(trade.size) == "0.01"
    assert (trade.market, trade.symbol) == ("swap", "BTC-USDT")


def test_trap_8_days_open_at_midnight_utc(adapter: Any) -> None:
    channel = adapter.channel(adapter.config(), "candle", "1d")
    assert channel.name == "candle1Dutc"


def test_trap_9_candles_and_trades_all_go_to_the_business_socket(
    adapter: Any, streams: Any, now: Any
) -> None:
    config = adapter.config(ws_url="ws://127.0.0.1:1/ws/v5/")
    for channel in "candle1m", "candle1H", "trades-all":
        route = adapter.route(config, None, streams(channel))
        dial = adapter.session(config, {}, route).connect(now(), None)
        assert dial.url == "ws://127.0.0.1:1/ws/v5/business"
    route = adapter.route(config, None, streams("trades"))
    dial = adapter.session(config, {}, route).connect(now(), None)
    assert dial.url == "ws://127.0.0.1:1/ws/v5/public"


def test_trap_9_a_channel_on_the_wrong_socket_is_refused_for_good(
    connect: Any, streams: Any
) -> None:
    for code in "64001", "64002", "60018", "60008":
        connection = connect()
        (send,) = connection.subscribe(streams("candle1m"))
        request = json.loads(send.frame)["id"]
        error = {"id": request, "event": "error", "code": code, "msg": "moved"}
        expected = Rejected(streams("candle1m"), code, "moved", permanent=True)
        assert connection.parse(error) == [expected]


def test_trap_10_pong_is_not_json_and_ping_is_answered(connect: Any) -> None:
    connection = connect()
    assert connection.parse("pong") == []
    assert connection.parse(b"pong") == []
    assert connection.parse("ping") == [Send("pong")]
    keepalive = connection.session.connect(None, None).keepalive
    assert (keepalive.text, keepalive.interval_s) == ("ping", 20.0)


def test_trap_11_an_acknowledged_stream_can_be_refused_afterward(
    connect: Any, streams: Any, keys: Any, now: Any
) -> None:
    connection = connect("private", **keys)
    account = streams("account", "")
    connection.session.opened(now())
    connection.subscribe(account)
    _, send = connection.parse({"event": "login", "code": "0", "msg": ""})
    assert connection.acknowledge(send) == [Acked(account)]
    count = {"channel": "account", "connCount": "20", "connId": "a4d3ae55"}
    assert connection.parse({"event": "channel-conn-count", **count}) == []
    (reply,) = connection.parse({"event": "channel-conn-count-error", **count})
    assert isinstance(reply, Rejected)
    assert (reply.subscription, reply.permanent) == (account, False)


def test_trap_12_private_streams_are_held_back_until_the_login(
    connect: Any, streams: Any, keys: Any, now: Any
) -> None:
    connection = connect("private", **keys)
    (login,) = connection.session.opened(now())
    assert login.purpose == "login"
    account = streams("account", "")
    assert connection.subscribe(account) == []
    reply, send = connection.parse({"event": "login", "code": "0", "msg": ""})
    assert reply == LoggedIn()
    assert json.loads(send.frame)["args"] == [{"channel": "account"}]
    assert send.subscriptions == (account,)


def test_trap_12_please_log_in_leads_to_a_login_and_then_the_same_request(
    connect: Any, streams: Any, keys: Any
) -> None:
    connection = connect("business", **keys)
    stream = streams("trades-all")
    (send,) = connection.subscribe(stream)
    request = json.loads(send.frame)["id"]
    error = {"id": request, "event": "error", "code": "60011", "msg": "Please log in"}
    assert connection.parse(error) == []
    (login,) = connection.tick(1)
    assert login.purpose == "login"
    reply, again = connection.parse({"event": "login", "code": "0", "msg": ""})
    assert reply == LoggedIn()
    assert json.loads(again.frame)["args"] == json.loads(send.frame)["args"]
    assert connection.acknowledge(again) == [Acked(stream)]


def test_trap_12_please_log_in_without_a_key_is_final(
    connect: Any, streams: Any
) -> None:
    connection = connect("business")
    connection.subscribe(streams("trades-all"))
    error = {"event": "error", "code": "60011", "msg": "Please log in"}
    expected = Rejected(streams("trades-all"), "60011", "Please log in")
    assert connection.parse(error) == [expected]


def test_trap_13_each_region_has_its_own_hosts(adapter: Any) -> None:
    found = {
        (region, demo): (
            adapter.config(region=region, demo=demo).ws_base,
            adapter.config(region=region, demo=demo).rest_base,
        )
        for region in ("global", "eea", "us")
        for demo in (False, True)
    }
    assert found == {
        ("global", False): (
            "wss://ws.okx.com:8443/ws/v5",
            "https://openapi.okx.com",
        ),
        ("global", True): (
            "wss://wspap.okx.com:8443/ws/v5",
            "https://openapi.okx.com",
        ),
        ("eea", False): ("wss://wseea.okx.com:8443/ws/v5", "https://eea.okx.com"),
        ("eea", True): ("wss://wseeapap.okx.com:8443/ws/v5", "https://eea.okx.com"),
        ("us", False): ("wss://wsus.okx.com:8443/ws/v5", "https://us.okx.com"),
        ("us", True): ("wss://wsuspap.okx.com:8443/ws/v5", "https://us.okx.com"),
    }


def test_trap_13_a_key_of_another_region_ends_the_session_for_good(
    connect: Any, keys: Any, now: Any
) -> None:
    connection = connect("private", **keys)
    connection.session.opened(now())
    error = {"event": "error", "code": "60032", "msg": "API key doesn't exist"}
    (reply,) = connection.parse(error)
    assert reply == Rejected(None, "60032", "API key doesn't exist")
    assert connection.session.closed(4001, "") is Recovery.FATAL
    assert not connection.session.health(now()).ok


def test_trap_14_many_arguments_share_a_frame(connect: Any, streams: Any) -> None:
    connection = connect()
    wanted = [streams("trades", f"COIN{n}-USDT") for n in range(250)]
    sends = connection.subscribe(*wanted)
    assert [len(json.loads(send.frame)["args"]) for send in sends] == [100, 100, 50]
    assert all(send.costs == {"frames": 1} for send in sends)
    assert [s for send in sends for s in send.subscriptions] == wanted
    budgets = {b.name: b for b in connection.adapter.budgets(connection.config)}
    frames = budgets["frames"]
    assert (frames.limit, frames.window_s, frames.scope) == (480, 3600, "connection")


def test_trap_14_frames_stay_below_64_kb(connect: Any, streams: Any) -> None:
    connection = connect()
    wanted = [streams("trades", f"{'C' * 2_000}{n}-USDT") for n in range(100)]
    sends = connection.subscribe(*wanted)
    assert max(len(send.frame) for send in sends) < 64 * 1024
    assert [s for send in sends for s in send.subscriptions] == wanted


def test_trap_15_the_depth_of_rest_books_is_always_said(
    adapter: Any, streams: Any
) -> None:
    fetch = adapter.probe(adapter.config(), streams("books"))
    assert "sz=1" in fetch.request.url


def test_trap_16_every_stream_can_be_probed_when_it_is_silent(
    adapter: Any, streams: Any
) -> None:
    for channel in adapter.capabilities.channels:
        name = adapter.capabilities.channels[channel][0].name
        fetch = adapter.probe(adapter.config(), streams(name, "BTC-USDT-SWAP"))
        if name == "account":
            assert fetch is None
        else:
            assert "instId=BTC-USDT-SWAP" in fetch.request.url


def test_trap_17_a_slow_reader_is_closed_and_comes_again(connect: Any) -> None:
    assert connect().session.closed(4005, "buffer is full") is Recovery.RETRY


def test_the_last_good_trade_of_a_frame_survives_a_bad_one(
    following: Any, push: Any, trade_row: Any
) -> None:
    frame = push("trades", trade_row(px="NaN"), trade_row(tradeId="130639475"))
    bad, good = following("trades").parse(frame)
    assert isinstance(bad, Malformed)
    assert (bad.reason, bad.first_id, bad.last_id) == ("price", 130639472, 130639474)
    assert isinstance(good, Trade)
