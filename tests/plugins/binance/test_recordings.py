"""Real recordings through the whole replay: every trade, book and top is there."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from tapeline.model import Candle, MarketDataPoint, Request, Response, Trade
from tapeline.runtime.recordings import merge_recordings
from tapeline.runtime.replay import Replayer
from tapeline_binance import BinanceAdapter, BinanceConfig
from tapeline_binance.channels import venue_symbol_of

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "real"
FILES = sorted(FOLDER.glob("binance/*/*.jsonl.gz"))

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FILES, reason="the recordings are not on this machine"),
]

STREAMED = [path for path in FILES if "exchangeInfo" not in path.name]
DEPTHS = [path for path in FILES if path.name.endswith("_depth.jsonl.gz")]
CAPTURES = [path for path in FILES if path.name.startswith("cf_20")]
CAPTURES = [path for path in CAPTURES if "rest" not in path.name]


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def truth_of(path: Path) -> Any:
    truth = json.loads((FOLDER / "truth.json").read_text(encoding="utf-8"))
    return truth["files"][f"binance/{name_of(path)}"]


def lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


@attrs.define
class Replayed:
    """What a replay of one file gave."""

    replayer: Replayer
    records: list[Any]
    tops: list[tuple[int, str, Any, Any]]

    @property
    def report(self) -> Any:
        """What it counted."""
        return self.replayer.report


def replay(path: Path, **options: Any) -> Replayed:
    """Feed *path* frame by frame, noting the top of a book after each change."""
    replayer = Replayer(BinanceAdapter(), BinanceConfig(**options))
    result = Replayed(replayer, [], [])
    known: dict[Any, int | None] = {}
    for frame in merge_recordings([path]):
        result.records += replayer.feed(frame)
        if "@depth" not in frame.raw[:60]:
            continue
        for stream, state in replayer.pipeline.streams.items():
            book = state.book
            if book is None or not book.valid or known.get(stream) == book.last_id:
                continue
            known[stream] = book.last_id
            bids, asks = book.top(1)
            symbol = venue_symbol_of(stream.market, stream.symbol, {})
            result.tops.append((book.last_id or 0, symbol, bids, asks))
    result.records += replayer.finish()
    return result


def plain(levels: Any) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(level[0]), Decimal(level[1])) for level in levels]


@pytest.mark.parametrize("path", STREAMED, ids=name_of)
def test_a_replay_is_what_the_independent_count_says(path: Path) -> None:
    """Trades, ids and sums; books, their chains and ends; and nothing is left over."""
    truth = truth_of(path)
    replayed = replay(path)
    report = replayed.report
    assert report.malformed == {}
    assert report.unanswered_fetches == 0
    assert report.frames == truth["frames"]
    check_trades(report, truth.get("trades", {}))
    check_books(report, truth.get("binance_books", {}))
    check_counts(replayed, truth["by_channel_symbol"])


def check_trades(report: Any, truth: Any) -> None:
    """Counts, ids and sums of every stream of trades."""
    totals = {
        f"{stream.channel}|{venue_symbol_of(stream.market, stream.symbol, {})}": each
        for stream, each in report.trades.items()
    }
    assert totals.keys() == truth.keys()
    for name, rows in truth.items():
        found = totals[name]
        assert found.trades == rows["records"]
        assert (found.first_id, found.last_id) == (rows["first_id"], rows["last_id"])
        assert found.size == Decimal(rows["sum_size"])
        assert found.quote == Decimal(rows["sum_price_x_size"])
        assert found.buys == rows["taker_buys"]
        if "underlying_first_id" in rows:
            fills = rows["underlying_last_id"] - rows["underlying_first_id"] + 1
            assert found.fills == fills


def check_books(report: Any, truth: Any) -> None:
    """Every chain is whole and every book ends as the naive one does."""
    books = {
        venue_symbol_of(market, symbol, {}): book
        for name, book in report.books.items()
        for _, market, symbol, _ in [name.split(":", 3)]
    }
    assert books.keys() == truth.keys()
    for symbol, rows in truth.items():
        book, rebuilt = books[symbol], rows["rebuilt"]
        assert book["valid"]
        assert book["snapshots"] == 1
        assert book["sequence_breaks"] == rows["sequence_breaks"] == 0
        assert book["crossed"] == rebuilt["crossed_after_update"] == 0
        # a change that ends exactly at the snapshot is in it already
        assert rebuilt["updates_applied"] - book["updates"] in (0, 1)
        seen = book["updates"] + book["ignored"] + book["waiting_dropped"]
        assert seen == rows["updates"]
        assert book["bid_levels"] == rebuilt["bid_levels"]
        assert book["ask_levels"] == rebuilt["ask_levels"]
        for side in "bids", "asks":
            assert plain(book["top5"][side]) == plain(rebuilt["top5"][side])


def check_counts(replayed: Replayed, truth: Any) -> None:
    """Every frame of a trade or ticker became one event; books count their own."""
    expected: Counter[str] = Counter()
    for name, count in truth.items():
        channel = name.partition("|")[0]
        kind = "trade" if "rade" in channel else ""
        if channel == "bookTicker":
            kind = "ticker"
        if kind:
            expected[kind] += count
    found = dict(replayed.report.events)
    found.pop("candle", None)
    found.pop("orderbook", None)
    assert found == expected


@pytest.mark.parametrize("path", DEPTHS, ids=name_of)
def test_every_top_is_the_book_ticker_of_its_moment(path: Path) -> None:
    truth = truth_of(path)["binance_books"]
    others = path.with_name(path.name.replace("_depth", "_bookTicker"))
    check_tops(replay(path).tops, truth, book_tickers(others))


@pytest.mark.parametrize(
    "path", [p for p in CAPTURES if "20210404" not in p.name], ids=name_of
)
def test_every_top_of_a_mixed_capture_is_the_book_ticker(path: Path) -> None:
    check_tops(replay(path).tops, truth_of(path)["binance_books"], book_tickers(path))


def book_tickers(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Symbol → ``(u, ticker)``, as recorded."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for line in lines(path):
        if "@bookTicker" in line["raw"][:60]:
            data = json.loads(line["raw"])["data"]
            found.setdefault(data["s"], []).append((data["u"], data))
    return found


def check_tops(
    tops: list[tuple[int, str, Any, Any]],
    truth: Any,
    tickers: dict[str, list[tuple[int, Any]]],
) -> None:
    equal: Counter[str] = Counter()
    for last_id, symbol, bids, asks in tops:
        known = tickers.get(symbol, [])
        place = bisect_right(known, last_id, key=lambda item: item[0])
        if place == 0:
            continue
        ticker = known[place - 1][1]
        assert plain(bids) == plain([[ticker["b"], ticker["B"]]])
        assert plain(asks) == plain([[ticker["a"], ticker["A"]]])
        equal[symbol] += 1
    for symbol, rows in truth.items():
        expected = rows["rebuilt"]["top_equal_to_last_bookTicker_at_or_before_u"]
        assert rows["rebuilt"]["top_not_equal"] == 0
        # changes that came before the snapshot join it in one step
        assert equal[symbol] >= expected - 3


@pytest.mark.parametrize("path", CAPTURES, ids=name_of)
def test_streamed_candles_are_those_of_the_venue(path: Path) -> None:
    candles = [r for r in replay(path).records if isinstance(r, Candle)]
    truth = truth_of(path)["klines_streamed"]
    expected = {
        (symbol, row["t"]): row
        for symbol, rows in truth.items()
        for row in rows["closed"]
    }
    found = {
        (
            venue_symbol_of(candle.market, candle.symbol, {}),
            candle.open_ns // 10**6,
        ): candle
        for candle in candles
        if candle.source == "venue"
    }
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        candle = found[key]
        assert candle.state == "complete"
        assert candle.timeframe == row["i"]
        assert (candle.open, candle.high) == (Decimal(row["o"]), Decimal(row["h"]))
        assert (candle.low, candle.close) == (Decimal(row["l"]), Decimal(row["c"]))
        assert candle.volume == Decimal(row["v"])
        assert candle.quote_volume == Decimal(row["q"])
        assert candle.trades_count == row["n"]
        assert (candle.first_id, candle.last_id) == (row["f"], row["L"])


@pytest.mark.parametrize("path", CAPTURES, ids=name_of)
def test_forming_candles_come_by_option(path: Path) -> None:
    candles = [
        r for r in replay(path, forming_candles=True).records if isinstance(r, Candle)
    ]
    truth = truth_of(path)["klines_streamed"]
    assert len(candles) == sum(rows["messages"] for rows in truth.values())


def test_files_of_one_connection_replay_together() -> None:
    """Depth, tops and trades of one capture, merged by time and place."""
    paths = sorted((FOLDER / "binance" / "spot").glob("hft_ethusdt_20240808_*"))
    replayer = Replayer(BinanceAdapter(), BinanceConfig())
    for frame in merge_recordings(paths):
        replayer.feed(frame)
    replayer.finish()
    (book,) = replayer.report.books.values()
    assert book["valid"]
    assert book["updates"] == 3432
    events = replayer.report.events
    assert (events["ticker"], events["trade"]) == (24077, 6106)


def test_raw_frames_replay_like_wrapped_ones() -> None:
    """The same capture as a raw socket would have sent it."""
    (path,) = (path for path in CAPTURES if "20210814" in path.name)
    wrapped, bare = (Replayer(BinanceAdapter(), BinanceConfig()) for _ in range(2))
    for frame in merge_recordings([path]):
        if frame.direction == "connect":
            continue
        wrapped.feed(frame)
        raw = frame.raw
        if frame.direction == "in":
            raw = json.dumps(json.loads(raw)["data"], separators=(",", ":"))
        bare.feed(attrs.evolve(frame, raw=raw))
    wrapped.finish()
    bare.finish()
    assert bare.report.as_dict() == {
        **wrapped.report.as_dict(),
        # nothing of a quiet book shows which exchange a kline came from
        "events": bare.report.events,
    }
    assert bare.report.events == wrapped.report.events
    assert bare.report.malformed == {}


def test_a_replay_of_events_has_no_other_types() -> None:
    (path,) = (path for path in CAPTURES if "20211012" in path.name)
    records = replay(path).records
    assert {type(r).__name__ for r in records if isinstance(r, MarketDataPoint)} == {
        "BookSnapshot",
        "Ticker",
        "Trade",
    }
    assert all(r.source == "replay" for r in records if isinstance(r, Trade))


@pytest.mark.parametrize(
    ("name", "market", "count", "inverse"),
    [
        ("spot/cf_20211012_rest_exchangeInfo", "spot", None, False),
        ("usdm/cf_20210722_rest_exchangeInfo", "swap", None, False),
    ],
)
def test_recorded_instruments_are_all_read(
    name: str, market: str, count: int | None, inverse: bool
) -> None:
    (line,) = lines(FOLDER / "binance" / f"{name}.jsonl.gz")
    body = line["raw"].encode()
    response = Response(Request("GET", line["url"]), 200, {}, body, line["t"])
    found = BinanceAdapter().read_instruments(response)
    rows = json.loads(body)["symbols"]
    assert len(found) == len(rows)
    assert len({instrument.key for instrument in found}) == len(found)
    for instrument, row in zip(found, rows, strict=True):
        assert instrument.venue_symbol == row["symbol"]
        assert instrument.symbol.startswith(f"{row['baseAsset']}-{row['quoteAsset']}")
        assert instrument.tick_size
        assert instrument.lot_size
        dated = "_" in row["symbol"]
        assert instrument.market == ("future" if dated else market)
        assert (instrument.expires_ns is not None) == dated
        assert instrument.inverse is inverse


def test_the_guess_where_a_symbol_splits_is_the_venues_own() -> None:
    """Guessing is for recordings only, yet it is right for every listed symbol."""
    name = "spot/cf_20211012_rest_exchangeInfo.jsonl.gz"
    (line,) = lines(FOLDER / "binance" / name)
    response = Response(Request("GET", ""), 200, {}, line["raw"].encode(), 0)
    adapter = BinanceAdapter()
    wrong: list[tuple[str, str]] = []
    for instrument in adapter.read_instruments(response):
        frame = json.dumps({"stream": f"{instrument.venue_symbol.lower()}@trade"})
        url = "wss://stream.binance.com:9443/stream"
        found = adapter.recorded_subscriptions(BinanceConfig(), frame, url)
        wrong += [
            (stream.symbol, instrument.symbol)
            for stream in found
            if stream.symbol != instrument.symbol
        ]
    assert wrong == []
