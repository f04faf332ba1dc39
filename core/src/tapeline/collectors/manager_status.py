"""What a manager says of itself: health, counts and totals of its collectors."""

from __future__ import annotations

from typing import Any

import attrs

from tapeline.collectors.exchange import ExchangeCollector
from tapeline.collectors.members import Members
from tapeline.model import CollectorStatus, Health, HealthLevel
from tapeline.runtime import Engine

FAILED = (CollectorStatus.ERROR, CollectorStatus.UNHEALTHY)
"""Of a collector that should run."""


def judge(members: Members, engine: Engine | None) -> Health:
    """Whether what all enabled collectors want is being delivered, as of now."""
    if engine is None:
        return Health(HealthLevel.FAILING, False, False, ("nothing is running",))
    issues: list[str] = []
    for name, member in members:
        collector = member.collector
        if not member.enabled:
            continue
        if not isinstance(collector, ExchangeCollector):
            told = collector.get_health_status()["issues"]
            issues += [f"collector {name}: {issue}" for issue in told]
        elif name not in engine.feeds:
            why = collector.get_status()["statistics"]["last_error"]
            reason = f": {why}" if why else ""
            issues.append(f"collector {name} is {collector.status}{reason}")
    health = engine.health()
    if not issues:
        return health
    return attrs.evolve(
        health,
        level=HealthLevel.FAILING,
        ready=False,
        issues=(*health.issues, *issues),
    )


def status_of(members: Members, uptime_s: float | None) -> dict[str, Any]:
    """Every collector, and totals over them; JSON-ready.

    Args:
        uptime_s: of the manager; None while it is stopped.
    """
    collectors = {name: member.collector.get_status() for name, member in members}
    statistics = [status["statistics"] for status in collectors.values()]
    received = sum(s["messages_received"] for s in statistics)
    return {
        "collectors": collectors,
        "statistics": {
            "total_collectors": len(members),
            "enabled_collectors": sum(member.enabled for _, member in members),
            "running_collectors": len(members.names(CollectorStatus.RUNNING)),
            "failed_collectors": len(members.names(*FAILED)),
            "messages_received": received,
            "messages_processed": sum(s["messages_processed"] for s in statistics),
            "errors": sum(s["errors"] for s in statistics),
            "restarts": sum(s["restarts"] for s in statistics),
            "messages_per_second": received / uptime_s if uptime_s else 0.0,
            "uptime_seconds": uptime_s,
        },
    }
