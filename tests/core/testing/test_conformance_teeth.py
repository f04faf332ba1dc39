"""Deliberately broken adapters: each is caught by the case that names its fault."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from time import time_ns
from typing import Any

import attrs
import msgspec
import pytest

from tapeline.clock import Now
from tapeline.hookspecs import Parsed, hookimpl
from tapeline.model import (
    Acked,
    Action,
    BackfillPage,
    BookDelta,
    BookSnapshot,
    Budget,
    Fetch,
    Gap,
    Malformed,
    Outcome,
    Recovery,
    Rejected,
    Response,
    Secret,
    Send,
    SessionHealth,
    Subscription,
    Tick,
    Trade,
)
from tapeline.testing import (
    SECRET_TEXT,
    ExchangeUnderTest,
    MiniAdapter,
    MiniConfig,
    MiniSession,
    Recording,
    SimulatedCollection,
    mini_answers,
    mini_stream,
)
from tapeline.testing.conformance import EXCHANGE_CASES, run_case
from tapeline.testing.conformance import Outcome as Came
from tapeline.testing.mini_adapter import MiniBackfill

TRADES = mini_stream("trade", "BTC-USDT")
BOOK = mini_stream("book", "BTC-USDT")
SIMULATED = ("EX-SIM-", "EX-FILL-", "EX-BOOK-1", "EX-IDLE-", "EX-LIMITS-")
OFFLINE = [c for c in EXCHANGE_CASES if not c.id.startswith((*SIMULATED, "EX-COST"))]
BY_ID = {case.id: case for case in EXCHANGE_CASES}
MS = 1_000_000


def text(**body: object) -> str:
    """A frame of the venue."""
    return msgspec.json.encode(body).decode()


def trade_frame(first: int, last: int, price: str) -> str:
    return text(
        kind="trade",
        symbol="BTC-USDT",
        first=first,
        last=last,
        price=price,
        size="0.25",
        side="buy",
        ts=1_700_000_000_000 + last,
    )


def book_frame(prev: int, seq: int, bids: Any, asks: Any) -> str:
    return text(
        kind="book",
        symbol="BTC-USDT",
        prev=prev,
        seq=seq,
        bids=bids,
        asks=asks,
        ts=1_700_000_000_000 + seq,
    )


TRADE_FRAMES = (
    trade_frame(7, 7, "64000.1"),
    trade_frame(8, 10, "64000.15"),
    trade_frame(11, 11, "63999"),
)
BOOK_FRAMES = (
    book_frame(-1, 100, [("9", "1"), ("8", "2")], [("10", "3"), ("11", "4")]),
    book_frame(100, 107, [("9", "5")], []),
    book_frame(107, 114, [], [("10", "0"), ("10.5", "1")]),
    book_frame(114, 121, [("8", "0"), ("8.5", "7")], [("11", "2")]),
)
GOLDEN = [
    Trade(
        TRADES,
        str(last),
        first,
        last,
        last - first + 1,
        "buy",
        Decimal(price),
        Decimal("0.25"),
        (1_700_000_000_000 + last) * MS,
        0,
    )
    for first, last, price in (
        (7, 7, "64000.1"),
        (8, 10, "64000.15"),
        (11, 11, "63999"),
    )
]


def subject_of(
    session: type[MiniSession] = MiniSession, adapter: type[MiniAdapter] = MiniAdapter
) -> ExchangeUnderTest:
    """The small adapter, with another session or as another adapter."""

    class Made(adapter):  # type: ignore[misc, valid-type]
        def session(self, config: Any, instruments: Any, route: Any) -> MiniSession:
            return session(config)

    return ExchangeUnderTest(
        Made(),
        (
            Recording("trades", [TRADES], TRADE_FRAMES, GOLDEN),
            Recording("both", [BOOK, TRADES], (*BOOK_FRAMES, TRADE_FRAMES[0])),
        ),
        answers=mini_answers,
        simulated=SimulatedCollection(trades="trade", books="book", symbols=40),
        secrets=MiniConfig(token=Secret(SECRET_TEXT)),
    )


# The faults, one class each.


class Misspelt(MiniSession):
    """A hook that nobody calls."""

    @hookimpl
    def resubscribe(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        return ()


class Rounds(MiniSession):
    """Prices go through a float and lose digits."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [
            attrs.evolve(item, price=Decimal(str(round(float(item.price), 1))))
            if isinstance(item, Trade)
            else item
            for item in super().parse(frame, received_ns)
        ]


