"""The simulated venue of ``MiniAdapter``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import msgspec

from tapeline.hookspecs import SimRefusal, SimResponse
from tapeline.testing.faults import Fault
from tapeline.testing.ledger import Ledger
from tapeline.testing.market import Execution, Feed, Fill, Market
from tapeline.testing.police import Limit
from tapeline.testing.simulator import Levels, SimConnection, SimulatorBase

PAGE_ROWS = 100
"""Most fills of one page."""

WHOLE_BOOK = -1
"""What a frame with a whole book says it follows."""

_LIMITS = (
    Limit("connects", 3, 1.0),
    Limit("frames", 5, 1.0),
    Limit("rest", 20, 2.0),
)
_GAP = 7
"""How far the sequence of a book goes on with each change."""

Side = dict[int, tuple[int, int]]


class _Published:
    """A book as its subscribers have it."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.seq = 1_000
        self.bids: Side = dict(feed.book.bids)
        self.asks: Side = dict(feed.book.asks)

    def texts(self, side: Side, *, best_high: bool) -> list[tuple[str, str]]:
        """Price and size of each level, best first."""
        feed = self.feed
        return [
            (feed.price_text(tick), feed.size_text(side[tick][0]))
            for tick in sorted(side, reverse=best_high)
        ]

    def changes(self, before: Side, after: Side) -> list[tuple[str, str]]:
        """Levels that differ; those that are gone have size 0."""
        feed = self.feed
        return [
            (feed.price_text(t), feed.size_text(after[t][0]) if t in after else "0")
            for t in sorted(before.keys() | after.keys())
            if before.get(t, (0,))[0] != after.get(t, (0,))[0]
        ]


