"""The page about this plugin says what the code says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tapeline_http import build_app, render_metrics

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "plugins" / "http.md"


def test_the_generated_parts_are_as_the_code_is() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_http:HttpConfig -->" in text
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["rewritten"](text) == text


@pytest.mark.anyio
async def test_every_path_is_on_the_page(run: Any, beats: Any) -> None:
    text = PAGE.read_text(encoding="utf-8")
    async with run(beats()) as running:
        app = build_app(running.manager.control)
    for route in app.routes:
        path = getattr(route, "path", "").replace("{name}", "NAME")
        assert f" {path}`" in text, path


@pytest.mark.anyio
async def test_every_metric_is_on_the_page(run: Any, beats: Any) -> None:
    text = PAGE.read_text(encoding="utf-8")
    async with run(beats()) as running:
        shown = render_metrics(running.manager.control).decode()
    names = set(re.findall(r"^# TYPE (\w+)", shown, re.MULTILINE))
    assert names
    for name in names:
        assert f"`{name}`" in text, name
