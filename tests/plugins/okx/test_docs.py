"""The page about this plugin says what the code says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import tapeline_okx
from tapeline_okx.channels import CANDLES, CHANNELS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "plugins" / "okx.md"


def test_the_generated_parts_are_as_the_code_is() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_okx:OkxConfig -->" in text
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["rewritten"](text) == text


def test_every_channel_is_listed_with_its_continuity_class() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## Options")[0]
    lines = {
        line.split("|")[1].strip(): line
        for line in text.splitlines()
        if "`" in line
        if line.startswith("|")
    }
    for row in CHANNELS.values():
        channel = row.channel
        if channel.timeframe:
            line = lines["`candle` of the venue"]
        else:
            line = lines[f"`{channel.data_type}`"]
            assert f"`{channel.name}`" in line
        assert f"`{channel.continuity.value}`" in line
    assert f"`{' '.join(CANDLES)}`" in text


def test_what_the_pages_of_the_library_name_of_this_package_exists() -> None:
    pages = [ROOT / "docs" / name for name in ("library.md", "migration.md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    names = set(re.findall(r"`tapeline_okx\.(\w+)", text))
    assert names == {"OKXCollector", "create_okx_collector"}
    assert names <= set(tapeline_okx.__all__)
