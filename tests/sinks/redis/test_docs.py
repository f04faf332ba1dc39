"""The page about these sinks says what the code says, and its example works."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeline_redis import document

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sinks" / "redis.md"


def test_the_generated_parts_are_as_the_code_is() -> None:
    """A failure here is repaired by ``python docs/generate.py``."""
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- generated: options tapeline_redis:RedisStreamsConfig -->" in text
    assert runpy.run_path(str(ROOT / "docs" / "generate.py"))["rewritten"](text) == text


@pytest.mark.parametrize(
    "kind",
    ["trade", "ticker", "book", "candle", "balance", "gap", "coverage", "raw"],
)
def test_the_keys_of_each_type_are_those_on_the_page(records: Any, kind: str) -> None:
    told = json.loads(document(getattr(records, kind)()))
    head = ["type", "exchange", "market", "symbol"]
    assert list(told)[:4] == head
    [row] = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{told['type']}` |")
    ]
    listed = re.findall(r"`(\w+)`", row.split("|")[2].partition(";")[0])
    assert listed == list(told)[4:]


@pytest.mark.anyio
async def test_the_reader_of_the_page_goes_on_where_it_stopped(
    server: Any,
    make_streams: Callable[..., Any],
    records: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    read = runpy.run_path(str(ROOT / "docs" / "examples" / "redis_reader.py"))["read"]
    sink = make_streams()
    await sink.open("journal-a")
    await sink.write(records.batch(*[[records.trade(n)] for n in range(1_500)]))
    last = read(server.url)
    assert last == "1500-0"
    assert len(capsys.readouterr().out.splitlines()) == 1_500
    await sink.write(records.batch([records.trade(1_500)], first=1_501))
    assert read(server.url, last) == "1501-0"
    assert capsys.readouterr().out == "1501-0 buy 64321.10 0.00012300\n"
    await sink.close()
