"""A collection inside a FastAPI application: ``uvicorn fastapi_app:app``.

``OKX_WS_URL`` and ``OKX_REST_URL`` name a simulator; without them it is the real OKX.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Response

from tapeline import CollectorManager, DataType
from tapeline_http import render_metrics
from tapeline_okx import create_okx_collector


def build_manager() -> CollectorManager:
    """One collector of BTC-USDT."""
    params: dict[str, Any] = {}
    if "OKX_WS_URL" in os.environ:
        params = {
            "ws_url": os.environ["OKX_WS_URL"],
            "rest_url": os.environ["OKX_REST_URL"],
        }
    manager = CollectorManager("fastapi")
    manager.add_collector(
        create_okx_collector("BTC-USDT", [DataType.TRADE], custom_params=params)
    )
    return manager


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The collection lives as long as the application."""
    manager = app.state.manager = build_manager()
    await manager.start()
    try:
        yield
    finally:
        await manager.stop()


app = FastAPI(lifespan=lifespan)


@app.get("/status")
def status() -> dict[str, Any]:
    """The whole status; a restart of the application is not needed for anything."""
    manager: CollectorManager = app.state.manager
    return {**manager.get_status(), "health": manager.health().as_dict()}


@app.post("/restart/{name}")
async def restart(name: str) -> dict[str, Any]:
    """Restart one collector. Put your own authentication before this one."""
    manager: CollectorManager = app.state.manager
    if name not in manager.list_collectors():
        raise HTTPException(404, f"no collector {name!r}")
    return {"restarted": await manager.restart_collector(name)}


@app.get("/metrics")
def metrics() -> Response:
    """For Prometheus."""
    manager: CollectorManager = app.state.manager
    return Response(render_metrics(manager.control), media_type="text/plain")
