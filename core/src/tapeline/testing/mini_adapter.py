"""A whole exchange adapter in one file: trades, books, pages, in a plain protocol.

Nothing in it is needed by core. It shows the smallest adapter that has everything,
its simulator is ``MiniVenue``, and both pass the conformance kit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import attrs
import msgspec

from tapeline.clock import Now
from tapeline.hookspecs import (
    AdapterBase,
    Instruments,
    Parsed,
    SessionBase,
    SimulatedMarket,
    hookimpl,
)
from tapeline.model import (
    BACKFILL,
    LIVE,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Acked,
    Action,
    BackfillPage,
    BookDelta,
    BookSnapshot,
    Budget,
    Capabilities,
    Channel,
    Continuity,
    Dial,
    Fetch,
    Gap,
    Instrument,
    Keepalive,
    Malformed,
    Outcome,
    OutcomeKind,
    Rejected,
    Request,
    Response,
    Route,
    Secret,
    Send,
    SessionHealth,
    Subscription,
    Trade,
)
from tapeline.testing.mini_venue import WHOLE_BOOK, MiniVenue

MINI = "mini"
_STREAMS_A_FRAME = 20
_DAY_S = 86_400.0
_LARGEST_ID = 2**63 - 1
_LARGEST_MS = 4_102_444_800_000
_MOST_STALE = 4


class MiniTrade(msgspec.Struct, tag_field="kind", tag="trade"):
    """Fills ``first..last`` of one taker order at one price; times in ms."""

    symbol: str
    first: int
    last: int
    price: str
    size: str
    side: str
    ts: int


class MiniBook(msgspec.Struct, tag_field="kind", tag="book"):
    """A whole book (*prev* is -1) or what changed since *prev*."""

    symbol: str
    prev: int
    seq: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    ts: int


class MiniRefusal(msgspec.Struct):
    """One stream that the venue does not serve."""

    stream: str
    code: str


class MiniAnswer(msgspec.Struct, tag_field="kind", tag="answer"):
    """What came of request *id*."""

    id: int
    yes: list[str]
    no: list[MiniRefusal] = []


_decode = msgspec.json.Decoder(MiniTrade | MiniBook | MiniAnswer).decode
_decode_page = msgspec.json.Decoder(list[MiniTrade]).decode
_UNUSABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@attrs.frozen
class MiniConfig:
    """Options of the adapter.

    Args:
        book: the order book channel.
        token: sent as a header, where the venue wants one.
    """

    book: str = "book"
    token: Secret | None = None


def mini_stream(channel: str, symbol: str) -> Subscription:
    """The stream of *channel* (``trade`` or ``book``) of *symbol*."""
    found = MiniAdapter.capabilities.channel(channel)
    assert found is not None
    return Subscription(MINI, "spot", symbol, found.data_type, channel, found.id_kind)


def mini_answers(send: Send, refused: Collection[Subscription]) -> Sequence[str]:
    """The frames with which the venue answers *send*, refusing *refused*."""
    number = msgspec.json.decode(send.frame)["id"]
    yes = [_word(each) for each in send.subscriptions if each not in refused]
    no = [MiniRefusal(_word(each), "unknown") for each in refused]
    return [msgspec.json.encode(MiniAnswer(number, yes, no)).decode()]


class MiniSession(SessionBase):
    """Speaks the venue's protocol."""

    def __init__(self, config: MiniConfig) -> None:
        self._config = config
        self._streams: dict[str, Subscription] = {}
        self._asked: dict[int, tuple[bool, Sequence[Subscription]]] = {}
        self._number = 0
        self._malformed = 0

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        """Dial the only socket."""
        token = self._config.token
        headers = {} if token is None else {"x-token": token.reveal()}
        return Dial(
            "wss://mini.test/ws",
            headers=headers,
            keepalive=Keepalive(15.0, 10.0, "ping"),
            costs={"connects": 1},
        )

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        """Ask for *wanted*, so many to a frame."""
        for one in wanted:
            self._streams[_word(one)] = one
        return [
            self._request(SUBSCRIBE, wanted[start : start + _STREAMS_A_FRAME])
            for start in range(0, len(wanted), _STREAMS_A_FRAME)
        ]

    @hookimpl
    def unsubscribe(
        self, unwanted: Sequence[Subscription], now: Now
    ) -> Sequence[Action]:
        """End *unwanted* in one frame."""
        return [self._request(UNSUBSCRIBE, unwanted)]

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        """Ask again: the venue answers with a whole book."""
        return [self._request(SUBSCRIBE, [subscription])]

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        """Trades, books and answers."""
        if frame in ("pong", b"pong"):
            return ()
        try:
            message = _decode(frame)
            if isinstance(message, MiniTrade):
                return (self._trade(message, received_ns),)
            if isinstance(message, MiniBook):
                return (self._book(message, received_ns),)
            return self._answer(message)
        except (*_UNUSABLE, InvalidOperation, ValueError, LookupError) as error:
            self._malformed += 1
            return (Malformed(type(error).__name__.lower(), _sample(frame)),)

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        """Counts streams and frames that could not be used."""
        counters = {"streams": len(self._streams), "malformed": self._malformed}
        return SessionHealth(counters=counters)

    def _request(self, purpose: str, streams: Sequence[Subscription]) -> Send:
        self._number += 1
        self._asked[self._number] = (purpose == SUBSCRIBE, tuple(streams))
        words = [_word(one) for one in streams]
        body = {"op": purpose, "id": self._number, "streams": words}
        frame = msgspec.json.encode(body).decode()
        return Send(frame, tuple(streams), purpose, {"frames": 1})

    def _answer(self, message: MiniAnswer) -> Parsed:
        active, asked = self._asked.pop(message.id)
        words = {_word(one): one for one in asked}
        replies: list[Acked | Rejected] = [
            Acked(words[word], active) for word in message.yes
        ]
        replies += [
            Rejected(words[one.stream], one.code, "not served") for one in message.no
        ]
        return replies

    def _trade(self, message: MiniTrade, received_ns: int) -> Trade:
        stream = self._streams[f"trade:{message.symbol}"]
        return trade_from(message, stream, received_ns, LIVE)

    def _book(self, message: MiniBook, received_ns: int) -> BookSnapshot | BookDelta:
        stream = self._streams[f"book:{message.symbol}"]
        for level in (*message.bids, *message.asks):
            _number(level[0])
            _number(level[1])
        seq = _id(message.seq)
        at_ns = _time(message.ts)
        if message.prev == WHOLE_BOOK:
            return BookSnapshot(
                stream, message.bids, message.asks, seq, at_ns, received_ns
            )
        link = _id(message.prev)
        return BookDelta(
            stream, message.bids, message.asks, link, seq, at_ns, received_ns
        )


