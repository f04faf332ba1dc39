"""Local books, case by case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tapeline.integrity import BookChange, BookSettings, LocalBook
from tapeline.model import BookDelta, BookSnapshot, RawLevel, Subscription

Snapshot = Callable[..., BookSnapshot]
Delta = Callable[..., BookDelta]


@pytest.fixture
def book(book_stream: Subscription) -> LocalBook:
    return LocalBook(book_stream)


def test_a_snapshot_then_deltas_give_the_best_levels_as_written(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    changes = [
        book.apply(snapshot({"10": "1", "9.5": "2"}, {"11": "3", "12.0": "4"}, 100)),
        book.apply(delta(100, 105, {"10": "0", "9.9": "5"}, {"10.95": "1.50"})),
    ]
    assert changes == [BookChange.SNAPSHOT, BookChange.APPLIED]
    assert book.top(2) == (
        [("9.9", "5"), ("9.5", "2")],
        [("10.95", "1.50"), ("11", "3")],
    )
    assert book.depth() == (2, 3)
    assert book.usable


def test_the_chain_of_the_guide_is_followed_through_heartbeat_and_reset(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 10))
    chain = [(10, 15), (15, 15), (15, 3), (3, 5)]
    changes = [
        book.apply(delta(link, last, {"1": str(last)}, at_s=at))
        for at, (link, last) in enumerate(chain, 1)
    ]
    assert changes == [BookChange.APPLIED] * 4
    assert book.top(1)[0] == [("1", "5")]


def test_a_break_invalidates_first_and_is_told_once(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 10))
    assert book.apply(delta(11, 12, at_s=1)) is BookChange.BROKEN
    assert not book.valid
    assert "follows 10" in book.reason
    assert book.apply(delta(12, 13, at_s=2)) is BookChange.INVALID
    assert book.statistics().sequence_breaks == 1


def test_deltas_that_waited_are_spliced_onto_the_snapshot(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    for link, last in ((95, 100), (100, 107), (107, 110)):
        assert book.apply(delta(link, last, {"1": str(last)})) is BookChange.INVALID
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 103)) is BookChange.SNAPSHOT
    assert book.last_id == 110
    assert book.top(1)[0] == [("1", "110")]
    assert book.apply(delta(110, 111)) is BookChange.APPLIED
    statistics = book.statistics()
    assert (statistics.updates, statistics.waiting_dropped) == (3, 1)
    assert statistics.sequence_breaks == 0


def test_the_first_delta_after_a_snapshot_may_bridge_it(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 103))
    assert book.apply(delta(90, 100)) is BookChange.IGNORED
    assert book.apply(delta(100, 107)) is BookChange.APPLIED
    assert book.apply(delta(100, 112)) is BookChange.BROKEN


def test_a_snapshot_older_than_what_waited_does_not_make_a_valid_book(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    waited = delta(200, 205, {"1": "9"}, at_s=1)
    book.apply(waited)
    # A REST snapshot without a time of its own has ours, which is later.
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 150, at_s=2)) is (
        BookChange.BROKEN
    )
    assert (book.valid, book.take_spliced()) == (False, [])
    assert "200 follows, found one at 150" in book.reason
    assert book.apply(delta(205, 210, at_s=3)) is BookChange.INVALID
    assert book.apply(snapshot({"1": "2"}, {"2": "1"}, 200, at_s=4)) is (
        BookChange.SNAPSHOT
    )
    assert (book.last_id, book.top(1)[0]) == (210, [("1", "9")])
    assert book.take_spliced()[0] == waited


def test_a_hole_among_what_waited_is_known_when_the_snapshot_comes(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    for link, last in ((100, 107), (110, 115), (115, 118)):
        book.apply(delta(link, last, at_s=last))
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 103, at_s=103)) is (
        BookChange.BROKEN
    )
    assert book.take_spliced() == []
    statistics = book.statistics()
    assert (statistics.resyncs, statistics.waiting_dropped) == (0, 0)
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 112, at_s=120)) is (
        BookChange.SNAPSHOT
    )
    assert book.last_id == 118
    assert book.statistics().resyncs == 1


def test_what_waited_from_before_a_reset_does_not_refuse_the_snapshot(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    for at_s, (link, last) in enumerate(((900, 905), (905, 3), (3, 5), (5, 9)), 1):
        book.apply(delta(link, last, at_s=at_s))
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 7, at_s=5)) is (
        BookChange.SNAPSHOT
    )
    assert book.last_id == 9
    book.invalidate("disconnect")
    book.apply(delta(900, 905, at_s=5))
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 2, at_s=16)) is (
        BookChange.SNAPSHOT
    )


def test_an_old_id_with_a_new_time_is_a_missed_reset_not_a_repeat(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 100, at_s=1))
    book.apply(delta(100, 110, at_s=2))
    assert book.apply(delta(100, 110, at_s=2)) is BookChange.IGNORED
    assert book.apply(delta(3, 5, at_s=9)) is BookChange.BROKEN


def test_after_a_bare_snapshot_old_ids_are_believed_for_a_while_resets_never(
    book_stream: Subscription, snapshot: Snapshot, delta: Delta
) -> None:
    def after(link: int, last: int, at_s: float) -> BookChange:
        book = LocalBook(book_stream)
        book.apply(snapshot({"1": "1"}, {"2": "1"}, 100, at_s=50))
        return book.apply(delta(link, last, at_s=at_s))

    assert after(90, 95, 52) is BookChange.IGNORED
    assert after(90, 95, 61) is BookChange.BROKEN
    assert after(104, 3, 52) is BookChange.BROKEN
    assert after(80, 3, 49) is BookChange.IGNORED


def test_a_resync_counts_and_begins_a_new_epoch(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 10))
    assert book.epoch == 1
    book.apply(delta(50, 60))
    book.apply(snapshot({"1": "7"}, {"2": "1"}, 70, at_s=5))
    assert book.epoch == 2
    assert book.valid
    assert book.levels() == ([("1", "7")], [("2", "1")])
    assert book.statistics().resyncs == 1


def test_a_disconnect_invalidates_until_the_next_snapshot(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 10))
    book.invalidate("disconnect")
    assert (book.valid, book.reason) == (False, "disconnect")
    assert book.apply(delta(40, 41)) is BookChange.INVALID
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 44)) is BookChange.SNAPSHOT
    assert book.statistics().sequence_breaks == 0


def test_a_stale_snapshot_does_not_replace_a_newer_book(
    book: LocalBook, snapshot: Snapshot
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 10, at_s=10))
    assert book.apply(snapshot({"1": "5"}, {"2": "1"}, 9, at_s=9)) is BookChange.IGNORED
    # A REST snapshot without a time of its own has ours.
    assert book.apply(snapshot({"1": "4"}, {"2": "1"}, 8, at_s=12)) is (
        BookChange.IGNORED
    )
    assert book.top(1)[0] == [("1", "1")]
    assert book.apply(snapshot({"1": "6"}, {"2": "1"}, 3, at_s=21)) is (
        BookChange.SNAPSHOT
    )
    assert book.top(1)[0] == [("1", "6")]


def test_a_checksum_is_verified_only_when_the_event_carries_one(
    book_stream: Subscription, snapshot: Snapshot, delta: Delta
) -> None:
    def count(bids: Sequence[RawLevel], asks: Sequence[RawLevel]) -> int:
        return 100 * len(bids) + len(asks)

    book = LocalBook(book_stream, count)
    assert book.apply(snapshot({"1": "1"}, {"2": "1"}, 1, checksum=101)) is (
        BookChange.SNAPSHOT
    )
    assert book.apply(delta(1, 2, {"0.5": "1"})) is BookChange.APPLIED
    assert book.apply(delta(2, 3, {"0.4": "1"}, checksum=1)) is BookChange.BROKEN
    assert not book.valid
    statistics = book.statistics()
    assert (statistics.checksum_pass, statistics.checksum_fail) == (1, 1)


def test_books_without_ids_are_applied_unchecked(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    assert book.apply(delta(None, None)) is BookChange.INVALID
    book.apply(snapshot({"1": "1"}, {"2": "1"}))
    assert book.apply(delta(None, None, {"1": "0"})) is BookChange.APPLIED
    assert book.depth() == (0, 1)


def test_a_crossed_book_is_said_and_unusable_only_on_request(
    book_stream: Subscription, snapshot: Snapshot
) -> None:
    lenient = LocalBook(book_stream)
    strict = LocalBook(book_stream, None, BookSettings(crossed_is_unusable=True))
    for book in (lenient, strict):
        book.apply(snapshot({"2": "1"}, {"2": "1"}, 1))
        assert (book.crossed, book.valid) == (True, True)
        assert book.statistics().crossed == 1
    assert (lenient.usable, strict.usable) == (True, False)


@pytest.mark.parametrize(
    "level",
    [("abc", "1"), ("1", "x"), ("nan", "1"), ("inf", "1"), ("1", "nan"), ("1", "-1")],
)
def test_levels_that_are_no_numbers_break_the_book_and_nothing_else(
    book: LocalBook, snapshot: Snapshot, delta: Delta, level: tuple[str, str]
) -> None:
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 1))
    assert book.apply(delta(1, 2, dict([level]))) is BookChange.BROKEN
    assert not book.valid
    assert book.statistics().malformed == 1
    assert book.apply(snapshot(dict([level]), {}, 3)) is BookChange.BROKEN
    assert book.apply(snapshot({"1": "1"}, {}, 4)) is BookChange.SNAPSHOT


def test_prices_too_long_for_a_float_stay_apart(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    near, far = "0.1234567890123456781", "0.1234567890123456782"
    assert float(near) == float(far)
    book.apply(snapshot({near: "1", far: "2", "0.5": "3"}, {}, 1))
    assert book.top(3)[0] == [("0.5", "3"), (far, "2"), (near, "1")]
    book.apply(delta(1, 2, {far: "0", "0.50000000000000000": "4"}))
    assert book.top(3)[0] == [("0.50000000000000000", "4"), (near, "1")]


def test_a_recording_without_snapshot_may_be_folded_but_is_never_valid(
    book_stream: Subscription, delta: Delta
) -> None:
    book = LocalBook(book_stream, None, BookSettings(fold_unproven=True))
    book.apply(delta(1, 2, {"1": "1"}, {"2": "0"}))
    book.apply(delta(3, 4, {"1.5": "1"}))
    assert book.depth() == (2, 0)
    assert not book.valid
    statistics = book.statistics()
    assert (statistics.absent_deletes, statistics.sequence_breaks) == (1, 1)


def test_what_waits_is_bounded(
    book_stream: Subscription, snapshot: Snapshot, delta: Delta
) -> None:
    book = LocalBook(book_stream, None, BookSettings(max_waiting=2))
    for last in range(1, 6):
        book.apply(delta(last - 1, last))
    assert book.statistics().waiting_dropped == 3
    book.apply(snapshot({}, {}, 3))
    assert book.last_id == 5


def test_a_sample_of_the_book_has_the_times_of_its_last_event(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    book.apply(snapshot({"1": "1", "0.9": "1"}, {"2": "1"}, 1, at_s=1))
    book.apply(delta(1, 2, at_s=3))
    sample = book.to_snapshot(1)
    assert (sample.bids, sample.last_id) == ([("1", "1")], 2)
    assert sample.exchange_ns == 3 * 10**9


def test_deltas_that_were_spliced_are_given_out_once(
    book: LocalBook, snapshot: Snapshot, delta: Delta
) -> None:
    waited = [delta(95, 100), delta(100, 107), delta(107, 110)]
    for one in waited:
        book.apply(one)
    assert book.take_spliced() == []
    book.apply(snapshot({"1": "1"}, {"2": "1"}, 103))
    assert book.take_spliced() == waited[1:]
    assert book.take_spliced() == []
