"""Books of recorded OKX frames against independently computed truth."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapeline.integrity import BookChange, BookSettings, LocalBook
from tapeline.model import BookDelta, BookSnapshot, RawLevel, Subscription

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
FILES = (
    sorted(path.name for path in (REAL / "okx").glob("*.jsonl.gz"))
    if REAL.is_dir()
    else []
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FILES, reason="the recordings are not in this checkout"),
]


def checksum(bids: Sequence[RawLevel], asks: Sequence[RawLevel]) -> int:
    """OKX's: CRC32 over the levels of both sides in turn, as a signed number."""
    parts: list[str] = []
    for at in range(25):
        for side in (bids, asks):
            if at < len(side):
                parts += side[at][:2]
    crc = zlib.crc32(":".join(parts).encode())
    return crc - 2**32 if crc >= 2**31 else crc


def book_frames(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """``(channel|instrument, action, row)`` of every incremental book push."""
    with gzip.open(REAL / "okx" / name, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            if record.get("dir", "in") != "in" or '"books' not in record["raw"]:
                continue
            frame = json.loads(record["raw"])
            if "action" in frame:
                key = f"{frame['arg']['channel']}|{frame['arg']['instId']}"
                for row in frame["data"]:
                    yield key, frame["action"], row


def event(key: str, action: str, row: dict[str, Any]) -> BookSnapshot | BookDelta:
    channel, _, instrument = key.partition("|")
    stream = Subscription("okx", "spot", instrument, "orderbook", channel)
    at_ns = int(row["ts"]) * 10**6
    found = row.get("checksum") or None
    last_id = row.get("seqId")
    if action == "snapshot":
        return BookSnapshot(
            stream, row["bids"], row["asks"], last_id, at_ns, at_ns, found
        )
    link_id = row.get("prevSeqId")
    return BookDelta(
        stream, row["bids"], row["asks"], link_id, last_id, at_ns, at_ns, found
    )


@pytest.mark.parametrize("name", FILES)
def test_recorded_books_equal_the_truth(name: str) -> None:
    truth = json.loads((REAL / "truth.json").read_text())
    expected = truth["files"][f"okx/{name}"].get("okx_books", {})
    books: dict[str, LocalBook] = {}
    changes: dict[str, list[BookChange]] = {}
    for key, action, row in book_frames(name):
        one = event(key, action, row)
        if key not in books:
            settings = BookSettings(fold_unproven=True)
            books[key] = LocalBook(one.stream, checksum, settings)
        changes.setdefault(key, []).append(books[key].apply(one))
    assert set(books) == set(expected)
    for key, want in expected.items():
        book, found = books[key], books[key].statistics()
        bids, asks = book.top(5)
        assert {
            "snapshots": found.snapshots,
            "rows": len(changes[key]),
            "checksum_pass": found.checksum_pass,
            "checksum_fail": found.checksum_fail,
            "crossed": found.crossed,
            "deletes": found.absent_deletes,
            "breaks": found.sequence_breaks,
            "levels": book.depth(),
            "top": [[list(level[:2]) for level in side] for side in (bids, asks)],
        } == {
            "snapshots": want.get("snapshot", 0),
            "rows": want["rows"],
            "checksum_pass": want.get("checksum_pass", 0),
            "checksum_fail": 0,
            "crossed": want.get("crossed", 0),
            "deletes": want["deletes_of_absent_level"],
            "breaks": want["sequence_breaks"] or 0,
            "levels": (want["final_bid_levels"], want["final_ask_levels"]),
            "top": [want["final_top5"]["bids"], want["final_top5"]["asks"]],
        }
        assert book.valid == ("snapshot" in want), key


DEPTH_FILES = (
    sorted(
        path.relative_to(REAL).as_posix()
        for path in (REAL / "binance").glob("*/hft_*_depth.jsonl.gz")
    )
    if REAL.is_dir()
    else []
)


def depth_events(name: str) -> Iterator[BookSnapshot | BookDelta]:
    """Diffs and the REST snapshot between them, in arrival order."""
    stream = Subscription("binance", "spot", "X", "orderbook", "depth")
    with gzip.open(REAL / name, "rt") as lines:
        records = sorted(map(json.loads, lines), key=lambda one: (one["t"], one["n"]))
    for record in records:
        raw = json.loads(record["raw"])
        at_ns = record["t"]
        if record.get("dir") == "http":
            yield BookSnapshot(
                stream, raw["bids"], raw["asks"], raw["lastUpdateId"], at_ns, at_ns
            )
        else:
            row = raw["data"]
            link_id = row["pu"] if "pu" in row else row["U"] - 1
            event_ns = row["E"] * 10**6
            yield BookDelta(
                stream, row["b"], row["a"], link_id, row["u"], event_ns, at_ns
            )


@pytest.mark.parametrize("name", DEPTH_FILES)
def test_diffs_are_spliced_onto_the_rest_snapshot_as_in_the_truth(name: str) -> None:
    truth = json.loads((REAL / "truth.json").read_text())
    (want,) = truth["files"][name]["binance_books"].values()
    rebuilt = want["rebuilt"]
    events = list(depth_events(name))
    book = LocalBook(events[0].stream)
    changes = [book.apply(one) for one in events]
    found = book.statistics()
    assert BookChange.BROKEN not in changes
    assert book.valid
    assert found.updates == rebuilt["updates_applied"]
    assert found.sequence_breaks == want["sequence_breaks"]
    assert found.crossed == rebuilt["crossed_after_update"]
    assert book.depth() == (rebuilt["bid_levels"], rebuilt["ask_levels"])
    top = [[(Decimal(p), Decimal(s)) for p, s in side] for side in book.top(5)]
    assert top == [
        [(Decimal(p), Decimal(s)) for p, s in rebuilt["top5"][side]]
        for side in ("bids", "asks")
    ]
