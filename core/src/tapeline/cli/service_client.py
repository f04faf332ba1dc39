"""Asks the HTTP service of a running collection."""

from __future__ import annotations

import os
from typing import Annotated, Any

import httpx
import typer

from tapeline.errors import TapelineError, UsageError
from tapeline.model.secrets import register_secret
from tapeline.transport.addresses import shown_url

DEFAULT_URL = "http://127.0.0.1:8765"
URL_VARIABLE = "TAPELINE_URL"
TOKEN_VARIABLE = "TAPELINE_TOKEN"

_ASK_TIMEOUT_S = 10.0
# A restart waits for its turn, for the old run's end and for the new one's start.
_CHANGE_TIMEOUT_S = 60.0

Url = Annotated[
    str | None,
    typer.Option(
        help="Address of the HTTP service; TAPELINE_URL, or else "
        f"{DEFAULT_URL}, when left out."
    ),
]


class ServiceClient:
    """The HTTP service at one address.

    Args:
        url: where it listens; None asks ``TAPELINE_URL``, then takes the default.
    """

    def __init__(self, url: str | None = None) -> None:
        self._url = (url or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")
        token = os.environ.get(TOKEN_VARIABLE, "")
        register_secret(token)
        self._shown = shown_url(self._url)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def status(self) -> dict[str, Any]:
        """What ``/api/status`` answers.

        Raises:
            TapelineError: nothing answers, or something else does.
        """
        return self._ask("GET", "/api/status", _ASK_TIMEOUT_S, "health", "collectors")

    def change(self, name: str, verb: str) -> dict[str, Any]:
        """Have collector *name* ``restart``, ``enable`` or ``disable``.

        Raises:
            UsageError: no such collector.
            TapelineError: refused, failed, or nothing answers.
        """
        path = f"/api/collectors/{name}/{verb}"
        return self._ask("POST", path, _CHANGE_TIMEOUT_S, "name", verb)

    def _ask(
        self, method: str, path: str, timeout_s: float, *keys: str
    ) -> dict[str, Any]:
        """The answer; what has not all *keys*, and no error, is of another server."""
        try:
            # The service is on a network of the operator's own: no proxy is asked.
            with httpx.Client(timeout=timeout_s, trust_env=False) as client:
                answer = client.request(method, self._url + path, headers=self._headers)
            shown = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TapelineError(
                f"expected the HTTP service of a running collection at {self._shown}, "
                f"found none ({_why(error)}); start 'tapeline run' with a "
                "[services.http] table, or say where it is with --url"
            ) from error
        except ValueError:
            shown = None
        refused = isinstance(shown, dict) and isinstance(shown.get("error"), str)
        ours = isinstance(shown, dict) and all(key in shown for key in keys)
        if not refused and (answer.is_error or not ours):
            raise TapelineError(
                f"expected the HTTP service of a running collection at {self._shown}, "
                "found another server; say where it is with --url"
            )
        found: dict[str, Any] = shown
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise UsageError(found["error"])
        if answer.is_error:
            raise TapelineError(_advised(answer.status_code, found["error"]))
        return found


def _advised(status: int, sentence: str) -> str:
    if status == httpx.codes.UNAUTHORIZED:
        return f"{sentence} (the command takes it from {TOKEN_VARIABLE})"
    return sentence


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