class StampsItself(MiniSession):
    """``received_ns`` is the venue's time."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [
            attrs.evolve(item, received_ns=item.exchange_ns)
            if isinstance(item, Trade)
            else item
            for item in super().parse(frame, received_ns)
        ]


class OtherStream(MiniSession):
    """Events under an identity that nobody subscribed."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [
            attrs.evolve(item, stream=attrs.evolve(item.stream, symbol="BTCUSDT"))
            if isinstance(item, BookSnapshot | BookDelta)
            else item
            for item in super().parse(frame, received_ns)
        ]


class TextOnly(MiniSession):
    """Bytes are not understood."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        if isinstance(frame, bytes):
            return (Malformed("bytes", ""),)
        return super().parse(frame, received_ns)


class SharedCounter(MiniSession):
    """Request numbers go on from one session to the next."""

    numbers = iter(range(1, 10**9))

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        self._number = next(self.numbers) * 100
        return super().subscribe(wanted, now)


class SharedList(MiniSession):
    """Every book has the same list of bids, which goes on changing."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        items = super().parse(frame, received_ns)
        mine: list[Any] = self.__dict__.setdefault("_bids", [])
        given = []
        for item in items:
            if isinstance(item, BookSnapshot | BookDelta):
                mine[:] = item.bids
                item = attrs.evolve(item, bids=mine)
            given.append(item)
        return given


class NeedsTheBeginning(MiniSession):
    """A change before any snapshot is a bug to it."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        items = super().parse(frame, received_ns)
        for item in items:
            if isinstance(item, BookSnapshot):
                self._begun = True
            elif isinstance(item, BookDelta) and not hasattr(self, "_begun"):
                raise KeyError(item.stream)
        return items


class Careless(MiniSession):
    """Whatever cannot be decoded is raised."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        items = super().parse(frame, received_ns)
        for item in items:
            if isinstance(item, Malformed) and item.reason == "decodeerror":
                raise ValueError("no JSON")
        return items


class Lenient(MiniSession):
    """Numbers of any type are taken for what they look like."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        try:
            body = msgspec.json.decode(frame)
            if body["kind"] == "trade" and isinstance(body["size"], bool):
                body["size"] = str(int(body["size"]))
                frame = msgspec.json.encode(body)
        except (
            msgspec.MsgspecError,
            UnicodeError,
            KeyError,
            TypeError,
            RecursionError,
        ):
            pass
        return super().parse(frame, received_ns)


class TakesNaN(MiniSession):
    """A price may be any Decimal."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        items = super().parse(frame, received_ns)
        if items and isinstance(items[0], Malformed):
            try:
                body = msgspec.json.decode(frame)
                if body["price"] == "NaN":
                    return [
                        attrs.evolve(
                            GOLDEN[0], price=Decimal("NaN"), received_ns=received_ns
                        )
                    ]
            except (
                msgspec.MsgspecError,
                UnicodeError,
                LookupError,
                TypeError,
                RecursionError,
            ):
                pass
        return items


class Eager(MiniSession):
    """A frame without content repeats the last trade."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        if frame in ("{}", b"{}"):
            return [attrs.evolve(GOLDEN[0], received_ns=received_ns)]
        return super().parse(frame, received_ns)


class ReadsClock(MiniSession):
    """The clock of the machine, imported by name."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        assert time_ns() > 0
        return super().parse(frame, received_ns)


class Logs(MiniSession):
    """A log line a frame."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        logging.getLogger("acme").debug("a frame")
        return super().parse(frame, received_ns)


class Dices(MiniSession):
    """Request numbers are drawn."""

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        self._number = random.randrange(10**9)
        return super().subscribe(wanted, now)


class AcksAtOnce(MiniSession):
    """A data frame or an answer acks whatever was asked, refused or not."""

    def _answer(self, message: Any) -> Parsed:
        _, asked = self._asked.pop(message.id)
        return [Acked(one) for one in asked]


class AcksTwice(MiniSession):
    """The answer counts twice."""

    def _answer(self, message: Any) -> Parsed:
        items = super()._answer(message)
        return [*items, *(item for item in items if isinstance(item, Acked))]


class NoCode(MiniSession):
    """Refusals without the venue's code."""

    def _answer(self, message: Any) -> Parsed:
        return [
            attrs.evolve(item, code="") if isinstance(item, Rejected) else item
            for item in super()._answer(message)
        ]