class MiniVenue(SimulatorBase):
    """One socket, two channels and pages of fills; see ``MiniAdapter``."""

    def __init__(
        self,
        market: Market,
        *,
        faults: Sequence[Fault] = (),
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(market, "mini", faults=faults, ledger=ledger, limits=_LIMITS)
        self._followers: dict[str, dict[int, SimConnection]] = {}
        self._books: dict[str, _Published] = {}

    def accept(
        self, connection: SimConnection, headers: Mapping[str, str], now_ns: int
    ) -> SimRefusal | None:
        """Everybody is welcome."""
        return None

    def on_frame(self, connection: SimConnection, frame: str, now_ns: int) -> None:
        """A ping, or a request for streams."""
        if frame == "ping":
            self.send(connection, "pong", now_ns)
            return
        self.police.hit("frames", connection.id, now_ns)
        request = msgspec.json.decode(frame)
        yes, no = [], []
        for word in request["streams"]:
            if self._feed_of(word) is None:
                no.append({"stream": word, "code": "unknown"})
            else:
                yes.append(word)
        answer = {"kind": "answer", "id": request["id"], "yes": yes, "no": no}
        if self.faults.active("no-ack", now_ns) is None:
            self.send(connection, _text(answer), now_ns)
        for word in yes:
            followers = self._followers.setdefault(word, {})
            if request["op"] == "unsubscribe":
                followers.pop(connection.id, None)
            else:
                followers[connection.id] = connection
                self._greet(connection, word, now_ns)

    def on_gone(self, connection: SimConnection) -> None:
        """Forget its streams."""
        for followers in self._followers.values():
            followers.pop(connection.id, None)

    def on_executions(self, executions: Sequence[Execution]) -> None:
        """Push each execution, then what it did to the book."""
        touched = {}
        for execution in executions:
            symbol = execution.feed.instrument.symbol
            touched[symbol] = execution.exchange_ns
            row = _row(symbol, execution.fills)
            self._push("trade", symbol, _text(row), execution.exchange_ns)
        for symbol, at_ns in touched.items():
            self._publish(symbol, at_ns)

    def on_fault(
        self, fault: Fault, connections: Sequence[SimConnection], now_ns: int
    ) -> None:
        """Books may begin their sequence afresh, telling nobody."""
        if fault.kind == "reset-sequence":
            for book in self._books.values():
                book.seq = 1

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> SimResponse:
        """Symbols, or a page of fills, the newest first."""
        if not self.police.hit("rest", "ip", now_ns):
            return SimResponse(429, b"")
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/symbols":
            names = [one.symbol for one in self.market.instruments]
            return SimResponse(200, msgspec.json.encode(names))
        symbol = query.get("symbol", "")
        feed = self.market.feeds.get(("spot", symbol))
        if parts.path != "/fills" or feed is None:
            return SimResponse(404, b"")
        below = int(query.get("below", 2**63 - 1))
        fills = feed.fills_before(below, PAGE_ROWS, now_ns)
        rows = [_row(symbol, [fill]) for fill in fills]
        return SimResponse(200, msgspec.json.encode(rows))

    def elsewhere(self, target: str) -> str:
        """A page of fills from another place."""
        head, asked, below = target.partition("&below=")
        if not asked:
            return target
        shift = self.faults.random.randint(-2 * PAGE_ROWS, 2 * PAGE_ROWS)
        return f"{head}&below={max(1, int(below) + shift)}"

    def book_now(self, market: str, symbol: str) -> tuple[int, Levels, Levels] | None:
        """What subscribers of the book have now."""
        book = self._books.get(symbol)
        if book is None or not self._followers.get(f"book:{symbol}"):
            return None
        bids = book.texts(book.bids, best_high=True)
        return book.seq, bids, book.texts(book.asks, best_high=False)

    def _feed_of(self, word: str) -> Feed | None:
        channel, _, symbol = word.partition(":")
        if channel not in ("trade", "book"):
            return None
        return self.market.feeds.get(("spot", symbol))

    def _greet(self, connection: SimConnection, word: str, now_ns: int) -> None:
        channel, _, symbol = word.partition(":")
        if channel != "book":
            return
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = _Published(self.market.feed("spot", symbol))
        elif len(self._followers[word]) == 1:
            self._publish(symbol, now_ns)
        bids = book.texts(book.bids, best_high=True)
        asks = book.texts(book.asks, best_high=False)
        frame = _text(_book(symbol, WHOLE_BOOK, book.seq, bids, asks, now_ns))
        self.push(connection, "book", symbol, frame, now_ns)

    def _publish(self, symbol: str, at_ns: int) -> None:
        book = self._books.get(symbol)
        if book is None:
            return
        now = book.feed.book
        bids = book.changes(book.bids, now.bids)
        asks = book.changes(book.asks, now.asks)
        if not bids and not asks:
            return
        link, book.seq = book.seq, book.seq + _GAP
        book.bids, book.asks = dict(now.bids), dict(now.asks)
        body = _book(symbol, link, book.seq, bids, asks, at_ns)
        self._push("book", symbol, _text(body), at_ns)

    def _push(self, channel: str, symbol: str, frame: str, at_ns: int) -> None:
        followers = self._followers.get(f"{channel}:{symbol}")
        for connection in list(followers.values()) if followers else ():
            self.push(connection, channel, symbol, frame, at_ns)


def _row(symbol: str, fills: Sequence[Fill]) -> dict[str, object]:
    first, last = fills[0], fills[-1]
    size = _sum_of(fills)
    return {
        "kind": "trade",
        "symbol": symbol,
        "first": first.id,
        "last": last.id,
        "price": first.price,
        "size": size,
        "side": first.side,
        "ts": first.exchange_ns // 1_000_000,
    }


def _sum_of(fills: Sequence[Fill]) -> str:
    return format(sum((Decimal(fill.size) for fill in fills), Decimal(0)), "f")


def _book(
    symbol: str,
    prev: int,
    seq: int,
    bids: object,
    asks: object,
    at_ns: int,
) -> dict[str, object]:
    return {
        "kind": "book",
        "symbol": symbol,
        "prev": prev,
        "seq": seq,
        "bids": bids,
        "asks": asks,
        "ts": at_ns // 1_000_000,
    }


def _text(body: object) -> str:
    return msgspec.json.encode(body).decode()
