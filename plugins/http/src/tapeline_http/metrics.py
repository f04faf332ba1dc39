"""Prometheus metrics of a running collection, made when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

from tapeline import SubscriptionState
from tapeline.hookspecs import Control

CONTENT_TYPE = CONTENT_TYPE_LATEST

_STREAM = ("exchange", "market", "symbol", "type", "channel")
_LINK_ERRORS = ("parse_errors", "fetch_errors", "unmatched")
_REST_ERRORS = ("failed", "limited", "banned")


def render_metrics(control: Control) -> bytes:
    """The metrics of *control* in Prometheus' text format.

    The registry is made for this call, so nothing is added to the process' own one.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(control))
    return generate_latest(registry)


class _Metrics:
    """Turns one status into metric families."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterator[Metric]:
        """All families, from one look at the collection."""
        status = self._control.status()
        health = self._control.health()
        yield _gauge("tapeline_alive", "Whether the loop turns.", health.alive)
        yield _gauge("tapeline_ready", "Whether all required data flows.", health.ready)
        yield from _collectors(status)
        engine = status["engine"]
        if engine is not None:
            yield from _streams(engine)
            yield from _venues(engine)
            yield from _gaps(engine)
            yield from _sinks(engine)
            yield from _engine(engine)
        yield _gauge(
            "tapeline_loop_lag_seconds",
            "How late the loop was at its worst in the last minute.",
            status["loop"]["lag_s"],
        )
        yield from _resources(status["resources"])


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value or 0))


def _collectors(status: Mapping[str, Any]) -> Iterator[Metric]:
    errors = CounterMetricFamily(
        "collector_errors", "Errors by kind.", labels=("exchange", "error_type")
    )
    uptime = GaugeMetricFamily(
        "collector_uptime_seconds",
        "Longest time that a collector of the exchange has been running.",
        labels=("exchange",),
    )
    running = GaugeMetricFamily(
        "tapeline_collector_running",
        "Whether the collector runs.",
        labels=("collector", "exchange"),
    )
    restarts = CounterMetricFamily(
        "tapeline_collector_restarts",
        "Restarts of the collector.",
        labels=("collector", "exchange"),
    )
    kinds: Counter[tuple[str, str]] = Counter()
    longest: dict[str, float] = {}
    for name, one in status["collectors"].items():
        exchange, figures = one["exchange"], one["statistics"]
        kinds[exchange, "collector"] += figures["errors"]
        up = figures["uptime_seconds"] or 0.0
        longest[exchange] = max(up, longest.get(exchange, 0.0))
        running.add_metric((name, exchange), float(one["status"] == "running"))
        restarts.add_metric((name, exchange), figures["restarts"])
    for link in ((status["engine"] or {}).get("feeds") or {}).values():
        for kind in _REST_ERRORS:
            kinds[link["exchange"], f"rest_{kind}"] += link["rest"][kind]
        for socket in link["sockets"]:
            for kind in _LINK_ERRORS:
                kinds[link["exchange"], kind] += socket["counters"][kind]
            kinds[link["exchange"], "reconnect"] += socket["counters"]["reconnects"]
    for labels, count in sorted(kinds.items()):
        errors.add_metric(labels, count)
    for exchange, seconds in sorted(longest.items()):
        uptime.add_metric((exchange,), seconds)
    yield from (errors, uptime, running, restarts)


def _streams(engine: Mapping[str, Any]) -> Iterator[Metric]:
    messages = CounterMetricFamily(
        "collector_messages",
        "Events received, by symbol and data type.",
        labels=("exchange", "symbol", "type"),
    )
    state = GaugeMetricFamily(
        "tapeline_subscription_state",
        "1 for the state that the stream is in, 0 for the others.",
        labels=(*_STREAM, "state"),
    )
    age = GaugeMetricFamily(
        "tapeline_subscription_age_seconds",
        "Time since the last message of the stream.",
        labels=_STREAM,
    )
    counts: Counter[tuple[str, str, str]] = Counter()
    seen = set()
    for link in engine["feeds"].values():
        exchange = link["exchange"]
        for one in link["subscriptions"]:
            counts[exchange, one["symbol"], one["data_type"]] += one["events"]
            labels = (
                exchange,
                one["market"],
                one["symbol"],
                one["data_type"],
                one["channel"],
            )
            if labels in seen:
                # Two collectors may want the same stream.
                continue
            seen.add(labels)
            for each in SubscriptionState:
                state.add_metric(
                    (*labels, each.value), float(each.value == one["state"])
                )
            if one["age_s"] is not None:
                age.add_metric(labels, one["age_s"])
    for key, count in sorted(counts.items()):
        messages.add_metric(key, count)
    yield from (messages, state, age)


def _venues(engine: Mapping[str, Any]) -> Iterator[Metric]:
    sockets = GaugeMetricFamily(
        "tapeline_sockets_open", "Open sockets.", labels=("collector", "exchange")
    )
    reconnects = CounterMetricFamily(
        "tapeline_reconnects", "Sockets opened again.", labels=("collector", "exchange")
    )
    banned = GaugeMetricFamily(
        "tapeline_banned_seconds",
        "Time until the venue answers requests again.",
        labels=("collector", "exchange"),
    )
    offset = GaugeMetricFamily(
        "tapeline_clock_offset_seconds",
        "The venue's clock minus ours.",
        labels=("collector", "exchange"),
    )
    share = GaugeMetricFamily(
        "tapeline_budget_used_ratio",
        "Part of a venue's limit that is used.",
        labels=("collector", "exchange", "budget"),
    )
    for name, link in engine["feeds"].items():
        labels = (name, link["exchange"])
        is_open = [each["state"] == "open" for each in link["sockets"]]
        sockets.add_metric(labels, sum(is_open))
        reconnects.add_metric(labels, link["reconnects"])
        banned.add_metric(labels, link["banned_for_s"])
        offset.add_metric(labels, link["venue_offset_ns"] / 1e9)
        for budget in link["budgets"]:
            share.add_metric((*labels, budget["name"]), budget["share"])
    yield from (sockets, reconnects, banned, offset, share)


def _gaps(engine: Mapping[str, Any]) -> Iterator[Metric]:
    streams = engine["streams"].values()
    gaps = CounterMetricFamily(
        "tapeline_gaps", "Gaps by what became of them.", labels=("state",)
    )
    for state, key in (
        ("opened", "gaps_opened"),
        ("closed", "gaps_closed"),
        ("unrecoverable", "gaps_unrecoverable"),
    ):
        gaps.add_metric((state,), _sum(streams, key))
    dropped = CounterMetricFamily(
        "tapeline_events_dropped", "Events not taken, by reason.", labels=("reason",)
    )
    for reason, key in (
        ("duplicate", "duplicates"),
        ("overlap", "overlaps"),
        ("invalid", "invalid"),
        ("quarantined", "quarantined"),
    ):
        dropped.add_metric((reason,), _sum(streams, key))
    dropped.add_metric(("shed",), engine["shed"])
    yield gaps
    yield _gauge(
        "tapeline_gaps_open", "Gaps that are open.", _sum(streams, "gaps_open")
    )
    yield dropped


def _sum(streams: Iterable[Mapping[str, Any]], key: str) -> float:
    return float(sum(stream[key] for stream in streams))


def _sinks(engine: Mapping[str, Any]) -> Iterator[Metric]:
    labels = ("sink",)
    up = GaugeMetricFamily("tapeline_sink_up", "Whether the sink runs.", labels=labels)
    records = CounterMetricFamily(
        "tapeline_sink_records", "Records stored.", labels=labels
    )
    retries = CounterMetricFamily(
        "tapeline_sink_retries", "Writes tried again.", labels=labels
    )
    letters = GaugeMetricFamily(
        "tapeline_sink_dead_letters", "Records that it refused.", labels=labels
    )
    lags = {
        f"lag_{unit}": GaugeMetricFamily(
            f"tapeline_sink_lag_{unit}",
            f"How far it is behind, in {unit}.",
            labels=labels,
        )
        for unit in ("rows", "bytes", "seconds")
    }
    for name, sink in engine["sinks"].items():
        up.add_metric((name,), float(sink["state"] == "running"))
        records.add_metric((name,), sink["records"])
        retries.add_metric((name,), sink["retries"])
        letters.add_metric((name,), sink["dead_letters"])
        for key, family in lags.items():
            family.add_metric((name,), sink[key])
    yield from (up, records, retries, letters, *lags.values())


def _engine(engine: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge(
        "tapeline_loop_heartbeat_age_seconds",
        "Time since the loop turned last.",
        engine["heartbeat_age_s"],
    )
    journal = engine["journal"]
    if journal is not None:
        yield _gauge("tapeline_journal_rows", "Rows in the journal.", journal["rows"])
        yield _gauge("tapeline_journal_bytes", "Its bytes.", journal["bytes"])
        yield _gauge("tapeline_journal_full", "Whether it refuses.", journal["full"])


def _resources(resources: Mapping[str, Any]) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "tapeline_cpu_seconds", "CPU time used.", value=resources["cpu_seconds"]
    )
    for key in ("rss_bytes", "open_files", "queue_bytes", "disk_free_bytes"):
        yield _gauge(f"tapeline_{key}", f"The process' {key}.", resources[key])