@attrs.define
class MiniBackfill:
    """Pages below the newest missing id, walking down.

    Each page repeats the fill above it, which proves that they join.
    """

    gap: Gap
    from_id: int
    to_id: int
    _above: int = attrs.field(init=False)
    _stale: int = attrs.field(default=0, init=False)
    _done: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._above = self.to_id + 1

    def next(self) -> Fetch | None:
        """The next page; None when the gap's lower end was reached."""
        if self._done:
            return None
        symbol = self.gap.stream.symbol
        url = f"https://mini.test/fills?symbol={symbol}&below={self._above + 1}"
        return Fetch(
            Request("GET", url), "fills", {"rest": 1}, subscription=self.gap.stream
        )

    def read(self, response: Response) -> BackfillPage:
        """The fills of one page; one that does not join is ``stale``."""
        stream = self.gap.stream
        try:
            rows = [
                trade_from(row, stream, response.received_ns, BACKFILL)
                for row in _decode_page(response.body)
            ]
        except (*_UNUSABLE, InvalidOperation, ValueError):
            rows = []
        ids = [row.last_id for row in rows]
        if self._above not in ids:
            self._stale += 1
            self._done = self._stale >= _MOST_STALE
            return BackfillPage((), stale=not self._done, exhausted=self._done)
        self._stale = 0
        oldest = min(ids)
        if oldest == self._above:
            self._done = True
            return BackfillPage((), exhausted=True)
        wanted = [row for row in rows if self.from_id <= row.last_id < self._above]
        newest = min(self._above - 1, self.to_id)
        self._above = oldest
        self._done = oldest <= self.from_id
        return BackfillPage(wanted, max(oldest, self.from_id), newest)


