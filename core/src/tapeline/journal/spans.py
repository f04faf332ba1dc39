"""Headers: which stream has what in a row, without decoding the row.

A row's header, the summary of trimmed rows and what a sink had to give up are
one thing, a list of spans, so that gaps can be made from any of them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence

import attrs
import msgspec

from tapeline.model import UNRECOVERABLE, DataType, Gap, Subscription

TRADE, TICKER, BOOK_SNAPSHOT, BOOK_DELTA, CANDLE, BALANCE = range(6)
POINT, OHLCV, GAP, COVERAGE, RAW = range(6, 11)

FACTS = frozenset((GAP, COVERAGE))
_WITHOUT_GAP = frozenset((GAP, COVERAGE, RAW))

MAX_RUNS_PER_ROW = 16
MAX_RUNS = 256
_GAP_ID_BASE = 1 << 62

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    list[
        tuple[
            tuple[str, str, str, str, str, str, str],
            int,
            int,
            list[tuple[int, int]],
            int,
            int,
        ]
    ]
).decode


@functools.lru_cache(maxsize=16_384)
def subscription(key: tuple[str, ...]) -> Subscription:
    """The one shared ``Subscription`` with these seven texts."""
    return Subscription(*key)


def subscription_key(stream: Subscription) -> tuple[str, ...]:
    """The seven texts of *stream*, in the order of its fields."""
    return (
        stream.exchange,
        stream.market,
        stream.symbol,
        str(stream.data_type),
        stream.channel,
        stream.id_kind,
        stream.timeframe,
    )


def merge_runs(
    runs: Iterable[Sequence[int]], limit: int = MAX_RUNS
) -> list[tuple[int, int]]:
    """Disjoint id intervals in order; over *limit* the nearest are joined."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted((run[0], run[1]) for run in runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    excess = len(merged) - limit
    if excess <= 0:
        return merged
    holes = sorted(
        range(1, len(merged)), key=lambda at: merged[at][0] - merged[at - 1][1]
    )
    closed = set(holes[:excess])
    joined = [merged[0]]
    for at in range(1, len(merged)):
        if at in closed:
            joined[-1] = (joined[-1][0], merged[at][1])
        else:
            joined.append(merged[at])
    return joined


@attrs.define
class Span:
    """Records of one kind of one stream.

    Args:
        runs: id intervals of trades, in order; of gaps those that were still
            missing; empty for other kinds.
        min_ns, max_ns: exchange time, nanoseconds UTC.
    """

    kind: int
    count: int
    runs: list[tuple[int, int]]
    min_ns: int
    max_ns: int

    @property
    def first_id(self) -> int | None:
        """Lowest id; None when its ids do not count."""
        return self.runs[0][0] if self.runs else None

    @property
    def last_id(self) -> int | None:
        """Highest id; None when its ids do not count."""
        return self.runs[-1][1] if self.runs else None


