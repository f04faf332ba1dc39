"""The life of a connection: limits, pings, the daily cut, faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Opcode

from tapeline.hookspecs import SimClose, SimFrame, SimPing, SimRefusal
from tapeline.model import Dial
from tapeline.testing import (
    START_NS,
    Fault,
    LoopbackServer,
    Market,
    MemoryVenue,
    VirtualClock,
    run_virtual,
)
from tapeline_binance.simulator import BinanceSimulator
from tapeline_binance.simulator_habits import Habits

SECOND = 10**9
NOW = START_NS + 60 * SECOND
LIST = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
TRADES = "/ws/btcusdt@aggTrade"


def build(
    *faults: Fault,
    paths: tuple[str, ...] = ("/ws",),
    rate_hz: float = 20,
    **habits: Any,
) -> BinanceSimulator:
    """A simulator with open connections, numbered from 1."""
    market = Market(1, rate_hz=rate_hz)
    venue = BinanceSimulator(market, faults=faults, habits=Habits(**habits))
    venue.advance(NOW)
    for conn, path in enumerate(paths, 1):
        assert venue.open(conn, path, {}, NOW) is None
    return venue


def closes(venue: BinanceSimulator) -> list[SimClose]:
    """Which connections ended since the last look."""
    return [found for found in venue.outputs() if isinstance(found, SimClose)]


def frames(venue: BinanceSimulator) -> list[Any]:
    """Which frames were sent since the last look."""
    return [
        json.loads(found.frame)
        for found in venue.outputs()
        if isinstance(found, SimFrame)
    ]


@pytest.mark.parametrize(
    ("path", "limit", "name"),
    [("/ws", 5, "frames"), ("/public/ws", 10, "futures-frames")],
)
def test_one_frame_too_many_in_any_second_closes_with_1008(
    path: str, limit: int, name: str
) -> None:
    venue = build(paths=(path, path))
    moments = [NOW + n * (SECOND // limit - 1) for n in range(limit + 1)]
    for moment in moments[:-1]:
        venue.receive(1, LIST, moment)
        assert closes(venue) == []

    venue.receive(1, LIST, moments[-1])

    assert closes(venue) == [SimClose(1, 1008, "Too many requests")]
    assert venue.police.violations == {name: 1}
    assert 2 in venue.connections


def test_a_steady_pace_within_the_limit_is_never_closed() -> None:
    venue = build()
    for n in range(50):
        venue.receive(1, LIST, NOW + n * SECOND // 5)

    assert len(frames(venue)) == 50
    assert venue.police.total == 0


def test_pings_and_pongs_count_as_frames() -> None:
    venue = build()
    for _ in range(2):
        venue.receive(1, LIST, NOW)
        venue.pong(1, "unasked", NOW)
    venue.pinged(1, NOW)
    assert closes(venue) == []

    venue.pinged(1, NOW)

    assert closes(venue) == [SimClose(1, 1008, "Too many requests")]


@pytest.mark.parametrize("oversize", ["silent", "error"])
def test_a_frame_above_4096_bytes_has_no_effect(oversize: str) -> None:
    venue = build(oversize=oversize)
    names = [f"{n:04}xxxxxxxusdt@aggTrade" for n in range(300)]
    empty = len(json.dumps({"method": "SUBSCRIBE", "params": [], "id": 1}))
    fits = 0
    while empty + len(json.dumps(names[: fits + 1])) - 2 <= 4_096:
        fits += 1

    def subscribe(count: int) -> list[Any]:
        request = {"method": "SUBSCRIBE", "params": names[:count], "id": 1}
        venue.receive(1, json.dumps(request), NOW)
        return frames(venue)

    assert subscribe(fits) == [{"result": None, "id": 1}]
    answers = subscribe(fits + 1)
    assert [answer["error"]["code"] for answer in answers] == (
        [3] if oversize == "error" else []
    )
    assert venue.police.violations == {"frame-size": 1}
    venue.receive(1, LIST, NOW)
    assert len(frames(venue)[0]["result"]) == fits


def test_more_than_1024_streams_are_refused_with_code_4() -> None:
    venue = build()
    now_ns = NOW
    for first in range(0, 1_024, 128):
        names = [f"s{n}@trade" for n in range(first, first + 128)]
        request = {"method": "SUBSCRIBE", "params": names, "id": 1}
        now_ns += SECOND
        venue.receive(1, json.dumps(request), now_ns)
    assert frames(venue) == [{"result": None, "id": 1}] * 8

    now_ns += SECOND
    request = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 19}
    venue.receive(1, json.dumps(request), now_ns)

    error = {"code": 4, "msg": "Too many subscriptions"}
    assert frames(venue) == [{"error": error, "id": 19}]
    assert venue.police.violations == {"streams": 1}


def test_the_301st_connection_in_five_minutes_is_refused() -> None:
    venue = build(paths=("/ws",) * 300)
    refusal = venue.open(301, "/ws", {}, NOW)

    assert isinstance(refusal, SimRefusal)
    assert refusal.status == 429
    assert venue.police.violations == {"connects": 1}
    assert venue.open(302, "/ws", {}, NOW + 301 * SECOND) is None


@pytest.mark.parametrize(
    ("path", "every_s"), [("/ws", 20), ("/ws-api/v3", 20), ("/market/ws", 180)]
)
def test_pings_come_on_time_with_a_payload_of_their_own(
    path: str, every_s: int
) -> None:
    venue = build(paths=(path,), rate_hz=0)
    payloads = []
    for n in range(1, 4):
        now_ns = NOW + n * every_s * SECOND
        venue.advance(now_ns - 1)
        assert venue.outputs() == []
        venue.advance(now_ns)
        (ping,) = venue.outputs()
        assert isinstance(ping, SimPing)
        payloads.append(ping.payload)
        venue.pong(1, ping.payload, now_ns)

    assert len(set(payloads)) == 3


def test_a_missing_pong_closes_after_the_deadline() -> None:
    venue = build(paths=("/ws", "/ws", "/public/ws"), rate_hz=0)
    venue.advance(NOW + 20 * SECOND)
    for ping in venue.outputs():
        assert isinstance(ping, SimPing)
        # Unsolicited pongs keep nothing alive.
        venue.pong(ping.conn, "" if ping.conn == 1 else ping.payload, NOW + 21 * SECOND)

    venue.advance(NOW + 80 * SECOND - 1)
    assert closes(venue) == []
    venue.advance(NOW + 80 * SECOND)

    assert closes(venue) == [SimClose(1, 1008, "Pong timeout")]


def test_a_pong_answers_the_pings_before_it() -> None:
    venue = build(rate_hz=0)
    venue.advance(NOW + 60 * SECOND)
    payloads = [ping.payload for ping in venue.outputs() if isinstance(ping, SimPing)]
    venue.pong(1, payloads[-1], NOW + 61 * SECOND)
    venue.advance(NOW + 100 * SECOND)

    assert len(payloads) == 3
    assert closes(venue) == []


@pytest.mark.parametrize("code", [None, 1001])
def test_a_connection_is_cut_after_a_day(code: int | None) -> None:
    venue = build(rate_hz=0, lifetime_s=100, cut_code=code, ping_s=1_000)
    venue.advance(NOW + 100 * SECOND - 1)
    assert closes(venue) == []
    venue.advance(NOW + 100 * SECOND)

    assert closes(venue) == [SimClose(1, code, "")]
    assert Habits().lifetime_s == 24 * 3_600


def test_memory_answers_pings_unless_it_is_half_open() -> None:
    async def main() -> tuple[int, int, bool]:
        clock = VirtualClock()
        fault = Fault(kind="half-open", at_s=600)
        simulator = BinanceSimulator(Market(1, rate_hz=0), faults=[fault])
        async with MemoryVenue(simulator, clock) as venue:
            socket = await venue.dial(Dial("wss://stream.test/ws"))
            await clock.sleep(590)
            alive = len(simulator.connections)
            await socket.ping()
            await clock.sleep(600)
            return alive, simulator.police.seen["frames"], bool(simulator.half_open())

    # A pong every 20 s until it goes dead, and one ping of the client.
    assert run_virtual(main) == (1, 30, True)


async def _wait_closed(url: str, answer: bool) -> int | None:
    """Open a raw connection that answers pings, or does not; its close code."""
    async with connect(url, ping_interval=None, open_timeout=10) as socket:
        if not answer:
            protocol = socket.protocol
            receive = protocol.recv_frame

            def deaf(frame: Any) -> None:
                if frame.opcode is not Opcode.PING:
                    receive(frame)

            protocol.recv_frame = deaf  # type: ignore[method-assign]
        with anyio.move_on_after(1.0):
            try:
                await socket.recv()
            except ConnectionClosed as error:
                return error.rcvd.code if error.rcvd else None
    return None


@pytest.mark.anyio
async def test_a_real_socket_is_pinged_and_closed_when_it_does_not_answer() -> None:
    habits = Habits(ping_s=0.05, pong_s=0.3)
    simulator = BinanceSimulator(Market(1, rate_hz=0), habits=habits)
    async with LoopbackServer(simulator) as server:
        url = f"{server.ws_base}/ws"
        assert await _wait_closed(url, answer=False) == 1008


@pytest.mark.anyio
async def test_a_real_socket_that_answers_stays_and_its_pongs_are_counted() -> None:
    habits = Habits(ping_s=0.4, pong_s=0.5)
    simulator = BinanceSimulator(Market(1, rate_hz=0), habits=habits)
    async with LoopbackServer(simulator) as server:
        url = f"{server.ws_base}/ws"
        assert await _wait_closed(url, answer=True) is None
        async with connect(url, ping_interval=None) as socket:
            await (await socket.ping(b"mine"))
    assert simulator.police.seen["frames"] >= 3
    assert simulator.police.total == 0


NOTICES: Mapping[str, Any] = {
    "/ws": {"e": "serverShutdown"},
    "/stream": {"stream": "!serverShutdown", "data": {"e": "serverShutdown"}},
    "/public/ws": {"e": "serverShutdown"},
    "/ws-api/v3": {"event": {"e": "serverShutdown"}},
}


@pytest.mark.parametrize("path", NOTICES)
def test_a_notice_is_followed_by_the_end(path: str) -> None:
    fault = Fault(kind="notice", at_s=2, deadline_s=10, reason="bye")
    venue = build(fault, paths=(path,), rate_hz=0)
    venue.advance(NOW + 11 * SECOND)
    (notice,) = frames(venue)
    inner = notice.get("data", notice.get("event", notice))

    assert inner.pop("E") == (NOW + 2 * SECOND) // 1_000_000
    assert notice == NOTICES[path]
    venue.advance(NOW + 12 * SECOND)
    assert closes(venue) == [SimClose(1, 1001, "bye")]


@pytest.mark.parametrize(("status", "body"), [(403, ""), (429, ""), (451, "no")])
def test_a_handshake_can_be_refused(status: int, body: str) -> None:
    venue = build(Fault(kind="refuse", status=status, body=body), paths=())
    refusal = venue.open(1, "/ws", {}, NOW)

    assert isinstance(refusal, SimRefusal)
    assert (refusal.status, refusal.body) == (status, body)


def test_ack_and_mute_acks_and_sends_nothing() -> None:
    fault = Fault(kind="ack-and-mute", channel="aggTrade", symbol="BTCUSDT")
    venue = build(fault)
    names = ["btcusdt@aggTrade", "ethusdt@aggTrade"]
    request = {"method": "SUBSCRIBE", "params": names, "id": 1}
    venue.receive(1, json.dumps(request), NOW)
    venue.advance(NOW + 5 * SECOND)
    ack, *events = frames(venue)

    assert ack == {"result": None, "id": 1}
    assert {event["s"] for event in events} == {"ETHUSDT"}


def test_no_ack_swallows_the_whole_request() -> None:
    venue = build(Fault(kind="no-ack", symbol="BTCUSDT", for_s=10))
    names = ["btcusdt@aggTrade", "ethusdt@aggTrade"]
    request = json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1})
    venue.receive(1, request, NOW + SECOND)
    venue.advance(NOW + 9 * SECOND)
    assert frames(venue) == []

    venue.receive(1, request, NOW + 11 * SECOND)
    assert frames(venue) == [{"result": None, "id": 1}]


def test_closes_aborts_and_malformed_frames_come_as_scripted() -> None:
    venue = build(
        Fault(kind="malformed", at_s=1),
        Fault(kind="close", at_s=2, code=1012, reason="restart", target="one"),
        Fault(kind="abort", at_s=3),
        paths=("/ws", "/public/ws"),
        rate_hz=0,
    )
    venue.advance(NOW + 5 * SECOND)
    outputs = list(venue.outputs())

    assert [type(found).__name__ for found in outputs] == [
        "SimFrame",
        "SimFrame",
        "SimClose",
        "SimClose",
    ]
    assert outputs[2] == SimClose(outputs[2].conn, 1012, "restart")
    assert outputs[3] == SimClose(3 - outputs[2].conn, None, "")
    assert not venue.connections


def test_halted_and_delisted_instruments_go_silent() -> None:
    venue = build(
        Fault(kind="halt", at_s=5, symbol="BTC-USDT", market="spot"),
        Fault(kind="delist", at_s=5, symbol="ETH-USDT"),
        paths=("/ws/btcusdt@aggTrade/ethusdt@aggTrade/solusdt@aggTrade",),
    )
    venue.advance(NOW + 5 * SECOND)
    assert {event["s"] for event in frames(venue)} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
    venue.advance(NOW + 10 * SECOND)
    assert {event["s"] for event in frames(venue)} == {"SOLUSDT"}

    def statuses(path: str) -> dict[str, str]:
        answer = venue.request("GET", path, {}, NOW + 10 * SECOND)
        rows = json.loads(answer.body)["symbols"]
        return {row["symbol"]: row["status"] for row in rows}

    assert statuses("/api/v3/exchangeInfo") == {"BTCUSDT": "HALT", "SOLUSDT": "TRADING"}
    assert statuses("/fapi/v1/exchangeInfo") == {"BTCUSDT": "TRADING"}


def test_a_connection_that_is_gone_leaves_nothing_behind() -> None:
    venue = build(paths=(TRADES, TRADES))
    venue.closed(1, NOW + SECOND)
    venue.outputs()
    venue.receive(1, LIST, NOW + 2 * SECOND)
    venue.pong(1, "x", NOW + 2 * SECOND)
    venue.advance(NOW + 30 * SECOND)

    assert {found.conn for found in venue.outputs()} == {2}
