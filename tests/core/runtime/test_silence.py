"""The silence threshold follows the stream's own rate."""

from __future__ import annotations

import pytest

from tapeline.runtime.silence import Silence


def fed(rate_hz: float, seconds: float = 120.0) -> Silence:
    """A stream that spoke at this rate for a while."""
    silence = Silence(300.0)
    owed = 0.0
    for _ in range(int(seconds)):
        owed += rate_hz
        events, owed = int(owed), owed % 1
        silence.note(events, 1.0)
    return silence


def test_nothing_is_known_at_first() -> None:
    silence = Silence(300.0)
    assert (silence.rate_hz, silence.threshold_s) == (0.0, 300.0)
    silence.note(0, 10.0)
    assert silence.threshold_s == 300.0


@pytest.mark.parametrize(
    ("rate_hz", "low_s", "high_s"),
    [(100, 2, 2), (20, 2, 2), (1, 6, 8), (0.1, 60, 90), (0.01, 300, 300)],
)
def test_the_threshold_is_a_few_mean_distances(
    rate_hz: float, low_s: float, high_s: float
) -> None:
    assert low_s <= fed(rate_hz, 400).threshold_s <= high_s


def test_a_silence_that_lasts_teaches_nothing() -> None:
    """Of ten events in twenty seconds one would else hardly miss the next."""
    silence = fed(0.5, 20)
    before_s = silence.threshold_s
    for _ in range(100):
        silence.note(0, 0.25)
    assert silence.threshold_s == before_s
    silence.note(1, 0.25)
    assert silence.threshold_s > 2 * before_s


def test_a_stream_that_is_hardly_known_is_given_time() -> None:
    silence = fed(2, 2)
    for silent_s in range(200):
        assert silence.threshold_s > silent_s
        silence.note(0, 1.0)


def test_a_change_of_rate_is_followed_within_minutes() -> None:
    silence = fed(20)
    for _ in range(300):
        silence.note(0, 0.5)
        silence.note(1, 0.5)
    assert silence.rate_hz == pytest.approx(1, abs=0.3)
    assert silence.threshold_s > 6


def test_a_silence_that_ended_by_itself_is_expected_from_then_on() -> None:
    silence = fed(20)
    silence.broke(10.0)
    assert silence.threshold_s == 15.0
    for _ in range(3_600):
        silence.note(20, 1.0)
    assert silence.threshold_s == 2.0
