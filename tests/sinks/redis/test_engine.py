"""Both sinks in a whole collection, with a server that goes and comes back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tapeline.model import MarketDataPoint
from tapeline.runtime import Engine, EngineSettings, SinkSettings, system_seams
from tapeline_redis import (
    RedisAdapter,
    RedisConfig,
    RedisStreamsAdapter,
    RedisStreamsConfig,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quiet")]
STREAM = "tapeline:mine:spot:BTC-USDT:mine.rate"
START = datetime(2025, 1, 1, tzinfo=UTC)


def point(number: int) -> MarketDataPoint:
    """What a collector of the user's own made."""
    at = START + timedelta(seconds=number)
    return MarketDataPoint("mine", "BTC-USDT", at, "mine.rate", {"number": number})


async def test_streams_get_everything_over_an_outage_and_channels_what_comes_after(
    server: Any, tmp_path: Path
) -> None:
    seams = system_seams()
    engine = Engine(seams, EngineSettings(data_dir=tmp_path))
    options = {"url": server.url, "timeout_s": 1.0}
    engine.add_sink(
        SinkSettings("live", RedisAdapter(), RedisConfig(prefix="live", **options))
    )
    engine.add_sink(
        SinkSettings("durable", RedisStreamsAdapter(), RedisStreamsConfig(**options))
    )
    await engine.start()
    try:
        engine.publish([point(n) for n in range(100)])
        with anyio.fail_after(40):
            while server.run("EXISTS", STREAM) == 0:  # noqa: ASYNC110
                await anyio.sleep(0.05)
        server.kill()
        engine.publish([point(n) for n in range(100, 200)])
        await anyio.sleep(0.5)
        server.start()
        listener = server.client().pubsub()
        listener.subscribe(STREAM.replace("tapeline", "live"))
        heard: list[int] = []
        number = 200
        with anyio.fail_after(60):
            while not heard:
                engine.publish([point(number)])
                number += 1
                await anyio.sleep(0.1)
                message = listener.get_message(ignore_subscribe_messages=True)
                if message is not None:
                    heard.append(json.loads(message["data"])["number"])
            status: Any = engine.status()["sinks"]
            while status["durable"]["lag_rows"]:
                await anyio.sleep(0.05)
                status = engine.status()["sinks"]
        listener.close()
    finally:
        await engine.stop()
        await seams.http.aclose()
    numbers = [told["number"] for _, told in server.entries(STREAM)]
    assert numbers == list(range(number))
    assert heard[0] >= 200