class Spans:
    """Spans by stream and kind; they add up."""

    __slots__ = ("_spans",)

    def __init__(self) -> None:
        self._spans: dict[tuple[Subscription, int], Span] = {}

    def __bool__(self) -> bool:
        return bool(self._spans)

    def items(self) -> Iterable[tuple[Subscription, Span]]:
        """Every stream with each of its spans."""
        return ((stream, span) for (stream, _), span in self._spans.items())

    def add(self, headers: bytes) -> None:
        """Add what *headers* describe.

        Raises:
            msgspec.MsgspecError: they are not headers.
        """
        for key, kind, count, runs, min_ns, max_ns in _decode(headers):
            stream = subscription(key)
            known = self._spans.get((stream, kind))
            if known is None:
                self._spans[stream, kind] = Span(kind, count, runs, min_ns, max_ns)
                continue
            known.count += count
            if runs:
                known.runs = merge_runs([*known.runs, *runs])
            known.min_ns = min(known.min_ns, min_ns)
            known.max_ns = max(known.max_ns, max_ns)

    def encoded(self) -> bytes:
        """The same as headers."""
        return _encode(
            [
                (
                    subscription_key(stream),
                    span.kind,
                    span.count,
                    span.runs,
                    span.min_ns,
                    span.max_ns,
                )
                for stream, span in self.items()
            ]
        )

    def gaps(
        self,
        *,
        cause: str,
        sink: str,
        detected_ns: int,
        revision: int = 1,
        with_facts: bool = False,
    ) -> list[Gap]:
        """One gap per id interval of trades, and per span of all else.

        The same loss gives the same ``gap_id`` whenever it is told again.

        Args:
            with_facts: for the ids of gaps too, because their rows are lost with
                the rest.
        """
        gaps: list[Gap] = []
        for stream, span in self.items():
            told = with_facts and span.kind == GAP and span.runs
            if span.kind in _WITHOUT_GAP and not told:
                continue
            about = _about(stream, span.kind)
            runs: Sequence[tuple[int | None, int | None]]
            runs = span.runs or [(None, None)]
            for first_id, last_id in runs:
                start = span.min_ns if first_id is None else first_id
                gap_id = loss_id(sink, cause, span.kind, about, start)
                ids = first_id, last_id
                times = span.min_ns, span.max_ns
                gaps.append(
                    _gap(about, gap_id, revision, ids, times, cause, sink, detected_ns)
                )
        return gaps

    def whole_gaps(
        self, *, cause: str, sink: str, detected_ns: int, after: int
    ) -> list[Gap]:
        """One gap per stream and kind, from the first to the last of all.

        For a sink that gets none of it. Between the id intervals lie gaps whose
        rows it does not get either, so nothing in between is left out: the ids may
        be more than are missing, never less.

        Args:
            after: where the loss begins; the same loss has the same ``gap_id``.
        """
        whole: dict[tuple[Subscription, int], Span] = {}
        for stream, span in self.items():
            kind = TRADE if span.kind == GAP else span.kind
            if kind in _WITHOUT_GAP or (span.kind == GAP and not span.runs):
                continue
            about = _about(stream, kind)
            known = whole.get((about, kind))
            runs = span.runs[:1] + span.runs[-1:]
            if known is None:
                whole[about, kind] = Span(kind, 0, runs, span.min_ns, span.max_ns)
                continue
            known.runs = merge_runs([*known.runs, *runs], 1)
            known.min_ns = min(known.min_ns, span.min_ns)
            known.max_ns = max(known.max_ns, span.max_ns)
        return [
            _gap(
                stream,
                loss_id(sink, cause, kind, stream, after),
                1,
                (span.first_id, span.last_id),
                (span.min_ns, span.max_ns),
                cause,
                sink,
                detected_ns,
            )
            for (stream, kind), span in whole.items()
        ]


def _about(stream: Subscription, kind: int) -> Subscription:
    """The stream of which a span of *kind* says that something is missing."""
    if kind == CANDLE and stream.data_type != DataType.CANDLE:
        return attrs.evolve(stream, data_type="candle", id_kind="")
    return stream


def _gap(
    stream: Subscription,
    gap_id: int,
    revision: int,
    ids: tuple[int | None, int | None],
    times: tuple[int, int],
    cause: str,
    sink: str,
    detected_ns: int,
) -> Gap:
    return Gap(
        stream=stream,
        gap_id=gap_id,
        revision=revision,
        from_id=ids[0],
        to_id=ids[1],
        from_ns=times[0],
        to_ns=times[1],
        cause=cause,
        detected_ns=detected_ns,
        state=UNRECOVERABLE,
        for_sink=sink,
    )


def has_facts(headers: bytes) -> bool:
    """True when the row holds gaps or coverage."""
    return any(item[1] in FACTS for item in _decode(headers))


def loss_id(sink: str, cause: str, kind: int, stream: Subscription, start: int) -> int:
    """A gap id above all that are counted or made from times."""
    text = "\0".join((sink, cause, str(kind), *subscription_key(stream), str(start)))
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return _GAP_ID_BASE | (int.from_bytes(digest) >> 2)
