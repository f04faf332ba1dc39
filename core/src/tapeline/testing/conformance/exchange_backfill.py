"""Cases about filling holes: pages from the simulator's REST side, without sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from urllib.parse import urlsplit

import attrs

from tapeline.clock import Now
from tapeline.model import Backfill, Gap, Request, Response, Subscription, Trade
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.simulated_run import (
    build_simulator,
    instruments,
    simulated,
)
from tapeline.testing.conformance.subjects import ExchangeUnderTest
from tapeline.testing.conformance.verdicts import NotApplicable, NotShown, RuleBroken
from tapeline.testing.faults import Fault
from tapeline.testing.ledger import Ledger, LedgerFill
from tapeline.testing.market import START_NS, Market
from tapeline.testing.simulator import SimulatorBase

_MOST_PAGES = 400
_HISTORY_S = 120
_SECOND_NS = 10**9

_GARBAGE: Sequence[bytes] = (
    b"",
    b"[]",
    b"{}",
    b"null",
    b"<html>",
    b'{"code":"0","data":[]}',
    b'{"code":"0","data":[{}]}',
    b"[[null]]",
    b"[" * 50_000,
)


@case(
    "EX-FILL-001",
    "backfill finds every missing id once, and no other",
    tier=Tier.SILVER,
)
def whole(subject: ExchangeUnderTest) -> None:
    """A gap of many pages in the middle of the simulator's history is filled. Each id
    must be found once, as the ledger has it, marked ``source="backfill"``; what pages
    prove must be inside the gap.
    """
    world = _World.build(subject)
    pages = world.fill()
    _expect_whole(world, pages)


@case("EX-FILL-002", "cursors move and backfill ends", tier=Tier.SILVER)
def ends(subject: ExchangeUnderTest) -> None:
    """No page is asked for twice while answers are right; the walk ends after a
    number of pages that fits the gap, and stays ended.
    """
    world = _World.build(subject)
    pages = world.fill()
    asked = [page.url for page in pages]
    for url in asked:
        if asked.count(url) > 1:
            raise RuleBroken(
                f"{urlsplit(url).query} is asked for {asked.count(url)} times"
            )
    if len(pages) >= _MOST_PAGES:
        raise RuleBroken(f"it has not ended after {_MOST_PAGES} pages")
    if world.backfill.next() is not None:
        raise RuleBroken("it has ended and goes on when asked again")


@case(
    "EX-FILL-003",
    "a page of another place is never taken for the one asked",
    tier=Tier.SILVER,
)
def wrong_pages(subject: ExchangeUnderTest) -> None:
    """Caches answer with other pages than those asked for. Nothing may be proven that
    is not there: an id that pages prove to be known must be among the trades, or
    never have been issued.
    """
    faults = [Fault(kind="wrong-page", probability=0.3)]
    world = _World.build(subject, faults)
    found: set[int] = set()
    proven: set[int] = set()
    for page in world.fill():
        for trade in page.trades:
            found.update(range(trade.first_id, trade.last_id + 1))
        proven.update(page.proven)
    lost = sorted((proven & world.issued.keys()) - found)
    if lost:
        raise RuleBroken(f"{len(lost)} ids from {lost[0]} on are proven and not given")


@case("EX-FILL-004", "backfill takes any answer and ends", tier=Tier.SILVER)
def garbage(subject: ExchangeUnderTest) -> None:
    """Every page is answered with the same garbage. Nothing may raise, no trade may
    be given, nothing proven, and the walk must end.
    """
    world = _World.build(subject)
    for body in _GARBAGE:
        world.begin()
        pages = world.fill(lambda _, body=body: body)  # type: ignore[misc]
        if len(pages) >= _MOST_PAGES:
            raise RuleBroken(f"{_MOST_PAGES} answers {body[:20]!r} do not end it")
        if any(page.trades for page in pages):
            raise RuleBroken(f"the answer {body[:20]!r} gives trades")
        if any(page.proven for page in pages):
            raise RuleBroken(
                f"the answer {body[:20]!r} proves that ids were never issued"
            )


@attrs.frozen
class _Page:
    url: str
    trades: Sequence[Trade]
    proven: range


@attrs.define
class _World:
    """A simulator with some history, and the filling of a gap in it.

    Args:
        issued: id → its fill, inside the gap.
    """

    subject: ExchangeUnderTest
    simulator: SimulatorBase
    now_ns: int
    gap: Gap
    issued: dict[int, LedgerFill]
    backfill: Backfill = attrs.field(init=False)

    @classmethod
    def build(cls, subject: ExchangeUnderTest, faults: Sequence[Fault] = ()) -> _World:
        """Two minutes of trades, of which the middle is missing.

        Raises:
            NotApplicable: the adapter's trades cannot be filled over REST.
        """
        wanted = simulated(subject)
        adapter = subject.adapter
        config = subject.config_of(wanted.config)
        channel = adapter.channel(config, "trade", "")
        if not channel.backfill_reach_s:
            raise NotApplicable(f"channel {channel.name!r} declares no backfill")
        ledger = Ledger()
        market = Market(3, instruments(wanted.market, 1), 50.0, START_NS, depth=25)
        simulator = build_simulator(subject, market, faults, ledger)
        now_ns = START_NS + _HISTORY_S * _SECOND_NS
        simulator.advance(now_ns)
        numbered: dict[int, LedgerFill] = {}
        for fill in ledger.fills:
            number = fill.aggregate_id if channel.id_kind == "aggregate" else fill.id
            if number is None:
                raise NotShown("aggregate ids in the simulator's ledger")
            numbered.setdefault(number, fill)
        ids = sorted(numbered)
        from_id, to_id = ids[len(ids) // 4], ids[3 * len(ids) // 4]
        stream = Subscription(
            adapter.name,
            wanted.market,
            market.instruments[0].symbol,
            "trade",
            channel.name,
            channel.id_kind,
        )
        times = (numbered[from_id].exchange_ns, numbered[to_id].exchange_ns)
        gap = Gap(stream, 1, 0, from_id, to_id, *times, "disconnect", now_ns)
        issued = {n: f for n, f in numbered.items() if from_id <= n <= to_id}
        world = cls(subject, simulator, now_ns, gap, issued)
        world.begin()
        return world

    def begin(self) -> None:
        """Begin to fill the gap, as if nothing was asked yet."""
        adapter = self.subject.adapter
        config = self.subject.config_of(simulated(self.subject).config)
        backfill = adapter.backfill(config, self.gap)
        if backfill is None:
            raise RuleBroken(f"{self.gap.stream} declares backfill and offers none")
        self.backfill = backfill

    def fill(self, answer: Callable[[str], bytes] | None = None) -> list[_Page]:
        """Ask and read until it ends, or for far too many pages."""
        pages: list[_Page] = []
        while len(pages) < _MOST_PAGES:
            fetch = self.backfill.next()
            if fetch is None:
                break
            # As core does it: each page a little later than the one before.
            self.now_ns += _SECOND_NS
            target = fetch.request.url
            headers: dict[str, str] = {}
            status = 200
            if answer is not None:
                body = answer(target)
            else:
                status, body, headers = self._ask(fetch.request)
            response = Response(
                fetch.request, status, headers, body, self.now_ns, fetch.tag
            )
            page = self.backfill.read(response)
            proven = range(0)
            if page.proven_from_id is not None and page.proven_to_id is not None:
                proven = range(page.proven_from_id, page.proven_to_id + 1)
            pages.append(_Page(target, page.trades, proven))
        return pages

    def _ask(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        if request.private:
            now = Now(self.now_ns, self.now_ns, 0)
            config = self.subject.config_of(simulated(self.subject).config)
            request = self.subject.adapter.sign(config, request, now)
        parts = urlsplit(request.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lower = {name.lower(): value for name, value in request.headers.items()}
        answer = self.simulator.request(request.method, target, lower, self.now_ns)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, answer.body, headers


def _expect_whole(world: _World, pages: Sequence[_Page]) -> None:
    found: set[int] = set()
    for page in pages:
        for trade in page.trades:
            ids = range(trade.first_id, trade.last_id + 1)
            if trade.source != "backfill":
                raise RuleBroken(
                    f"trade {trade.trade_id} has the source {trade.source!r}"
                )
            for number in ids:
                fill = world.issued.get(number)
                if fill is None:
                    raise RuleBroken(f"{number} is given, which is not of the gap")
                if number in found:
                    raise RuleBroken(f"{number} is given twice")
                found.add(number)
                if trade.price != Decimal(fill.price):
                    raise RuleBroken(f"{number} has the price {trade.price}")
        for number in (*page.proven[:1], *page.proven[-1:]):
            if not min(world.issued) <= number <= max(world.issued):
                raise RuleBroken(f"a page proves {number}, which is not of the gap")
    missing = sorted(world.issued.keys() - found)
    if missing:
        raise RuleBroken(f"{len(missing)} ids from {missing[0]} on are never given")
