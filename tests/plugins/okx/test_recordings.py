"""Real recordings: every frame is understood, every trade is there."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tapeline.model import (
    Acked,
    BookSnapshot,
    Candle,
    Malformed,
    Request,
    Response,
    Ticker,
    Trade,
)

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "real"
FILES = sorted(FOLDER.glob("okx/*.jsonl.gz"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FILES, reason="the recordings are not on this machine"),
]


def lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def truth_of(path: Path) -> Any:
    truth = json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
    return truth["files"][f"okx/{path.name}"]


@pytest.fixture
def replayed(connect: Any) -> Any:
    """Parses a recording, subscribing what its frames show to be subscribed."""

    def replay(path: Path) -> list[Any]:
        connection = connect()
        known: set[Any] = set()
        items = []
        for line in lines(path):
            if line.get("dir", "in") not in ("in", "out"):
                continue
            found = connection.adapter.recorded_subscriptions(
                connection.config, line["raw"]
            )
            new = [stream for stream in found if stream not in known]
            known.update(new)
            if new:
                connection.subscribe(*new)
            if line.get("dir", "in") == "in":
                items += connection.parse(line["raw"])
        return items

    return replay


SOCKETS = [path for path in FILES if "rest" not in path.name]


@pytest.mark.parametrize("path", SOCKETS, ids=lambda path: path.name)
def test_trades_are_those_of_the_independent_count(replayed: Any, path: Path) -> None:
    trades = [item for item in replayed(path) if isinstance(item, Trade)]
    expected = truth_of(path).get("trades", {})
    by_symbol: dict[str, list[Trade]] = {}
    for trade in trades:
        suffix = "-SWAP" if trade.market == "swap" else ""
        by_symbol.setdefault(f"trades|{trade.symbol}{suffix}", []).append(trade)
    assert by_symbol.keys() == expected.keys()
    for name, rows in expected.items():
        found = by_symbol[name]
        assert len(found) == rows["records"]
        assert min(trade.last_id for trade in found) == rows["first_id"]
        assert max(trade.last_id for trade in found) == rows["last_id"]
        assert sum(trade.fills for trade in found) == rows["underlying_matches"]
        assert sum(t.size for t in found) == Decimal(rows["sum_size"])
        total = sum(trade.price * trade.size for trade in found)
        assert total == Decimal(rows["sum_price_x_size"])
        assert sum(trade.side == "buy" for trade in found) == rows["taker_buys"]


@pytest.mark.parametrize("path", SOCKETS, ids=lambda path: path.name)
def test_every_frame_is_understood(replayed: Any, path: Path) -> None:
    """Only channels that we do not read are left over."""
    items = replayed(path)
    unknown = "mark_funding" in path.name
    malformed = Counter(item.reason for item in items if isinstance(item, Malformed))
    assert malformed == ({"unknown-channel": 14} if unknown else {})
    counts = truth_of(path)["by_channel_symbol"]
    expected: Counter[str] = Counter()
    for name, count in counts.items():
        expected[name.partition("|")[0]] += count
    found: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Acked):
            found[f"event subscribe|{item.subscription.channel}"] += 1
        elif isinstance(item, Ticker | Trade):
            found[item.stream.channel] += 1
        elif isinstance(item, BookSnapshot) and item.stream.channel == "bbo-tbt":
            found["bbo-tbt"] += 1
        elif not isinstance(item, Malformed | Candle):
            kind = "snapshot" if isinstance(item, BookSnapshot) else "update"
            found[f"{item.stream.channel}:{kind}"] += 1
    if unknown:
        assert not found
        return
    acks = sum(count for name, count in found.items() if name.startswith("event"))
    assert acks == expected.pop("event subscribe")
    data = {name: n for name, n in found.items() if not name.startswith("event")}
    expected.pop("candle1m", None)
    assert data == dict(expected)


def test_recorded_candles_are_final_once_a_minute(replayed: Any) -> None:
    (path,) = (path for path in SOCKETS if "candle" in path.name)
    candles = [item for item in replayed(path) if isinstance(item, Candle)]
    assert len(candles) == 4
    assert {candle.state for candle in candles} == {"complete"}
    assert all(candle.open == candle.close for candle in candles)
    assert all(candle.volume == 0 for candle in candles)


@pytest.mark.parametrize(
    "path",
    [path for path in SOCKETS if path.name.startswith("cf_202")],
    ids=lambda path: path.name,
)
def test_recorded_checksums_agree_with_our_books(
    replayed: Any, adapter: Any, path: Path
) -> None:
    """A naive book of each stream, checked at every message that has a checksum."""
    books: dict[Any, tuple[dict[Decimal, Any], dict[Decimal, Any]]] = {}
    checked = 0
    for item in replayed(path):
        if not hasattr(item, "bids"):
            continue
        if isinstance(item, BookSnapshot):
            books[item.stream] = ({}, {})
        for side, levels in zip(
            books[item.stream], (item.bids, item.asks), strict=True
        ):
            for level in levels:
                price = Decimal(level[0])
                side.pop(price, None)
                if Decimal(level[1]):
                    side[price] = level
        bids, asks = books[item.stream]
        best_bids = [bids[price] for price in sorted(bids, reverse=True)]
        best_asks = [asks[price] for price in sorted(asks)]
        if item.checksum is not None:
            checked += 1
            assert adapter.book_checksum(best_bids, best_asks) == item.checksum
    assert checked > 0


def test_recorded_instruments_are_all_read(adapter: Any) -> None:
    (path,) = (path for path in FILES if "rest_instruments" in path.name)
    counts: Counter[str] = Counter()
    for line in lines(path):
        response = Response(
            Request("GET", line["url"]), 200, {}, line["raw"].encode(), line["t"]
        )
        found = adapter.read_instruments(response)
        assert len(found) == len(json.loads(line["raw"])["data"])
        assert len({instrument.key for instrument in found}) == len(found)
        counts.update(instrument.market for instrument in found)
        for instrument in found:
            assert instrument.tick_size
            assert instrument.base
            assert instrument.quote
            if instrument.market != "spot":
                assert instrument.contract_size
                expected = instrument.quote if instrument.inverse else instrument.base
                assert instrument.contract_unit == expected
    assert counts == {"spot": 5 * 513, "swap": 5 * 166, "future": 5 * 104}
