"""A book that calls itself valid is the venue's, whatever the wire did."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tapeline.integrity import BookChange, LocalBook
from tapeline.model import BookDelta, BookSnapshot, Subscription

Book = tuple[dict[str, str], dict[str, str]]

PRICES = st.sampled_from([f"{cents / 10:.1f}" for cents in range(10, 40)])
SIZES = st.sampled_from(["0", "0", "1", "2.5", "0.00"])
SIDE = st.dictionaries(PRICES, SIZES, max_size=5)
STEP = st.tuples(
    SIDE,
    SIDE,
    st.sampled_from(["step"] * 6 + ["reset", "heartbeat"]),
    st.sampled_from(["send"] * 6 + ["drop", "repeat", "swap", "snapshot", "late"]),
)


def change(side: dict[str, str], levels: dict[str, str]) -> dict[str, str]:
    """*side* with *levels* set, by the plainest means."""
    changed = {**side, **levels}
    return {price: size for price, size in changed.items() if float(size)}


def best_first(side: dict[str, str], *, low: bool) -> list[tuple[str, str]]:
    return sorted(side.items(), key=lambda item: float(item[0]), reverse=not low)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=40))
def test_a_valid_book_equals_the_venues_at_its_sequence(
    steps: list[tuple[dict[str, str], dict[str, str], str, str]],
    book_stream: Subscription,
    snapshot: Callable[..., BookSnapshot],
    delta: Callable[..., BookDelta],
) -> None:
    bids: dict[str, str] = {"1.0": "1"}
    asks: dict[str, str] = {"3.9": "1"}
    last_id = 1000
    # A venue's ids never come back: every reset uses numbers of its own.
    resets = 0
    history: dict[int, Book] = {last_id: (bids, asks)}
    age: dict[int, int] = {last_id: 0}
    wire: list[BookDelta | BookSnapshot] = [snapshot(bids, asks, last_id)]
    swapped: BookDelta | None = None
    for at, (bid_change, ask_change, kind, fate) in enumerate(steps, 1):
        link_id = last_id
        if kind == "heartbeat":
            bid_change = ask_change = {}
        elif kind == "reset":
            resets += 1
            last_id = 1000 - 100 * resets
        else:
            last_id += 1 + at % 2
        bids, asks = change(bids, bid_change), change(asks, ask_change)
        history[last_id] = (bids, asks)
        age.setdefault(last_id, at)
        one = delta(link_id, last_id, bid_change, ask_change, at_s=20 * at)
        if fate == "swap" and swapped is None:
            swapped = one
            continue
        if fate == "late":
            # Asked for over REST some time ago, and stamped when it comes.
            old_id = max((i for i in history if age[i] <= at // 2), key=age.__getitem__)
            old = snapshot(*history[old_id], old_id, at_s=20 * at + 5)
            if old_id < min(link_id, last_id):
                wire += [one, old]
                continue
        if fate == "snapshot":
            wire.append(snapshot(bids, asks, last_id, at_s=20 * at))
        elif fate != "drop":
            wire += [one] * (2 if fate == "repeat" else 1)
        if swapped is not None:
            wire.append(swapped)
            swapped = None
    book = LocalBook(book_stream)
    newest = 0
    for event in wire:
        was_valid = book.valid
        result = book.apply(event)
        assert event.last_id is not None
        newest = max(newest, age[event.last_id])
        if result is BookChange.BROKEN:
            assert was_valid or isinstance(event, BookSnapshot)
            assert not book.valid
        if result is BookChange.IGNORED:
            assert book.last_id is not None
            assert age[event.last_id] <= age[book.last_id], "ignored what was new"
        assert (result is BookChange.INVALID) <= (not book.valid)
        if book.valid:
            assert book.last_id is not None
            assert age[book.last_id] == newest, "behind what came"
            true_bids, true_asks = history[book.last_id]
            assert book.levels() == (
                best_first(true_bids, low=False),
                best_first(true_asks, low=True),
            )
    final = snapshot(bids, asks, last_id, at_s=20 * len(steps) + 40)
    assert book.apply(final) in (BookChange.SNAPSHOT, BookChange.IGNORED)
    assert book.valid
    assert book.levels() == (
        best_first(bids, low=False),
        best_first(asks, low=True),
    )
