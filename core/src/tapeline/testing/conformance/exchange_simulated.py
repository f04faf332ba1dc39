"""Cases with faults: the adapter's simulator, core's engine, virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapeline.model import Continuity
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.simulated_run import Run, run_simulated, simulated
from tapeline.testing.conformance.subjects import ExchangeUnderTest
from tapeline.testing.conformance.verdicts import NotApplicable, NotShown, RuleBroken
from tapeline.testing.faults import Fault

_COLD_START_S = 120.0
_CALM_S = 45.0
_FAULTS_S = 45.0


@case("EX-SIM-001", "without faults every fill is stored once", tier=Tier.SILVER)
def quiet(subject: ExchangeUnderTest) -> None:
    """Half a minute of trades from the simulator, through core's engine into a sink,
    judged against the simulator's ledger: nothing lost, doubled or invented, no gap,
    and no limit of the venue violated.
    """
    run = run_simulated(subject)
    _expect_kept(run)
    if run.verdict.in_gaps:
        raise RuleBroken(f"{run.verdict.in_gaps} fills are in gaps without any fault")


@case("EX-SIM-002", "disconnects of every kind lose nothing silently", tier=Tier.SILVER)
def disconnects(subject: ExchangeUnderTest) -> None:
    """Sockets are closed, torn and left half-open, handshakes are refused. Every
    fill inside coverage must be stored once or be in a gap, and all streams live
    again afterwards.
    """
    faults = [
        Fault(kind="abort", mean_s=7.0, for_s=_FAULTS_S),
        Fault(kind="close", at_s=20.0, every_s=15.0, for_s=_FAULTS_S - 20.0, code=1001),
        Fault(kind="half-open", at_s=12.0),
        Fault(kind="refuse", at_s=30.0, for_s=3.0, status=503),
    ]
    run = run_simulated(subject, faults, seconds=_FAULTS_S + 2 * _CALM_S)
    _expect_kept(run)
    _expect_live(run)


@case(
    "EX-SIM-003",
    "lost, doubled and late frames lose nothing silently",
    tier=Tier.SILVER,
)
def shaped_frames(subject: ExchangeUnderTest) -> None:
    """Frames of trades are dropped, doubled and change places. Duplicates must be
    recognized by their ids, holes become gaps and are filled.
    """
    faults = [
        Fault(kind=kind, probability=0.05, for_s=_FAULTS_S)
        for kind in ("drop", "duplicate", "permute")
    ]
    run = run_simulated(subject, faults, seconds=_FAULTS_S + _CALM_S)
    _expect_kept(run)
    _expect_live(run)


@case("EX-SIM-004", "malformed frames and lost acks are survived", tier=Tier.SILVER)
def malformed_frames(subject: ExchangeUnderTest) -> None:
    """Malformed frames of every kind come every second while sockets are torn and
    acknowledgments stay away for a while.
    """
    faults = [
        Fault(kind="malformed", at_s=2.0, every_s=1.0, for_s=_FAULTS_S),
        Fault(kind="abort", at_s=10.0),
        Fault(kind="no-ack", at_s=9.0, for_s=10.0),
    ]
    run = run_simulated(subject, faults, seconds=_FAULTS_S + _CALM_S)
    _expect_kept(run)
    _expect_live(run)


@case(
    "EX-SIM-005",
    "REST errors delay what is missing, they do not lose it",
    tier=Tier.SILVER,
)
def rest_errors(subject: ExchangeUnderTest) -> None:
    """While gaps are to be filled, REST answers with 500, HTML and 429 with a
    Retry-After, which must be kept.
    """
    faults = [
        Fault(kind="abort", at_s=8.0, every_s=9.0, for_s=30.0),
        Fault(kind="rest-status", at_s=8.0, for_s=6.0, status=500),
        Fault(kind="rest-status", at_s=17.0, for_s=4.0, status=502, body="<html>"),
        Fault(kind="rest-status", at_s=26.0, for_s=2.0, status=429, retry_after_s=5.0),
    ]
    run = run_simulated(subject, faults, seconds=_FAULTS_S + _CALM_S)
    _expect_kept(run)
    _expect_live(run)


@case(
    "EX-BOOK-101",
    "faults never leave a live book that is silently wrong",
    tier=Tier.SILVER,
)
def live_books(subject: ExchangeUnderTest) -> None:
    """Frames of books are dropped, doubled and swapped, the venue counts afresh and
    tears sockets. Whatever a consumer may build of what core gives it must equal the
    venue's own book of the same sequence; at the end it must follow again.
    """
    wanted = simulated(subject)
    offered = subject.adapter.capabilities.channels.get("orderbook", ())
    if not any(each.continuity is Continuity.SEQUENCED for each in offered):
        raise NotApplicable("no channel with sequenced books is offered")
    if not wanted.books:
        raise NotShown("the name of the books' channel in SimulatedCollection")
    faults = [
        *(
            Fault(kind=kind, probability=0.02, channel=wanted.books, for_s=_FAULTS_S)
            for kind in ("drop", "duplicate", "permute")
        ),
        Fault(kind="reset-sequence", at_s=25.0),
        Fault(kind="abort", at_s=10.0),
    ]
    run = run_simulated(
        subject, faults, seconds=_FAULTS_S + _CALM_S, data_types=("orderbook",)
    )
    if run.books_wrong:
        raise RuleBroken(f"{len(run.books_wrong)} times, first {run.books_wrong[0]}")
    if not run.books_compared:
        raise RuleBroken("no book was ever valid while the venue's was known")
    if run.books_behind:
        raise RuleBroken(f"{run.books_behind[0]} was never repaired")
    _expect_live(run)


@case("EX-IDLE-001", "a socket without data stays open", tier=Tier.SILVER)
def idle(subject: ExchangeUnderTest) -> None:
    """Nobody trades for ten minutes. Keepalive must satisfy the venue: no socket may
    be closed by it, and none given up by us.
    """
    run = run_simulated(subject, seconds=600.0, rate_hz=0.0)
    if run.simulator.closes or run.simulator.opened > 1:
        raise RuleBroken(
            f"the venue closed {run.simulator.closes} sockets and accepted "
            f"{run.simulator.opened} in ten minutes"
        )
    _expect_lawful(run)


@case(
    "EX-LIMITS-001", "a cold start of many symbols keeps every limit", tier=Tier.SILVER
)
def cold_start(subject: ExchangeUnderTest) -> None:
    """Dozens of symbols with trades and books are wanted at once. The simulator's
    police counts what a client may not do: it must count nothing, and all streams
    must flow within two minutes.
    """
    wanted = simulated(subject)
    types: Sequence[str] = ("trade", "orderbook") if wanted.books else ("trade",)
    run = run_simulated(
        subject,
        seconds=_COLD_START_S,
        symbols=wanted.symbols,
        rate_hz=0.5,
        data_types=types,
    )
    _expect_lawful(run)
    _expect_live(run, wanted.symbols * len(types))


def _expect_kept(run: Run) -> None:
    verdict = run.verdict
    if verdict.problems:
        raise RuleBroken("; ".join(verdict.problems[:3]))
    if not verdict.stored:
        raise RuleBroken("nothing is stored at all")
    _expect_lawful(run)


def _expect_lawful(run: Run) -> None:
    violations: dict[str, Any] = dict(run.simulator.police.violations)
    if violations:
        raise RuleBroken(f"limits of the venue are violated: {violations}")


def _expect_live(run: Run, count: int = 0) -> None:
    states = run.streams()
    # A stream on which nobody trades for a moment is asked about, which is no fault.
    good = ("live", "quiet", "suspect")
    bad = [f"{name} is {state}" for name, state in states.items() if state not in good]
    if bad or len(states) < count:
        raise RuleBroken(f"{len(bad)} of {len(states)} streams: {'; '.join(bad[:3])}")
    if run.verdict.gaps_open:
        raise RuleBroken(f"{run.verdict.gaps_open} gaps are open still")
