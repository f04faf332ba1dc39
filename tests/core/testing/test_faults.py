"""Fault scripts and how the simulators' base plays them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import ConfigError, UsageError
from tapeline.hookspecs import SimClose, SimFrame, SimRefusal
from tapeline.testing import Fault, FaultRun, load_faults, parse_faults

SECOND = 10**9
T0 = 10**18

BuildVenue = Callable[..., Any]


def _trades(venue: Any) -> list[int]:
    return [
        int(output.frame.partition(":")[2])
        for output in venue.outputs()
        if isinstance(output, SimFrame) and output.frame.startswith("AAA-BBB:")
    ]


def test_json_and_toml_scripts_mean_the_same(tmp_path: Path) -> None:
    as_json = tmp_path / "faults.json"
    as_toml = tmp_path / "faults.toml"
    as_json.write_text(
        json.dumps({"faults": [{"kind": "abort", "at_s": 2, "mean_s": 1.5}]})
    )
    as_toml.write_text('[[faults]]\nkind = "abort"\nat_s = 2\nmean_s = 1.5\n')

    expected = [Fault(kind="abort", at_s=2.0, mean_s=1.5)]
    assert expected == list(load_faults(as_json)) == list(load_faults(as_toml))


def test_every_problem_of_a_script_is_reported_with_its_place() -> None:
    script = [
        {"kind": "abrot"},
        {"kind": "drop", "probabilty": 0.5},
        {"kind": "drop", "probability": 3},
        {"kind": "close", "code": "4004"},
        {"kind": "close", "code": 1006},
        {"kind": "mute", "every_s": 5},
        {"at_s": 1},
        {"kind": "abort", "at_s": float("nan")},
    ]
    with pytest.raises(ConfigError) as caught:
        parse_faults(script, "script.json")

    text = str(caught.value)
    assert text.startswith("script.json: 8 problems")
    for expected in (
        "faults[0]: expected a kind",
        "did you mean 'abort'?",
        "faults[1].probabilty: expected a key of a fault",
        "did you mean 'probability'?",
        "faults[2]: expected a probability of 0 to 1, found 3",
        "faults[3].code: expected a whole number, found '4004'",
        "faults[4]: expected a close code that can be sent, found 1006",
        "faults[5]: expected no mean_s or every_s",
        "faults[6]: expected a table with the key 'kind'",
        "faults[7].at_s: expected a number of seconds, found nan",
    ):
        assert expected in text


@pytest.mark.parametrize("document", [3, {"fault": []}, {"faults": {}}])
def test_a_script_of_another_shape_is_refused(document: object) -> None:
    with pytest.raises(ConfigError, match="expected"):
        parse_faults(document)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.toml", "= 3"), ("a.json", None)]
)
def test_a_script_that_cannot_be_read_says_so(
    tmp_path: Path, name: str, text: str | None
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=r"a\.(json|toml)"):
        load_faults(path)


def test_moments_happen_once_repeatedly_or_at_random() -> None:
    faults = [
        Fault(kind="abort", at_s=1),
        Fault(kind="close", at_s=1, for_s=2, every_s=1),
        Fault(kind="notice", mean_s=10),
    ]
    run = FaultRun(faults, 1, T0)
    happened = [fault.kind for s in range(101) for fault in run.due(T0 + s * SECOND)]

    assert happened.count("abort") == 1
    assert happened.count("close") == 3
    assert 3 < happened.count("notice") < 25
    assert run.applied["abort"] == 1


def test_the_same_seed_meets_the_same_faults() -> None:
    def moments(seed: int) -> list[int]:
        run = FaultRun([Fault(kind="abort", mean_s=5)], seed, T0)
        times: list[int] = []
        while len(times) < 20:
            at_ns = run.wake_at_ns()
            assert at_ns is not None
            times.append(at_ns)
            run.due(at_ns)
        return times

    assert moments(1) == moments(1)
    assert moments(1) != moments(2)


def test_dropped_frames_are_missing_and_still_in_the_ledger(
    plain_venue: BuildVenue,
) -> None:
    faults = [Fault(kind="drop", probability=0.3, channel="trades")]
    venue = plain_venue(rate_hz=100, faults=faults)
    venue.open(1, "/", {}, T0)
    venue.advance(T0 + 10 * SECOND)
    sent = _trades(venue)

    total = venue.market.feed("spot", "AAA-BBB").aggregates
    assert venue.faults.applied["drop"] == total - len(sent) > total // 5


def test_permuted_frames_swap_neighbors_and_none_is_lost(
    plain_venue: BuildVenue,
) -> None:
    venue = plain_venue(
        rate_hz=100, faults=[Fault(kind="permute", probability=0.2, for_s=9)]
    )
    venue.open(1, "/", {}, T0)
    venue.advance(T0 + 10 * SECOND)
    sent = _trades(venue)

    assert sent != sorted(sent)
    assert len(set(sent)) == venue.market.feed("spot", "AAA-BBB").aggregates
    assert len(set(sent)) == len(sent)


def test_duplicated_frames_come_twice(plain_venue: BuildVenue) -> None:
    venue = plain_venue(rate_hz=100, faults=[Fault(kind="duplicate", for_s=1)])
    venue.open(1, "/", {}, T0)
    venue.advance(T0 + SECOND - 1)
    sent = _trades(venue)

    assert sent
    assert sent[::2] == sent[1::2]


def test_a_muted_channel_is_silent_for_its_window(plain_venue: BuildVenue) -> None:
    faults = [Fault(kind="mute", at_s=1, for_s=2, channel="trades")]
    venue = plain_venue(rate_hz=100, faults=faults)
    venue.open(1, "/", {}, T0)
    counts = []
    for second in range(1, 5):
        venue.advance(T0 + second * SECOND - 1)
        counts.append(len(_trades(venue)))

    assert counts[0] > 0
    assert counts[1:3] == [0, 0]
    assert counts[3] > 0


def test_closes_and_aborts_end_connections(plain_venue: BuildVenue) -> None:
    faults = [
        Fault(kind="close", at_s=1, code=4006, reason="gone", target="one"),
        Fault(kind="abort", at_s=2),
    ]
    venue = plain_venue(faults=faults)
    venue.open(1, "/", {}, T0)
    venue.open(2, "/", {}, T0)
    venue.outputs()
    venue.advance(T0 + SECOND)
    (first,) = venue.outputs()
    venue.advance(T0 + 2 * SECOND)
    (second,) = venue.outputs()

    assert first == SimClose(first.conn, 4006, "gone")
    assert second == SimClose(3 - first.conn, None, "")
    assert venue.connections == {}


def test_a_half_open_connection_neither_sends_nor_answers(
    plain_venue: BuildVenue,
) -> None:
    venue = plain_venue(rate_hz=100, faults=[Fault(kind="half-open", at_s=1)])
    venue.open(1, "/", {}, T0)
    venue.advance(T0 + SECOND)
    venue.outputs()
    venue.receive(1, "anybody?", T0 + 2 * SECOND)
    venue.advance(T0 + 5 * SECOND)

    assert venue.outputs() == []
    assert list(venue.half_open()) == [1]
    venue.open(2, "/", {}, T0 + 5 * SECOND)
    assert venue.outputs() == [SimFrame(2, "hello")]


def test_handshakes_are_refused_for_a_period(plain_venue: BuildVenue) -> None:
    faults = [Fault(kind="refuse", at_s=1, for_s=1, status=451, body="blocked")]
    venue = plain_venue(faults=faults)

    answers = [venue.open(n, "/", {}, T0 + n * SECOND) for n in range(3)]

    assert answers == [None, SimRefusal(451, "blocked"), None]


def test_connecting_too_often_is_refused_and_counted(plain_venue: BuildVenue) -> None:
    venue = plain_venue()
    answers = [venue.open(n, "/", {}, T0 + n) for n in range(4)]

    assert answers[:3] == [None, None, None]
    assert answers[3].status == 429
    assert venue.police.violations == {"connects": 1}


def test_rest_answers_with_a_status_on_the_paths_it_names(
    plain_venue: BuildVenue,
) -> None:
    body = "<html>forbidden</html>"
    faults = [Fault(kind="rest-status", status=403, body=body, path="/api/trades")]
    venue = plain_venue(faults=faults)

    met = venue.request("GET", "/api/trades?x=1", {}, T0)
    spared = venue.request("GET", "/api/time", {}, T0)

    assert (met.status, met.body) == (403, body.encode())
    assert met.headers["content-type"] == "text/html"
    assert spared.status == 200


def test_malformed_frames_are_sent_as_they_are(plain_venue: BuildVenue) -> None:
    venue = plain_venue(faults=[Fault(kind="malformed", at_s=1, every_s=1, for_s=3)])
    venue.open(1, "/", {}, T0)
    venue.advance(T0 + 10 * SECOND)

    frames = [output.frame for output in venue.outputs()]
    assert len(set(frames[1:])) == len(frames[1:]) == 4


def test_the_venues_own_faults_reach_the_venue(plain_venue: BuildVenue) -> None:
    faults = [
        Fault(kind="notice", at_s=1),
        Fault(kind="halt", at_s=2, symbol="AAA-BBB"),
    ]
    venue = plain_venue(rate_hz=100, faults=faults)
    venue.advance(T0)
    venue.advance(T0 + 5 * SECOND)

    assert venue.told == ["notice", "halt"]
    assert venue.market.feed("spot", "AAA-BBB").last_ns <= T0 + 2 * SECOND


def test_what_is_sent_does_not_depend_on_how_often_time_is_advanced(
    plain_venue: BuildVenue,
) -> None:
    faults = [
        Fault(kind="drop", probability=0.2),
        Fault(kind="permute", probability=0.2),
        Fault(kind="malformed", mean_s=0.7),
    ]

    def run(step_ns: int) -> list[object]:
        venue = plain_venue(rate_hz=50, faults=faults)
        venue.open(1, "/", {}, T0)
        for at_ns in range(T0, T0 + 10 * SECOND + 1, step_ns):
            venue.advance(at_ns)
        return list(venue.outputs())

    assert run(10 * SECOND) == run(SECOND // 10) == run(SECOND // 100)
