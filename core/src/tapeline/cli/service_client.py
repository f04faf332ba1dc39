"""Asks the HTTP service of a running collection."""

from __future__ import annotations

import os
from typing import Annotated, Any

import httpx
import typer

from tapeline.errors import TapelineError, UsageError
from tapeline.model.secrets import register_secret

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
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def status(self) -> dict[str, Any]:
        """What ``/api/status`` answers.

        Raises:
            TapelineError: nothing answers, or something else does.
        """
        return self._ask("GET", "/api/status", _ASK_TIMEOUT_S)

    def change(self, name: str, verb: str) -> dict[str, Any]:
        """Have collector *name* ``restart``, ``enable`` or ``disable``.

        Raises:
            UsageError: no such collector.
            TapelineError: refused, failed, or nothing answers.
        """
        path = f"/api/collectors/{name}/{verb}"
        return self._ask("POST", path, _CHANGE_TIMEOUT_S)

    def _ask(self, method: str, path: str, timeout_s: float) -> dict[str, Any]:
        try:
            # The service is on a network of the operator's own: no proxy is asked.
            with httpx.Client(timeout=timeout_s, trust_env=False) as client:
                answer = client.request(method, self._url + path, headers=self._headers)
            shown = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TapelineError(
                f"expected the HTTP service of a running collection at {self._url}, "
                f"found none ({_why(error)}); start 'tapeline run' with a "
                "[services.http] table, or say where it is with --url"
            ) from error
        except ValueError:
            shown = None
        if not isinstance(shown, dict):
            raise TapelineError(
                f"expected the HTTP service of a running collection at {self._url}, "
                "found another server; say where it is with --url"
            )
        if answer.status_code == httpx.codes.NOT_FOUND and "error" in shown:
            raise UsageError(str(shown["error"]))
        if answer.is_error and "error" in shown:
            raise TapelineError(_advised(answer.status_code, str(shown["error"])))
        return shown


def _advised(status: int, sentence: str) -> str:
    if status == httpx.codes.UNAUTHORIZED:
        return f"{sentence} (the command takes it from {TOKEN_VARIABLE})"
    return sentence


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