class AllOrNothing(MiniSession):
    """One accepted stream stands for the whole request."""

    def _answer(self, message: Any) -> Parsed:
        _, asked = self._asked[message.id]
        items = super()._answer(message)
        return [Acked(one) for one in asked] if message.yes else items


class UnknownBudget(MiniSession):
    """Costs of a budget that the adapter does not have."""

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        sent = super().subscribe(wanted, now)
        return [
            attrs.evolve(each, costs={"messages": 1})
            for each in sent
            if isinstance(each, Send)
        ]


class WakesInThePast(MiniSession):
    """It wants to be woken now, for ever."""

    @hookimpl
    def tick(self, now: Now) -> Tick:
        return Tick((), now.monotonic_ns)


class NoRecovery(MiniSession):
    """The end of a socket leaves it speechless."""

    @hookimpl
    def closed(self, code: int | None, reason: str) -> Recovery:
        return None  # type: ignore[return-value]


class TrustsRest(MiniSession):
    """Answers of REST are always as they should be."""

    @hookimpl
    def respond(self, response: Response, now: Now) -> Parsed:
        return [msgspec.json.decode(response.body)["book"]]


class TellsSecrets(MiniSession):
    """Its repr shows its options, opened."""

    def __repr__(self) -> str:
        token = self._config.token
        return f"TellsSecrets({token.reveal() if token else None})"


class ForgetfulHealth(MiniSession):
    """A counter that starts afresh."""

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        self._read = getattr(self, "_read", 5) - 1
        return SessionHealth(counters={"frames": self._read})


class Swallows(MiniSession):
    """What cannot be used is nobody's business."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        items = super().parse(frame, received_ns)
        return [item for item in items if not isinstance(item, Malformed)]


class LastIdOnly(MiniSession):
    """A trade of several fills has only its last id."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [
            attrs.evolve(item, first_id=item.last_id)
            if isinstance(item, Trade)
            else item
            for item in super().parse(frame, received_ns)
        ]


class Unlinked(MiniSession):
    """Changes do not say what they follow."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [
            attrs.evolve(item, link_id=None) if isinstance(item, BookDelta) else item
            for item in super().parse(frame, received_ns)
        ]


class BreaksTheChain(MiniSession):
    """The link is off by one."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [
            attrs.evolve(item, link_id=item.link_id + 1)
            if isinstance(item, BookDelta) and item.link_id is not None
            else item
            for item in super().parse(frame, received_ns)
        ]


class LinksItself(MiniSession):
    """The link is what came last, not what the venue says."""

    _last: int | None

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        given = []
        for item in super().parse(frame, received_ns):
            if isinstance(item, BookDelta) and hasattr(self, "_last"):
                item = attrs.evolve(item, link_id=self._last)
            if isinstance(item, BookSnapshot | BookDelta):
                self._last = item.last_id
            given.append(item)
        return given


class MixesResets(MiniSession):
    """A second snapshot is taken for a change, with the sequence it has."""

    _at: int | None

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        given: list[Any] = []
        for item in super().parse(frame, received_ns):
            if isinstance(item, BookSnapshot) and hasattr(self, "_at"):
                item = BookDelta(
                    item.stream,
                    item.bids,
                    item.asks,
                    self._at,
                    item.last_id,
                    item.exchange_ns,
                    item.received_ns,
                )
            if isinstance(item, BookSnapshot | BookDelta):
                self._at = item.last_id
            given.append(item)
        return given


class BadRest(MiniAdapter):
    """Errors are understood only as JSON."""

    def classify(self, response: Response) -> Outcome:
        msgspec.json.decode(response.body, type=dict[str, Any])
        return super().classify(response)


class BadReplay(MiniAdapter):
    """Recordings are expected to be all right."""

    def recorded_subscriptions(
        self, config: MiniConfig, frame: str
    ) -> Sequence[Subscription]:
        return [mini_stream("trade", msgspec.json.decode(frame)["symbol"])]


