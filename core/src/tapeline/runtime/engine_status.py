"""The state of an engine as one JSON-ready object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tapeline.clock import now

if TYPE_CHECKING:
    from tapeline.runtime.engine import Engine


def status_of(engine: Engine) -> dict[str, object]:
    """Journal, sinks, links and streams of *engine*, JSON-ready."""
    moment = now(engine.seams.clock)
    journal, inbox = engine.journal, engine.inbox
    return {
        "running": engine.running,
        "last_error": engine.last_error,
        "journal": None if journal is None else journal.statistics(),
        "sinks": {name: runner.status() for name, runner in engine.runners.items()},
        "live": engine.live.statistics(),
        "feeds": {name: engine.link_status(name).as_dict() for name in engine.feeds},
        "care": {
            name: caretaker.statistics()
            for name, caretaker in engine.caretakers.items()
        },
        "streams": {
            str(subscription): attrs.asdict(statistics)
            for subscription, statistics in engine.ledger.statistics().items()
        },
        "books": engine.books.status(),
        "audit": engine.audits.status(),
        "consolidated": engine.consolidations.status(),
        "inbox": {"items": len(inbox.items), "peak": inbox.peak},
        "shed": engine.pipeline.shed,
        "heartbeat_age_s": (moment.monotonic_ns - engine.heartbeat_ns) / 1e9,
    }
