"""What answers may be no service of ours: nothing it says is taken for a success."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tapeline.cli.service_client import ServiceClient
from tapeline.errors import TapelineError, UsageError


class Stranger(ThreadingHTTPServer):
    """Answers everything alike."""

    status = 404
    answer: Any = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        body = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """A server on a port of its own."""
    with Stranger(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (404, {"code": "50404", "msg": "not found"}),
        (404, {"error": {"code": 404}}),
        (500, ["broken"]),
        (200, {"status": "ok"}),
        (200, "hello"),
        (503, {"health": {}, "collectors": {}}),
    ],
)
def test_another_server_is_told_from_the_service(
    stranger: Stranger, status: int, answer: Any
) -> None:
    stranger.status, stranger.answer = status, answer
    client = ServiceClient(stranger.url)

    with pytest.raises(TapelineError, match="found another server"):
        client.status()
    with pytest.raises(TapelineError, match="found another server"):
        client.change("a", "restart")


def test_what_the_service_refuses_is_told_in_its_words(stranger: Stranger) -> None:
    client = ServiceClient(stranger.url)

    stranger.answer = {"error": "expected a collector (a), found 'b'"}
    with pytest.raises(UsageError, match="found 'b'"):
        client.change("b", "enable")
    stranger.status = 401
    with pytest.raises(TapelineError, match="takes it from TAPELINE_TOKEN"):
        client.change("b", "enable")


def test_what_the_service_did_is_given_back(stranger: Stranger) -> None:
    stranger.status, stranger.answer = 200, {"name": "a", "disable": True}

    assert ServiceClient(stranger.url).change("a", "disable") == stranger.answer


@pytest.mark.parametrize("answered", [True, False])
def test_a_password_in_the_address_is_not_shown(
    stranger: Stranger, answered: bool
) -> None:
    place = f"127.0.0.1:{stranger.server_port if answered else 1}"
    client = ServiceClient(f"http://me:open-sesame@{place}")

    with pytest.raises(TapelineError, match="expected the HTTP service") as told:
        client.status()

    assert place in str(told.value)
    assert "open-sesame" not in str(told.value)
