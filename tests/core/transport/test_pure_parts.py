"""Back-off, keepalive, addresses and ``Retry-After``: small and pure."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeline.model import Keepalive
from tapeline.transport import Backoff
from tapeline.transport.addresses import shown_url
from tapeline.transport.keepalive import Heart, Pulse
from tapeline.transport.retry_after import read_retry_after_s

S = 10**9


@given(st.integers(0, 2**32), st.floats(0.01, 5))
def test_delays_have_full_jitter_and_both_caps(seed: int, first_cap_s: float) -> None:
    backoff = Backoff(random.Random(seed), 0.5, 60.0, first_cap_s)
    bounds = [min(0.5, first_cap_s), 1, 2, 4, 8, 16, 32, 60, 60, 60]
    for bound in bounds:
        assert 0 <= backoff.next_delay_s() <= bound
    assert 60 <= backoff.next_delay_s(60.0) <= 120


def test_delays_use_their_whole_range() -> None:
    rng = random.Random(3)
    delays = []
    for _ in range(500):
        backoff = Backoff(rng, attempts=8)
        delays.append(backoff.next_delay_s())
    assert min(delays) < 3
    assert max(delays) > 57


def test_only_a_minute_of_data_resets_the_delays() -> None:
    backoff = Backoff(random.Random(1), attempts=7)
    backoff.note_data(100 * S, 160 * S - 1)
    assert backoff.attempts == 7
    backoff.note_data(100 * S, 160 * S)
    assert backoff.attempts == 0


def test_a_heart_pings_after_silence_and_dies_without_an_answer() -> None:
    heart = Heart(Keepalive(15.0, 10.0))
    assert heart.check(0, 14 * S) is Pulse.NOTHING
    assert heart.next_ns(0) == 15 * S
    assert heart.check(0, 15 * S) is Pulse.PING
    assert heart.check(0, 24 * S) is Pulse.NOTHING
    assert heart.next_ns(0) == 25 * S
    assert heart.check(0, 25 * S) is Pulse.DEAD


def test_anything_heard_keeps_a_heart_alive() -> None:
    heart = Heart(Keepalive(15.0, 10.0))
    assert heart.check(0, 15 * S) is Pulse.PING
    assert heart.check(15 * S, 26 * S) is Pulse.NOTHING
    assert heart.check(15 * S, 30 * S) is Pulse.PING


def test_a_late_heart_gives_the_peer_its_whole_time_again() -> None:
    heart = Heart(Keepalive(15.0, 10.0))
    heart.check(0, 15 * S)
    heart.forgive(600 * S)
    assert heart.check(0, 600 * S) is Pulse.NOTHING
    assert heart.check(0, 610 * S) is Pulse.DEAD


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://user:pw@h.test:8443/ws?key=s3cret#x", "wss://h.test:8443/ws"),
        ("https://h.test/a/b", "https://h.test/a/b"),
        ("http://[::1", "an unreadable address"),
        ("http://h.test:port/x", "an unreadable address"),
    ],
)
def test_shown_addresses_hold_no_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after_s(headers) == seconds
