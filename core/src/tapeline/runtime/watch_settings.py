"""What a watcher may be told, what it knows of a stream, and what it counts."""

from __future__ import annotations

import attrs


@attrs.frozen
class WatchSettings:
    """How a watcher looks and asks.

    Args:
        look_s, longest_nap_s: bounds of the time between two looks.
        quiet_nap_s: the same, when no stream speaks.
        longest_rest_s: longest time without a look while nothing comes at all.
        first_data_s: how long after its ack a stream without history may be silent.
        ceiling_s: longest silence that is never asked about.
        probe_s: bound of one probe, with the retries of the client.
        confirm_s: how young the venue's newest may be and still be on its way.
        answer_s: how long a socket may say nothing at all, when a stalled stream of
            it was asked for anew; it is dead then.
        again_s: first pause after a probe that gave no answer, or found quiet.
        unanswered_s: longest pause after a probe that gave no answer.
        slowest_s: longest pause between two probes, or two actions, of one stream.
        twice_s: a stream that stalls again within it loses its socket.
        forget_s: health for so long makes earlier stalls forgotten.
        probes: at most so many in *probes_per_s* seconds.
        at_once: streams that are asked about at the same time.
    """

    look_s: float = 0.25
    longest_nap_s: float = 2.0
    quiet_nap_s: float = 5.0
    longest_rest_s: float = 60.0
    first_data_s: float = 10.0
    ceiling_s: float = 300.0
    probe_s: float = 3.0
    confirm_s: float = 1.0
    answer_s: float = 3.0
    again_s: float = 5.0
    unanswered_s: float = 30.0
    slowest_s: float = 300.0
    twice_s: float = 60.0
    forget_s: float = 60.0
    probes: int = 20
    probes_per_s: float = 10.0
    at_once: int = 8


@attrs.frozen
class Known:
    """What the pipeline has of a stream.

    Args:
        last_id: highest id known to exist; None without ids.
        exchange_ns: of its newest event; None before the first.
    """

    last_id: int | None = None
    exchange_ns: int | None = None


@attrs.define
class WatchStatistics:
    """What a watcher has done so far."""

    probes: int = 0
    unanswered: int = 0
    quiet: int = 0
    stalled: int = 0
    resubscribed: int = 0
    dropped: int = 0
