"""Alerts reach an address over real sockets, once each, in order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import attrs
import pytest

from tapeline import CollectorManager, ConfigError, Secret, StatusChange
from tapeline.config import structure_options
from tapeline_http import WebhookAdapter, WebhookConfig
from tapeline_http.webhook import shown

pytestmark = pytest.mark.anyio

PAGES = Path(__file__).parents[3] / "docs" / "examples"


@attrs.define
class Address:
    """A server that takes posts; *answers* are the next statuses, then 200."""

    url: str
    answers: list[int] = attrs.field(factory=list)
    taken: list[dict[str, Any]] = attrs.field(factory=list)
    asked: int = 0


@pytest.fixture
async def address() -> AsyncIterator[Address]:
    """A listener on a free port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    made = Address(f"http://127.0.0.1:{port}/hook?key=canary-in-the-address")

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            text = b""
            while b"\r\n\r\n" not in text:
                text += await stream.receive()
            head, _, body = text.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += await stream.receive()
            made.asked += 1
            status = made.answers.pop(0) if made.answers else 200
            if status == 200:
                made.taken.append(json.loads(body))
            await stream.send(
                f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n"
                "connection: close\r\n\r\n".encode()
            )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield made
        tasks.cancel_scope.cancel()
    await listener.aclose()


async def _until(condition: Any, limit_s: float = 15) -> None:
    with anyio.fail_after(limit_s):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.01)


def _manager(config: WebhookConfig, *collectors: Any) -> CollectorManager:
    manager = CollectorManager("test", restart_delay=0.01)
    manager.add_service("alerts", WebhookAdapter(), config)
    for collector in collectors:
        manager.add_collector(collector)
    return manager


async def test_trouble_and_its_end_are_posted_and_nothing_else(
    address: Address, beats: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAX_RECONNECT_ATTEMPTS", "1")
    collector = beats("one")
    manager = _manager(WebhookConfig(Secret(address.url)), collector)
    await manager.start()
    collector.can_connect = False
    collector.fault = ConnectionError("reset by peer")
    await _until(lambda: address.taken)
    collector.can_connect = True
    await _until(lambda: len(address.taken) == 2)
    await manager.stop()

    trouble, end = address.taken
    assert (trouble["component"], trouble["after"]) == ("collector one", "error")
    assert trouble["reason"] == "connect() returned False"
    assert trouble["trouble"] is True
    assert (end["after"], end["trouble"]) == ("running", False)


async def test_an_address_that_is_away_gets_it_later_and_in_order(
    address: Address, beats: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address.answers = [503, 429]
    manager = _manager(WebhookConfig(Secret(address.url)), beats("one"))
    await manager.start()
    for name in ("a", "b"):
        change = StatusChange(f"sink {name}", "running", "failed", "no", 1)
        manager._notify(change)
    await _until(lambda: len(address.taken) == 2)
    await manager.stop()

    assert [alert["component"] for alert in address.taken] == ["sink a", "sink b"]
    assert address.asked == 4


async def test_an_alert_that_is_refused_is_dropped_and_counted(
    address: Address, beats: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address.answers = [400]
    manager = _manager(WebhookConfig(Secret(address.url)), beats("one"))
    await manager.start()
    for name in ("a", "b"):
        manager._notify(StatusChange(f"sink {name}", "running", "failed", "", 1))
    await _until(lambda: address.taken)
    await manager.stop()

    assert [alert["component"] for alert in address.taken] == ["sink b"]
    assert address.taken[0]["dropped"] == 1


async def test_the_address_is_a_secret(
    address: Address,
    beats: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    address.answers = [503]
    config = WebhookConfig(Secret(address.url))
    manager = _manager(config, beats("one"))
    await manager.start()
    manager._notify(StatusChange("sink a", "running", "failed", "", 1))
    await _until(lambda: address.asked >= 1)
    status = json.dumps(manager.get_status())
    await manager.stop()

    assert "canary" not in status + caplog.text + repr(config)


def test_what_is_no_address_is_refused_without_repeating_it() -> None:
    _, problems = structure_options(
        WebhookConfig, {"url": "not an address with a canary"}, "services.alerts", {}
    )
    text = str(ConfigError(problems))
    assert "expected an address" in text
    assert "canary" not in text


def test_the_page_s_example_is_what_is_posted() -> None:
    wall_ns = 1_790_000_000_000_000_000
    change = StatusChange(
        "sink warehouse",
        "running",
        "unavailable",
        "the server does not answer",
        wall_ns,
    )
    assert json.loads((PAGES / "alert.json").read_text("utf-8")) == shown(change)
