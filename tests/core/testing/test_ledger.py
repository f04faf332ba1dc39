"""The ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import RecordingError, UsageError
from tapeline.testing import Fill, Ledger, LedgerFill, read_ledger

FILLS = [
    Fill(7, "100.5", "0.25", "buy", 10**18),
    Fill(8, "100.6", "1", "sell", 10**18 + 10**6),
]


def test_a_line_has_exactly_the_documented_keys(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.write("okx", "spot", "BTC-USDT", FILLS)

    lines = path.read_text().splitlines()

    assert json.loads(lines[0]) == {
        "exchange": "okx",
        "market": "spot",
        "symbol": "BTC-USDT",
        "data_type": "trade",
        "id": 7,
        "price": "100.5",
        "size": "0.25",
        "side": "buy",
        "exchange_ns": 10**18,
    }
    assert len(lines) == 2


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    memory = Ledger()
    with Ledger(path) as ledger:
        for target in (ledger, memory):
            target.write("okx", "spot", "BTC-USDT", FILLS)
            target.write("okx", "swap", "BTC-USDT", FILLS[:1])

    assert list(read_ledger(path)) == memory.fills
    assert ledger.total == memory.total == 3
    assert ledger.counts["okx", "spot", "BTC-USDT"] == 2
    assert memory.fills[0] == LedgerFill(
        "okx", "spot", "BTC-USDT", "trade", 7, "100.5", "0.25", "buy", 10**18
    )


def test_fills_are_in_the_file_before_their_frames_can_be_sent(
    tmp_path: Path, plain_venue: Callable[..., Any]
) -> None:
    path = tmp_path / "ledger.jsonl"
    venue = plain_venue(rate_hz=50, ledger=Ledger(path))
    venue.open(1, "/", {}, 10**18)
    venue.advance(10**18 + 10**9)

    sent = {
        int(output.frame.partition(":")[2])
        for output in venue.outputs()
        if ":" in output.frame
    }
    stored = {fill.id for fill in read_ledger(path)}

    assert sent
    assert sent <= stored
    assert len(stored) == venue.emitted
    venue.ledger.close()


def test_a_ledger_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="writable file for the ledger"):
        Ledger(tmp_path / "nowhere" / "ledger.jsonl")


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.write("okx", "spot", "BTC-USDT", FILLS)
    path.write_text(path.read_text() + '{"exchange":"okx"')

    with pytest.raises(RecordingError, match="line 3: expected a fill"):
        list(read_ledger(path))


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="expected a readable ledger"):
        list(read_ledger(tmp_path / "none.jsonl"))


def test_a_fill_may_name_its_execution(tmp_path: Path) -> None:
    fill = Fill(7, "1.5", "2", "buy", 10**18)
    with Ledger(tmp_path / "fills.jsonl") as ledger:
        ledger.write("venue", "spot", "A-B", [fill], 41)
        ledger.write("venue", "spot", "A-B", [fill])
    named, plain = read_ledger(tmp_path / "fills.jsonl")

    assert (named.id, named.aggregate_id) == (7, 41)
    assert plain.aggregate_id is None
    memory = Ledger()
    memory.write("venue", "spot", "A-B", [fill], 41)
    assert memory.fills == [named]
