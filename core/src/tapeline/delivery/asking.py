"""Asking a sink how it is, without trusting it to answer."""

from __future__ import annotations

from tapeline.clock import Now
from tapeline.hookspecs import Sink
from tapeline.model import SinkHealth


def asked_health(sink: Sink, moment: Now) -> SinkHealth:
    """What *sink* says of itself; not well when it raises instead."""
    try:
        return sink.health(moment)
    except Exception as error:  # a supervisor: who asks must not end with the sink
        return SinkHealth(False, (f"health raised {type(error).__name__}: {error}",))