class Slow(MiniSession):
    """Decodes each frame thirty times."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        for _ in range(30):
            msgspec.json.decode(frame)
        return super().parse(frame, received_ns)


SESSIONS: Mapping[str, tuple[type[MiniSession], str]] = {
    "EX-HOOKS-001": (Misspelt, "*"),
    "EX-GOLDEN-001": (Rounds, ""),
    "EX-EVENTS-001": (StampsItself, "EX-GOLDEN EX-NUMBERS"),
    "EX-BYTES-001": (TextOnly, ""),
    "EX-SAME-001": (SharedCounter, ""),
    "EX-PREFIX-001": (SharedList, "*"),
    "EX-PREFIX-002": (NeedsTheBeginning, "*"),
    "EX-TRUNCATED-001": (Careless, "EX-FOREIGN EX-NUMBERS EX-HEALTH-002"),
    "EX-TYPES-001": (Lenient, ""),
    "EX-NUMBERS-001": (TakesNaN, ""),
    "EX-FOREIGN-001": (Eager, ""),
    "EX-PURE-001": (ReadsClock, ""),
    "EX-PURE-001 log": (Logs, ""),
    "EX-PURE-001 dice": (Dices, "EX-SAME-001"),
    "EX-EVENTS-001 stream": (OtherStream, "EX-BOOK EX-NUMBERS EX-TYPES"),
    "EX-ACK-001": (AcksTwice, ""),
    "EX-ACK-002": (AcksAtOnce, "EX-ACK-003"),
    "EX-ACK-002 code": (NoCode, ""),
    "EX-ACK-003": (AllOrNothing, ""),
    "EX-DIAL-001": (UnknownBudget, ""),
    "EX-TICK-001": (WakesInThePast, ""),
    "EX-CLOSED-001": (NoRecovery, ""),
    "EX-REST-002": (TrustsRest, ""),
    "EX-SECRET-001": (TellsSecrets, ""),
    "EX-HEALTH-001": (ForgetfulHealth, ""),
    "EX-HEALTH-002": (Swallows, ""),
    "EX-IDS-001": (LastIdOnly, "EX-GOLDEN"),
    "EX-BOOK-001": (BreaksTheChain, "*"),
    "EX-BOOK-002": (Unlinked, "EX-BOOK-003 EX-BOOK-004"),
    "EX-BOOK-002 own link": (LinksItself, "EX-BOOK-003"),
    "EX-BOOK-004": (MixesResets, "EX-BOOK-003"),
}
"""Case that names the fault → what has it, and what else may notice."""


def failures(subject: ExchangeUnderTest, cases: Sequence[Any]) -> dict[str, str]:
    """Case id → what was found, of those that do not pass."""
    results = [run_case(case, subject, (1, 0)) for case in cases]
    return {
        each.case.id: each.message
        for each in results
        if each.outcome is not Came.PASSED
    }


def test_the_whole_adapter_passes_every_offline_case() -> None:
    assert failures(subject_of(), OFFLINE) == {}


@pytest.mark.parametrize("case", SESSIONS)
def test_a_broken_session_is_caught_by_the_case_that_names_its_fault(case: str) -> None:
    broken, others = SESSIONS[case]
    case_id = case.partition(" ")[0]
    found = failures(subject_of(broken), OFFLINE)

    assert case_id in found, found
    assert f"docs/conformance.md#{case_id.lower()}" in found[case_id]
    if others != "*":
        allowed = (case_id, *others.split())
        assert [name for name in found if not name.startswith(allowed)] == [], found


def test_a_golden_event_that_differs_is_told_field_by_field() -> None:
    told = failures(subject_of(Rounds), [BY_ID["EX-GOLDEN-001"]])["EX-GOLDEN-001"]
    assert re.search(r"event \d has price 64000\.\d instead of 64000\.15$", told, re.M)
    assert "received_ns" not in told


@pytest.mark.parametrize(
    ("case", "broken"), [("EX-REST-001", BadRest), ("EX-REPLAY-001", BadReplay)]
)
def test_a_broken_adapter_is_caught_by_the_case_that_names_its_fault(
    case: str, broken: type[MiniAdapter]
) -> None:
    assert [*failures(subject_of(adapter=broken), OFFLINE)] == [case]


def test_a_slow_parse_is_over_its_budget() -> None:
    cost = [BY_ID["EX-COST-001"]]
    assert failures(subject_of(), cost) == {}
    assert "EX-COST-001" in failures(subject_of(Slow), cost)


# Faults that show only against the simulator.


class OwnIds(MiniSession):
    """Trades are counted by the session itself."""

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        given = []
        for item in super().parse(frame, received_ns):
            if isinstance(item, Trade):
                self._count = getattr(self, "_count", 0) + 1
                number = self._count
                item = attrs.evolve(item, first_id=number, last_id=number, fills=1)
            given.append(item)
        return given


class NoResync(MiniSession):
    """A broken book is not asked for again."""

    @hookimpl
    def resync(self, subscription: Subscription, now: Now) -> Sequence[Action]:
        return ()


class Unlimited(MiniAdapter):
    """The venue's limits are not declared."""

    def budgets(self, config: MiniConfig) -> Sequence[Budget]:
        return ()


