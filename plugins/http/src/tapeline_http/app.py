"""What the service answers."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tapeline import Secret
from tapeline.hookspecs import Control
from tapeline_http.metrics import CONTENT_TYPE, render_metrics

_Change = Callable[[str], Awaitable[bool]]


def build_app(control: Control, token: Secret | None = None) -> Starlette:
    """An ASGI application over *control*, to serve or to mount in another one.

    Args:
        token: what a client must show to change something; None lets nobody.
    """
    guard = _Guard(token)

    async def livez(request: Request) -> Response:
        health = control.health()
        return _json({"alive": health.alive}, 200 if health.alive else 503)

    async def readyz(request: Request) -> Response:
        health = control.health()
        shown = {
            "ready": health.ready,
            "level": health.level.value,
            "issues": list(health.issues),
            "degraded": list(health.warnings),
        }
        return _json(shown, 200 if health.ready else 503)

    async def healthz(request: Request) -> Response:
        health = control.health()
        shown = {**health.as_dict(), "status": control.status()}
        return _json(shown, 200 if health.ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(render_metrics(control), headers={"content-type": CONTENT_TYPE})

    async def status(request: Request) -> Response:
        return _json({**control.status(), "health": control.health().as_dict()})

    async def collectors(request: Request) -> Response:
        return _json({"collectors": control.status()["collectors"]})

    async def collector(request: Request) -> Response:
        name = request.path_params["name"]
        shown = control.status()["collectors"].get(name)
        return _unknown(control, name) if shown is None else _json(shown)

    def change(verb: str, do: _Change) -> Route:
        async def handle(request: Request) -> Response:
            refusal = guard.refusal(request)
            if refusal is not None:
                return refusal
            name = request.path_params["name"]
            if name not in control.status()["collectors"]:
                return _unknown(control, name)
            done = await do(name)
            after = control.status()["collectors"].get(name)
            shown: dict[str, object] = {"name": name, verb: done, "collector": after}
            if not done:
                shown["error"] = _why_not(verb, name, after)
            return _json(shown, 200 if done else 409)

        return Route(f"/api/collectors/{{name}}/{verb}", handle, methods=["POST"])

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            Route("/api/status", status),
            Route("/api/collectors", collectors),
            Route("/api/collectors/{name}", collector),
            change("restart", control.restart),
            change("enable", control.enable),
            change("disable", control.disable),
        ]
    )


class _Guard:
    """Lets through who shows the token."""

    def __init__(self, token: Secret | None) -> None:
        self._token = token

    def refusal(self, request: Request) -> Response | None:
        """The answer for who may not; None for who may."""
        if self._token is None:
            return _error(
                403,
                "expected a token in the configuration of the service, found none; "
                "set 'token' in its table to allow changes",
            )
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        wanted = self._token.reveal().encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            shown.strip().encode(), wanted
        ):
            answer = _error(
                401,
                "expected the token of the service, found none or another one; send "
                "it as 'Authorization: Bearer TOKEN'",
            )
            answer.headers["www-authenticate"] = "Bearer"
            return answer
        return None


def _why_not(verb: str, name: str, after: object) -> str:
    error = None
    if isinstance(after, dict):
        error = after.get("statistics", {}).get("last_error")
    reason = f": {error}" if error else "; is it enabled?"
    return f"collector {name!r} could not {verb}{reason}"


def _unknown(control: Control, name: str) -> Response:
    known = ", ".join(sorted(control.status()["collectors"])) or "none"
    return _error(404, f"expected a collector ({known}), found {name!r}")


def _error(status: int, sentence: str) -> Response:
    return _json({"error": sentence}, status)


def _json(shown: object, status: int = 200) -> Response:
    return JSONResponse(shown, status, headers={"cache-control": "no-store"})
