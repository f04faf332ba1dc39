"""Whether what is wanted is being delivered: streams, books, sinks, journal.

Judged from what the parts know at the moment of asking; nothing is remembered and
the network is never asked. A market that a probe found quiet is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tapeline.clock import now
from tapeline.delivery import SinkRunner
from tapeline.model import Health, HealthLevel
from tapeline.model import SubscriptionState as State
from tapeline.runtime.feed import Feed
from tapeline.transport import LinkStatus, SubscriptionStatus

if TYPE_CHECKING:
    from tapeline.runtime.engine import Engine

ALIVE_WITHIN_S = 15.0
"""The loop is taken for stuck when it has not turned for so long."""
OPEN_GAP_AFTER_S = 60.0
"""A gap that is open for so long is told of."""
STORED_WITHIN_S = 30.0
"""What was received is on the disk by then, or the disk is taken for stuck."""
LAGGING_AFTER_S = 60.0
"""A sink that is so far behind is told of."""

_FLOWS = (State.LIVE, State.QUIET)
_NAMED = 5


def judge(engine: Engine) -> Health:
    """How *engine* is now."""
    alive = _heartbeat_age_s(engine) < ALIVE_WITHIN_S
    if not engine.running:
        reason = f": {engine.last_error}" if engine.last_error else ""
        issue = f"the engine does not run{reason}"
        return Health(HealthLevel.FAILING, False, False, (issue,))
    issues: list[str] = []
    warnings: list[str] = []
    if not alive:
        issues.append(f"the loop has not turned for {_heartbeat_age_s(engine):.0f} s")
    begun = True
    for name, feed in engine.feeds.items():
        status = engine.link_status(name)
        begun = begun and _has_begun(feed, status)
        issues += _shortened(_feed_issues(engine, name, feed, status))
        warnings += _shortened(_feed_warnings(status))
    issues += _book_issues(engine)
    issues += _shortened(_numbering_issues(engine))
    for runner in engine.runners.values():
        _judge_sink(runner, issues, warnings)
    _judge_live_sinks(engine, issues, warnings)
    _judge_journal(engine, issues)
    warnings += _gap_warnings(engine)
    if not issues:
        level = HealthLevel.DEGRADED if warnings else HealthLevel.HEALTHY
        return Health(level, True, alive, (), tuple(warnings))
    level = HealthLevel.FAILING if begun else HealthLevel.STARTING
    return Health(level, False, alive, tuple(issues), tuple(warnings))


def _heartbeat_age_s(engine: Engine) -> float:
    return (now(engine.seams.clock).monotonic_ns - engine.heartbeat_ns) / 1e9


def _has_begun(feed: Feed, status: LinkStatus) -> bool:
    """Whether *feed* has ever got anything."""
    return feed.instruments_loaded and any(
        stream.last_message_ns is not None for stream in status.subscriptions
    )


def _feed_issues(
    engine: Engine, name: str, feed: Feed, status: LinkStatus
) -> Iterator[str]:
    part = engine.parts.get(name)
    if part is not None and part.state == "failed":
        yield f"collector {name} has failed: {part.last_error}"
        return
    if not feed.instruments_loaded:
        told = feed.last_error or status.last_error
        reason = f": {told}" if told else ""
        yield f"collector {name} has no answer of {status.exchange} yet{reason}"
        return
    for sentence in feed.unknown_symbols.values():
        yield f"collector {name}: {sentence}"
    for lost in engine.failed_parts(name):
        # Without it nobody can tell, or repair.
        yield f"{lost.name} has failed: {lost.last_error}"
    failed = _failed_sockets(status)
    for reason in dict.fromkeys(failed.values()):
        yield f"collector {name} has failed: {reason}"
    for stream in status.subscriptions:
        if stream.socket in failed and stream.state is State.DISCONNECTED:
            continue
        if not _is_delivered(engine, name, feed, stream):
            why = stream.reason
            if stream.state is State.DISCONNECTED:
                why = _why_closed(status, stream.socket)
            reason = f": {why}" if why else ""
            yield f"{stream.subscription} is {stream.state}{reason}"


def _failed_sockets(status: LinkStatus) -> dict[int, str]:
    """Sockets that no line opens any more, with the reason of one."""
    failed = {one.socket: one.failed for one in status.sockets if one.failed}
    for one in status.sockets:
        if not one.failed:
            failed.pop(one.socket, None)
    return failed


def _why_closed(status: LinkStatus, socket: int) -> str:
    reasons = (one.last_error for one in status.sockets if one.socket == socket)
    return next((reason for reason in reasons if reason), "")


def _is_delivered(
    engine: Engine, name: str, feed: Feed, stream: SubscriptionStatus
) -> bool:
    state = stream.state
    if state in _FLOWS or state is State.HALTED:
        return True
    if state is State.SUSPECT:
        if stream.last_message_ns is None:
            # It has never delivered; that it is asked about makes it no better.
            return False
        return not engine.is_given_up(name, stream.subscription)
    if state is State.ACKED:
        # Nothing can tell whether there should have been data by now.
        adapter, config = feed.settings.adapter, feed.settings.config
        return adapter.probe(config, stream.subscription) is None
    return False


def _feed_warnings(status: LinkStatus) -> Iterator[str]:
    for stream in status.subscriptions:
        if stream.state is State.HALTED:
            yield f"{stream.subscription} is not traded any more"
    if status.banned_for_s > 0:
        yield f"{status.exchange} answers no request for {status.banned_for_s:.0f} s"


def _book_issues(engine: Engine) -> list[str]:
    broken = [
        f"the book of {stream} is not valid: {book['reason']}"
        for stream, book in engine.books.status().items()
        if book["carried"] and not book["valid"]
    ]
    return list(_shortened(iter(broken)))


def _numbering_issues(engine: Engine) -> Iterator[str]:
    for stream in engine.ledger.renumbered():
        yield (
            f"{stream} is numbered afresh by the venue, and none of its trades is "
            "taken: their ids would be mistaken for stored ones; collect it into a new "
            "data folder and a new database"
        )


def _gap_warnings(engine: Engine) -> Iterator[str]:
    now_ns = engine.seams.clock.wall_ns()
    late = [
        gap
        for gap in engine.ledger.open_gaps()
        if now_ns - gap.detected_ns > OPEN_GAP_AFTER_S * 1e9
    ]
    if late:
        first = min(late, key=lambda gap: gap.detected_ns)
        age_s = (now_ns - first.detected_ns) / 1e9
        what = "1 gap is" if len(late) == 1 else f"{len(late)} gaps are"
        yield f"{what} open for long, of {first.stream} for {age_s:.0f} s"


def _judge_sink(runner: SinkRunner, issues: list[str], warnings: list[str]) -> None:
    status = runner.status()
    name, state, reason = status["name"], status["state"], status["reason"]
    if state == "failed" or status["blocked"]:
        issues.append(f"sink {name} takes nothing: {reason or 'no write for long'}")
    elif state == "unavailable":
        warnings.append(f"sink {name} is unavailable: {reason}")
    elif float(str(status["lag_seconds"])) > LAGGING_AFTER_S:
        warnings.append(f"sink {name} is {status['lag_seconds']:.0f} s behind")
    if status["dead_letters"]:
        warnings.append(f"sink {name} refused {status['dead_letters']} records")


def _judge_live_sinks(engine: Engine, issues: list[str], warnings: list[str]) -> None:
    for name, sink in engine.live.sink_statistics().items():
        reason = sink["last_error"] or "; ".join(sink["issues"])
        if sink["failed"]:
            issues.append(f"sink {name} takes nothing: {reason}")
        elif not sink["opened"] or not sink["healthy"]:
            warnings.append(f"sink {name} is not well: {reason or 'it is not open'}")


def _judge_journal(engine: Engine, issues: list[str]) -> None:
    journal = engine.journal
    if journal is not None and journal.full:
        error = journal.statistics().get("disk_error") or "its memory is spent"
        issues.append(f"the journal takes nothing: {error}")
    elif journal is not None:
        age_s = float(journal.statistics().get("pending_age_s", 0.0))
        if age_s > STORED_WITHIN_S:
            issues.append(f"the journal has stored nothing for {age_s:.0f} s")


def _shortened(sentences: Iterator[str]) -> Iterator[str]:
    """The first few *sentences*, and how many more there are."""
    for number, sentence in enumerate(sentences):
        if number < _NAMED:
            yield sentence
        else:
            more = 1 + sum(1 for _ in sentences)
            yield f"and {more} more"
            return
