"""What the service answers over real sockets."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tapeline import CollectorManager, Secret, UsageError
from tapeline_http import HttpAdapter, HttpConfig

pytestmark = pytest.mark.anyio


async def _until(condition: Any, limit_s: float = 10) -> None:
    with anyio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.01)


async def test_a_collection_that_works_is_alive_and_ready(run: Any, beats: Any) -> None:
    async with run(beats()) as running:
        alive = await running.send("GET", "/livez")
        ready = await running.send("GET", "/readyz")
    assert (alive.status_code, alive.json()) == (200, {"alive": True})
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "level": "healthy",
        "issues": [],
        "degraded": [],
    }


async def test_it_is_not_ready_but_alive_while_a_collector_delivers_nothing(
    run: Any, beats: Any
) -> None:
    sick, well = beats("sick"), beats("well")
    async with run(sick, well) as running:
        sick.can_connect = False
        sick.fault = ConnectionError("reset by peer")
        await _until(lambda: sick.status.value == "restarting")
        ready = await running.send("GET", "/readyz")
        alive = await running.send("GET", "/livez")
        sick.can_connect = True
        await _until(lambda: sick.status.value == "running", 20)
        again = await running.send("GET", "/readyz")
    assert ready.status_code == 503
    assert ready.json()["issues"][0].startswith(
        "collector sick: the collector is restarting: "
    )
    assert alive.status_code == 200
    assert again.status_code == 200


async def test_a_disabled_collector_is_not_wanted(
    run: Any, beats: Any, token: str
) -> None:
    one, other = beats("one"), beats("other")
    async with run(one, other) as running:
        answer = await running.send("POST", "/api/collectors/one/disable", token)
        await _until(lambda: one.status.value == "stopped")
        ready = await running.send("GET", "/readyz")
        shown = await running.send("GET", "/api/collectors/one")
        await running.send("POST", "/api/collectors/one/enable", token)
        await _until(lambda: one.status.value == "running")
    assert answer.status_code == 200
    assert answer.json()["disable"] is True
    assert ready.status_code == 200
    assert shown.json()["status"] == "stopped"
    assert other.get_status()["statistics"]["restarts"] == 0


async def test_a_restart_reaches_the_one_that_is_named(
    run: Any, beats: Any, token: str
) -> None:
    one, other = beats("one"), beats("other")
    async with run(one, other) as running:
        answer = await running.send("POST", "/api/collectors/one/restart", token)
    assert answer.status_code == 200
    assert answer.json()["collector"]["statistics"]["restarts"] == 1
    assert other.get_status()["statistics"]["restarts"] == 0


async def test_a_restart_that_fails_says_why(run: Any, beats: Any, token: str) -> None:
    one = beats("one")
    async with run(one) as running:
        one.can_connect = False
        answer = await running.send("POST", "/api/collectors/one/restart", token)
    assert answer.status_code == 409
    assert answer.json()["error"] == (
        "collector 'one' could not restart: connect() returned False"
    )


@pytest.mark.parametrize("verb", ["restart", "enable", "disable"])
@pytest.mark.parametrize(
    "shown", [None, "x", "another-token-of-24-charac", "a-token-of-twenty-four-c"]
)
async def test_nobody_without_the_token_changes_anything(
    run: Any, beats: Any, verb: str, shown: str | None
) -> None:
    one = beats("one")
    async with run(one) as running:
        answer = await running.send("POST", f"/api/collectors/one/{verb}", shown)
        await anyio.sleep(0.05)
        status = one.get_status()
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert status["status"] == "running"
    assert status["statistics"]["restarts"] == 0


async def test_without_a_token_in_the_configuration_nobody_may(
    run: Any, beats: Any
) -> None:
    async with run(beats("one"), token=None) as running:
        answer = await running.send("POST", "/api/collectors/one/restart", "x" * 20)
        ready = await running.send("GET", "/readyz")
    assert answer.status_code == 403
    assert "set 'token'" in answer.json()["error"]
    assert ready.status_code == 200


async def test_an_unknown_collector_is_named_with_those_that_are_known(
    run: Any, beats: Any, token: str
) -> None:
    async with run(beats("one"), beats("two")) as running:
        asked = await running.send("GET", "/api/collectors/three")
        changed = await running.send("POST", "/api/collectors/three/enable", token)
    for answer in (asked, changed):
        assert answer.status_code == 404
        expected = "expected a collector (one, two), found 'three'"
        assert answer.json() == {"error": expected}


async def test_changing_needs_a_post(run: Any, beats: Any, token: str) -> None:
    async with run(beats("one")) as running:
        answer = await running.send("GET", "/api/collectors/one/restart", token)
        status = await running.send("POST", "/api/status", token)
    assert answer.status_code == 405
    assert status.status_code == 405


async def test_status_is_what_the_manager_says(run: Any, beats: Any) -> None:
    async with run(beats("one")) as running:
        shown = (await running.send("GET", "/api/status")).json()
        tree = (await running.send("GET", "/healthz")).json()
        told = running.manager.get_status()
    assert shown.keys() == told.keys() | {"health"}
    assert shown["collectors"].keys() == {"one"}
    assert shown["services"]["http"]["state"] == "running"
    assert tree["status"].keys() == told.keys()
    assert tree["level"] == "healthy"


async def test_metrics_parse_and_stay_out_of_the_process_own_registry(
    run: Any, beats: Any
) -> None:
    before = {metric.name for metric in REGISTRY.collect()}
    async with run(beats("one"), beats("two")) as running:
        answer = await running.send("GET", "/metrics")
    families = {f.name: f for f in text_string_to_metric_families(answer.text)}
    assert answer.headers["content-type"].startswith("text/plain")
    assert families["tapeline_ready"].samples[0].value == 1
    running_samples = families["tapeline_collector_running"].samples
    assert {sample.labels["collector"] for sample in running_samples} == {"one", "two"}
    (up,) = families["collector_uptime_seconds"].samples
    assert up.labels == {"exchange": "acme"}
    assert up.value > 0
    assert {metric.name for metric in REGISTRY.collect()} == before


async def test_the_token_is_nowhere_in_what_is_shown(
    run: Any, beats: Any, token: str
) -> None:
    async with run(beats("one")) as running:
        texts = [
            (await running.send("GET", path)).text
            for path in ("/healthz", "/api/status", "/metrics", "/readyz")
        ]
        texts.append((await running.send("POST", "/api/collectors/one/restart")).text)
    assert not [text for text in texts if token in text]
    assert token not in repr(HttpConfig(token=Secret(token)))


async def test_a_port_that_is_taken_fails_the_service_and_nothing_else(
    beats: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        manager = CollectorManager()
        manager.add_service("http", HttpAdapter(), HttpConfig(port=port))
        collector = beats()
        manager.add_collector(collector)
        assert await manager.start()
        status = manager.get_status()
        await manager.stop()
    assert collector.number >= 0
    assert status["statistics"]["running_collectors"] == 1
    assert status["services"]["http"]["state"] == "failed"
    assert f"127.0.0.1:{port} not to be had" in status["services"]["http"]["last_error"]


async def test_stopping_frees_the_port_while_a_client_holds_a_connection(
    run: Any, beats: Any
) -> None:
    async with run(beats()) as running:
        port = running.service.port
        await running.send("GET", "/livez")
    with socket.create_server(("127.0.0.1", port)):
        pass
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"http://127.0.0.1:{port + 0}/livez", timeout=0.5)


async def test_two_services_of_one_name_are_refused() -> None:
    manager = CollectorManager()
    manager.add_service("http", HttpAdapter(), HttpConfig())
    with pytest.raises(UsageError, match="found 'http' twice"):
        manager.add_service("http", HttpAdapter(), HttpConfig())