class OneAFrame(MiniSession):
    """A frame for each stream, without its cost."""

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        sent = [action for one in wanted for action in super().subscribe([one], now)]
        return [attrs.evolve(e, costs={}) for e in sent if isinstance(e, Send)]


@attrs.define
class ShortFill(MiniBackfill):
    """The newest missing id is forgotten."""

    def read(self, response: Response) -> BackfillPage:
        page = super().read(response)
        kept = [trade for trade in page.trades if trade.last_id != self.to_id]
        return attrs.evolve(page, trades=kept)


@attrs.define
class StuckFill(MiniBackfill):
    """Each page is asked for twice."""

    turn: int = 0
    kept: Fetch | None = None

    def next(self) -> Fetch | None:
        self.turn += 1
        if self.turn % 2:
            self.kept = super().next()
        return self.kept

    def read(self, response: Response) -> BackfillPage:
        if self.turn % 2:
            return BackfillPage((), stale=True)
        return super().read(response)


@attrs.define
class TrustingFill(MiniBackfill):
    """A page is taken for the one that was asked for."""

    def read(self, response: Response) -> BackfillPage:
        before = self._above
        page = super().read(response)
        if page.stale:
            rows = msgspec.json.decode(response.body)
            if rows:
                self._above = min(self._above - 1, rows[-1]["first"])
                self._done = self._above <= self.from_id
                low = max(self.from_id, self._above)
                return BackfillPage((), low, min(before - 1, self.to_id))
        return page


@attrs.define
class RaisingFill(MiniBackfill):
    """An answer that is no page is raised."""

    def read(self, response: Response) -> BackfillPage:
        if not isinstance(msgspec.json.decode(response.body), list):
            raise TypeError("no page")
        return super().read(response)


def filling(backfill: type[MiniBackfill]) -> type[MiniAdapter]:
    """An adapter with another way to fill gaps."""

    class Fills(MiniAdapter):
        def backfill(self, config: MiniConfig, gap: Gap) -> MiniBackfill | None:
            if gap.from_id is None or gap.to_id is None:
                return None
            return backfill(gap, gap.from_id, gap.to_id)

    return Fills


SIMULATIONS: Sequence[tuple[str, Callable[[], ExchangeUnderTest]]] = [
    ("EX-SIM-001", lambda: subject_of(OwnIds)),
    ("EX-BOOK-101", lambda: subject_of(NoResync)),
    ("EX-LIMITS-001", lambda: subject_of(OneAFrame, Unlimited)),
    ("EX-FILL-001", lambda: subject_of(adapter=filling(ShortFill))),
    ("EX-FILL-002", lambda: subject_of(adapter=filling(StuckFill))),
    ("EX-FILL-003", lambda: subject_of(adapter=filling(TrustingFill))),
    ("EX-FILL-004", lambda: subject_of(adapter=filling(RaisingFill))),
]


@pytest.mark.parametrize(
    ("case", "broken"), SIMULATIONS, ids=[case for case, _ in SIMULATIONS]
)
def test_a_fault_that_needs_a_venue_is_caught_on_the_simulator(
    case: str, broken: Callable[[], ExchangeUnderTest]
) -> None:
    assert case in failures(broken(), [BY_ID[case]])


@pytest.mark.parametrize(
    "case",
    [c for c in EXCHANGE_CASES if c.id.startswith(SIMULATED)],
    ids=lambda c: c.id,
)
def test_the_whole_adapter_passes_on_its_simulator(case: Any) -> None:
    assert failures(subject_of(), [case]) == {}
