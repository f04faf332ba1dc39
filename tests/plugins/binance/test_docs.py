"""The page about this plugin says what the code says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import tapeline_binance
from tapeline_binance.channels import CANDLES, CHANNELS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "plugins" / "binance.md"


def test_the_generated_parts_are_as_the_code_is() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_binance:BinanceConfig -->" in text
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
            assert f"`{channel.name.partition('@')[0]}`" in line
        assert f"`{channel.continuity.value}`" in line
    assert f"`{' '.join(CANDLES)}`" in text


def test_the_public_names_are_sorted_and_there() -> None:
    assert tapeline_binance.__all__ == sorted(tapeline_binance.__all__)
    for name in tapeline_binance.__all__:
        assert getattr(tapeline_binance, name).__doc__


def test_the_readme_names_options_that_exist() -> None:
    text = (ROOT / "plugins" / "binance" / "README.md").read_text(encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"^(\w+) = ", text.partition("options]")[2], re.MULTILINE):
        assert f"`{name}`" in page
