"""What ``tapeline certify redis`` tests: both sinks, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from tapeline.model import Secret
from tapeline.testing import SECRET_TEXT, Destination, SinkUnderTest
from tapeline.testing.conformance.sink_records import trade
from tapeline_redis.adapter import RedisAdapter, RedisStreamsAdapter
from tapeline_redis.config import RedisConfig, RedisStreamsConfig
from tapeline_redis.testing import LocalServer

COST_RATIO = 75.0
"""``write`` may cost so many encodings of its events."""

_POISON_ID = 900_001
_TIMEOUT_S = 5.0
_SILENCE_S = 0.1
_PATTERN = "tapeline:*:trade"
_SECRET = Secret(f"redis://:{SECRET_TEXT}@localhost:6379/0")


@contextmanager
def sink_under_test(folder: Path) -> Iterator[Sequence[SinkUnderTest]]:
    """A server of its own, which is killed for an outage."""
    server = LocalServer()
    try:
        server.start()
        yield streams_on(server), channels_on(server)
    finally:
        server.close()


def streams_on(server: LocalServer) -> SinkUnderTest:
    """The durable sink on *server*, which is emptied for each case."""

    @contextmanager
    def destination() -> Iterator[Destination]:
        _empty(server)
        yield Destination(
            RedisStreamsConfig(url=Secret(server.url), timeout_s=_TIMEOUT_S),
            lambda: _entries(server),
            outage=lambda: _killed(server),
            poison=attrs.evolve(trade(_POISON_ID), trade_id="\ud800"),
        )

    return SinkUnderTest(
        RedisStreamsAdapter(),
        destination,
        cost_ratio=COST_RATIO,
        secrets=RedisStreamsConfig(url=_SECRET),
        plugin="redis",
    )


def channels_on(server: LocalServer) -> SinkUnderTest:
    """The live sink on *server*, with a listener for each case."""

    @contextmanager
    def destination() -> Iterator[Destination]:
        _empty(server)
        client = server.client()
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.psubscribe(_PATTERN)
        heard: list[int] = []
        _hear(listener, heard)
        try:
            yield Destination(
                RedisConfig(url=Secret(server.url), timeout_s=_TIMEOUT_S),
                lambda: _hear(listener, heard),
                outage=lambda: _killed(server),
            )
        finally:
            listener.close()
            client.close()

    return SinkUnderTest(
        RedisAdapter(),
        destination,
        cost_ratio=COST_RATIO,
        secrets=RedisConfig(url=_SECRET),
        plugin="redis",
    )


def _empty(server: LocalServer) -> None:
    client = server.client()
    client.flushall()
    client.close()


def _entries(server: LocalServer) -> Sequence[int]:
    client = server.client()
    try:
        return [
            json.loads(fields[b"data"])["last_id"]
            for key in client.scan_iter(match=_PATTERN)
            for _, fields in client.xrange(key)
        ]
    finally:
        client.close()


def _hear(listener: Any, heard: list[int]) -> Sequence[int]:
    """Everything heard so far; waits until nothing comes for a moment."""
    while True:
        message = listener.get_message(timeout=_SILENCE_S)
        if message is None:
            return list(heard)
        heard.append(json.loads(message["data"])["last_id"])


@contextmanager
def _killed(server: LocalServer) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()
