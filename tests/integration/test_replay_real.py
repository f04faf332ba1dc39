"""Every OKX recording replays to what an independent script found in it."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

TRUTH = Path(__file__).parents[3] / "shared" / "data" / "real" / "truth.json"


def websocket_recordings() -> list[str]:
    """The OKX recordings that hold frames of channels, as the truth lists them."""
    if not TRUTH.is_file():
        return []
    files = json.loads(TRUTH.read_text())["files"]
    return [
        name
        for name, found in sorted(files.items())
        if name.startswith("okx/")
        and any("|" in key for key in found["by_channel_symbol"])
    ]


FILES = websocket_recordings()
THREE = "okx/cf_20210722_l2tbt_trades_tickers_conn"
BOOKS = "okx/cf_20220513_books_trades_tickers.jsonl.gz"

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=FILES or ["absent"])
def case(
    request: pytest.FixtureRequest,
    tapeline_in: Any,
    recordings: Path,
    truth: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """The truth of one file, the report of its replay, and the database."""
    name = request.param
    folder = tmp_path_factory.mktemp("replay")
    database = folder / "market.db"
    done = tapeline_in(folder)(
        "replay",
        recordings / name,
        "--exchange",
        "okx",
        "--database",
        database,
        "--instruments",
        recordings / "okx/cf_20220513_rest_instruments.jsonl.gz",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    return truth["files"][name], json.loads(done.stdout), database


def venue_name(stream: str) -> tuple[str, str]:
    """``(channel, instId)`` of a stream as the report names it."""
    _, market, symbol, channel = stream.split(":")
    return channel, f"{symbol}-SWAP" if market == "swap" else symbol


def test_trades_ids_and_sums_equal_the_truth(
    case: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    expected, report, _ = case
    found = {
        "|".join(venue_name(stream)): totals
        for stream, totals in report["trades"].items()
    }

    assert set(found) == set(expected.get("trades", {}))
    for name, totals in found.items():
        want = expected["trades"][name]
        assert totals["trades"] == want["unique"]
        assert totals["fills"] == want["underlying_matches"]
        assert totals["last_id"] == want["last_id"]
        if want["unique"] == want["underlying_matches"]:
            # Where every message is one fill, its id is that of its first fill, too.
            assert totals["first_id"] == want["first_id"]
        assert totals["taker_buys"] == want["taker_buys"]
        assert totals["taker_sells"] == want["taker_sells"]
        assert Decimal(totals["sum_size"]) == Decimal(want["sum_size"])
        assert Decimal(totals["sum_price_x_size"]) == Decimal(want["sum_price_x_size"])


def test_the_database_holds_what_the_report_says(
    case: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    expected, _, database = case
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT market, symbol, last_id, size, price, source FROM trades"
        ).fetchall()
    connection.close()

    assert len(rows) == sum(t["unique"] for t in expected.get("trades", {}).values())
    assert {row[5] for row in rows} <= {"replay"}
    total = sum((Decimal(row[3]) * Decimal(row[4]) for row in rows), Decimal(0))
    assert total == sum(
        (Decimal(t["sum_price_x_size"]) for t in expected.get("trades", {}).values()),
        Decimal(0),
    )


def test_missing_ids_are_recorded_gaps_that_replay_cannot_fill(
    case: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    expected, _, database = case
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT from_id, to_id, state, cause FROM gaps WHERE from_id IS NOT NULL"
        ).fetchall()
    connection.close()
    missing = [
        [low + 1, high - 1]
        for trades in expected.get("trades", {}).values()
        for low, high, _ in trades["id_gap_list"]
    ]

    assert sorted([row[0], row[1]] for row in rows) == sorted(missing)
    assert {(row[2], row[3]) for row in rows} <= {("unrecoverable", "replay")}


def test_books_pass_every_check_of_the_truth(
    case: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    expected, report, _ = case
    found = {
        "|".join(venue_name(stream)): book for stream, book in report["books"].items()
    }

    assert set(found) == set(expected.get("okx_books", {}))
    for name, book in found.items():
        want = expected["okx_books"][name]
        assert book["checksum_pass"] == want.get("checksum_pass", 0)
        assert book["checksum_fail"] == 0
        assert book["sequence_breaks"] == (want["sequence_breaks"] or 0)
        assert book["absent_deletes"] == want["deletes_of_absent_level"]
        assert book["bid_levels"] == want["final_bid_levels"]
        assert book["ask_levels"] == want["final_ask_levels"]
        if want.get("snapshot"):
            assert book["valid"]
            assert book["snapshots"] == want["snapshot"]
            assert book["updates"] == want.get("update", 0)
        for side in ("bids", "asks"):
            top = [[Decimal(p), Decimal(s)] for p, s in book["top5"][side]]
            assert top == [
                [Decimal(p), Decimal(s)] for p, s in want["final_top5"][side]
            ]


def test_venue_candles_that_were_final_are_stored(
    case: tuple[dict[str, Any], dict[str, Any], Path],
) -> None:
    expected, _, database = case
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT symbol, close, volume, state FROM market_data WHERE source='venue'"
        ).fetchall()
    connection.close()
    final = [
        (name.split("|")[1], Decimal(row[4]), Decimal(row[5]))
        for name, candles in expected.get("okx_candles", {}).items()
        for row in candles["rows"]
        if row[8] == "1"
    ]

    assert sorted((r[0], Decimal(r[1]), Decimal(r[2])) for r in rows) == sorted(final)


def test_every_recording_of_websocket_frames_is_among_them(recordings: Path) -> None:
    """The REST answers are the only OKX file that is not replayed by itself."""
    here = {f"okx/{path.name}" for path in (recordings / "okx").glob("*.jsonl.gz")}

    assert here - set(FILES) == {"okx/cf_20220513_rest_instruments.jsonl.gz"}


def test_three_connections_with_the_same_trades_store_them_once(
    tapeline: Any, recordings: Path, truth: dict[str, Any], tmp_path: Path
) -> None:
    files = [recordings / f"{THREE}{number}.jsonl.gz" for number in (1, 2, 3)]
    database = tmp_path / "market.db"

    done = tapeline(
        "replay", *files, "--exchange", "okx", "--database", database, "--json"
    )

    assert done.returncode == 0, done.stderr
    unique = truth["files"]["okx/" + files[0].name]["trades"]
    with sqlite3.connect(database) as connection:
        (count,) = connection.execute("SELECT count(*) FROM trades").fetchone()
    connection.close()
    assert count == sum(trades["unique"] for trades in unique.values())
    assert json.loads(done.stdout)["duplicates"] == 2 * count


def test_replaying_again_changes_nothing(
    tapeline: Any, recordings: Path, tmp_path: Path
) -> None:
    words = (
        "replay",
        recordings / BOOKS,
        "--exchange",
        "okx",
        "--database",
        tmp_path / "market.db",
        "--json",
    )
    tables = "trades", "tickers", "order_books", "gaps", "coverage", "market_data"

    def counts() -> list[int]:
        with sqlite3.connect(tmp_path / "market.db") as connection:
            found = [
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in tables
            ]
        connection.close()
        return found

    assert tapeline(*words).returncode == 0
    first = counts()
    assert tapeline(*words).returncode == 0

    assert counts() == first
    assert first[0] > 0
