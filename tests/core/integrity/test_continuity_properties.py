"""Continuity under any drops, repeats, permutations, losses and restarts."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.integrity import GapIds, IntegritySettings, TradeContinuity
from tapeline.model import Gap, Record, Subscription, Trade

SECOND = 10**9

SIZES = st.lists(st.integers(1, 4), min_size=8, max_size=40)
ACTIONS = st.sampled_from(
    ["send"] * 5
    + ["drop"] * 2
    + ["hold"] * 5
    + ["repeat", "overlap", "lost", "wait", "wait", "restart"]
)


def is_open(row: Gap) -> bool:
    return row.state in ("open", "backfilling")


def ids_of(rows: list[Gap]) -> list[int]:
    found: list[int] = []
    for row in rows:
        assert row.from_id is not None
        assert row.to_id is not None
        found += range(row.from_id, row.to_id + 1)
    return found


def check(continuity: TradeContinuity, journal: list[Record]) -> None:
    """Every claim that the journal makes so far is true."""
    taken: list[int] = []
    latest: dict[int, Gap] = {}
    for record in journal:
        if isinstance(record, Trade):
            taken += range(record.first_id, record.last_id + 1)
        elif isinstance(record, Gap):
            before = latest.get(record.gap_id)
            assert record.revision == (0 if before is None else before.revision + 1)
            latest[record.gap_id] = record
    assert len(taken) == len(set(taken)), "stored twice"
    gaps = ids_of([row for row in latest.values() if is_open(row)])
    assert len(gaps) == len(set(gaps)), "in two gaps"
    assert not set(gaps) & set(taken), "stored and missing"
    closed = [row for row in latest.values() if row.state == "closed"]
    assert set(ids_of(closed)) <= set(taken), "closed without its ids"
    assert all(row.recovered_count == len(ids_of([row])) for row in closed)
    first, last = continuity.covered()
    if first is not None and last is not None:
        assert set(range(first, last + 1)) <= set(taken) | set(gaps), "false coverage"
    waiting = [n for low, high in continuity.pending for n in range(low, high + 1)]
    everything = sorted(taken + gaps + waiting)
    assert everything == sorted(set(everything))
    if everything:
        assert everything == list(range(everything[0], everything[-1] + 1))
    assert sorted(gaps) == sorted(ids_of(continuity.open_gaps()))


@settings(max_examples=400, deadline=None)
@given(data=st.data(), sizes=SIZES)
def test_every_id_is_stored_once_or_missing_in_one_place(
    data: st.DataObject,
    sizes: list[int],
    stream: Subscription,
    trade: Callable[..., Trade],
) -> None:
    gap_ids = GapIds(0)
    continuity = TradeContinuity(stream, gap_ids, IntegritySettings())
    journal: list[Record] = []
    saved, saved_at = continuity.state(), 0
    now_ns = 10**6 * SECOND
    next_id = 100
    held: list[Trade] = []
    sent: list[Trade] = []

    def deliver(one: Trade) -> None:
        sent.append(one)
        if continuity.take(one, now_ns, journal):
            journal.append(one)

    for size in sizes:
        one = trade(next_id, next_id + size - 1)
        next_id += size
        action = data.draw(ACTIONS)
        now_ns += data.draw(st.sampled_from([0, SECOND // 10, SECOND]))
        if action == "hold":
            held.append(one)
        elif action != "drop":
            deliver(one)
        release: int = data.draw(st.integers(0, 2))
        if held and not release:
            deliver(held.pop(data.draw(st.integers(0, len(held) - 1))))
        if action == "repeat" and sent:
            deliver(data.draw(st.sampled_from(sent)))
        elif action == "overlap":
            deliver(trade(next_id - 3, next_id))
            next_id += 1
        elif action == "lost":
            continuity.lost("disconnect", now_ns)
        elif action == "wait":
            now_ns += 3 * SECOND
            continuity.advance(now_ns, journal)
        elif action == "restart":
            if data.draw(st.booleans()):
                saved, saved_at = continuity.state(), len(journal)
            continuity = TradeContinuity(stream, gap_ids, IntegritySettings())
            continuity.restore(saved)
            for record in journal[saved_at:]:
                continuity.fold(record)
            continuity.lost("downtime", now_ns)
        check(continuity, journal)
    for one in held:
        deliver(one)
    check(continuity, journal)
    continuity.settle(now_ns, journal)
    check(continuity, journal)
    assert continuity.pending == []