class MiniAdapter(AdapterBase):
    """The adapter of ``MiniVenue``."""

    name = MINI
    config = MiniConfig
    capabilities = Capabilities(
        ("spot",),
        {
            "trade": [
                Channel(
                    "trade",
                    "trade",
                    Continuity.CONTIGUOUS,
                    "fill",
                    backfill_reach_s=_DAY_S,
                )
            ],
            "orderbook": [Channel("book", "orderbook", Continuity.SEQUENCED)],
        },
    )

    def instruments(self, config: MiniConfig, market: str) -> Fetch:
        """Ask for the symbols."""
        return Fetch(Request("GET", "https://mini.test/symbols"), costs={"rest": 1})

    def read_instruments(self, response: Response) -> Sequence[Instrument]:
        """The symbols in the answer."""
        names = msgspec.json.decode(response.body, type=list[str])
        return [
            Instrument(MINI, "spot", name, name, *name.partition("-")[::2])
            for name in names
        ]

    def route(
        self,
        config: MiniConfig,
        instrument: Instrument | None,
        subscription: Subscription,
    ) -> Route:
        """One kind of socket for all."""
        return Route("public")

    def session(
        self, config: MiniConfig, instruments: Instruments, route: Route
    ) -> MiniSession:
        """A new session."""
        return MiniSession(config)

    def backfill(self, config: MiniConfig, gap: Gap) -> MiniBackfill | None:
        """Pages of fills; None for other data."""
        if gap.stream.channel != "trade" or gap.from_id is None or gap.to_id is None:
            return None
        return MiniBackfill(gap, gap.from_id, gap.to_id)

    def probe(self, config: MiniConfig, subscription: Subscription) -> Fetch | None:
        """Ask for the newest fills."""
        if subscription.channel != "trade":
            return None
        url = f"https://mini.test/fills?symbol={subscription.symbol}"
        return Fetch(Request("GET", url), costs={"rest": 1})

    def read_probe(self, response: Response) -> tuple[int | None, int | None]:
        """Id and time of the newest fill."""
        newest = max(_decode_page(response.body), key=lambda row: row.last)
        return newest.last, newest.ts * 1_000_000

    def budgets(self, config: MiniConfig) -> Sequence[Budget]:
        """The venue's limits."""
        return (
            Budget("connects", 3, 1.0),
            Budget("frames", 5, 1.0, scope="connection"),
            Budget("rest", 20, 2.0),
        )

    def classify(self, response: Response) -> Outcome:
        """By status alone."""
        kinds = {
            401: OutcomeKind.AUTH,
            404: OutcomeKind.FATAL,
            418: OutcomeKind.BANNED,
            429: OutcomeKind.LIMITED,
        }
        default = OutcomeKind.OK if response.status == 200 else OutcomeKind.RETRY
        kind = kinds.get(response.status, default)
        return Outcome(kind, reason=f"status {response.status}")

    def simulator(
        self,
        market: SimulatedMarket,
        *,
        faults: Sequence[Any] = (),
        ledger: Any = None,
    ) -> MiniVenue:
        """The venue."""
        return MiniVenue(cast(Any, market), faults=faults, ledger=ledger)


def trade_from(
    message: MiniTrade, stream: Subscription, received_ns: int, source: str
) -> Trade:
    """The trade that *message* is.

    Raises:
        ValueError: a number is out of range, or the side is none.
    """
    first, last = _id(message.first), _id(message.last)
    if message.side not in ("buy", "sell") or last < first:
        raise ValueError("a side or ids that are none")
    return Trade(
        stream,
        str(last),
        first,
        last,
        last - first + 1,
        message.side,
        _number(message.price),
        _number(message.size),
        _time(message.ts),
        received_ns,
        source,
    )


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if len(text) > 40 or not value.is_finite() or abs(value.adjusted()) > 30:
        raise ValueError("a number out of range")
    if value < 0:
        raise ValueError("a number below zero")
    return value


def _id(value: int) -> int:
    if not 0 <= value <= _LARGEST_ID:
        raise ValueError("an id out of range")
    return value


def _time(ms: int) -> int:
    if not 0 <= ms <= _LARGEST_MS:
        raise ValueError("a time out of range")
    return ms * 1_000_000


def _sample(frame: str | bytes) -> str:
    return str(frame[:200])


def _word(stream: Subscription) -> str:
    return f"{stream.channel}:{stream.symbol}"
