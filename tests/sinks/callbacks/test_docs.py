"""The page about this sink says what the code says."""

from __future__ import annotations

import runpy
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from tapeline.model import COMPLETE, FROM_TRADES, GAP, Candle, Subscription

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sinks" / "callbacks.md"


def test_the_generated_parts_are_as_the_code_is() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_callbacks:CallbacksConfig -->" in text
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["rewritten"](text) == text


def test_the_example_s_function_can_be_called_with_a_candle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = runpy.run_path(str(ROOT / "docs" / "examples" / "my_alerts.py"))
    stream = Subscription("okx", "spot", "BTC-USDT", "trade", "trades", "fill")
    one = Decimal(1)
    bar = Candle(
        stream, "1m", 0, one, one, one, one, one, one, one, 1, 1, 1, GAP, 0,
        FROM_TRADES, 0,
    )  # fmt: skip
    names["on_event"](attrs.evolve(bar, state=COMPLETE))
    assert capsys.readouterr().out == ""
    names["on_event"](bar)
    assert capsys.readouterr().out == "BTC-USDT 1970-01-01 00:00:00+00:00 gap\n"
