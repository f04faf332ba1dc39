"""Recordings are read whole or refused with a sentence."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tapeline.errors import RecordingError
from tapeline.runtime import fingerprint, merge_recordings, read_recording


def line(**values: object) -> str:
    return json.dumps({"t": 1, "n": 0, "raw": "{}", **values})


def test_a_gzipped_and_a_plain_recording_read_the_same(tmp_path: Path) -> None:
    text = "\n".join(line(t=number, n=number) for number in range(5)) + "\n"
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))

    orders = [[f.order for f in read_recording(path)] for path in (plain, packed)]

    assert orders == [[0, 1, 2, 3, 4]] * 2


def test_files_merge_on_receive_time_then_place(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_text(line(t=10, n=0) + "\n" + line(t=30, n=3) + "\n")
    second.write_text(line(t=20, n=1) + "\n" + line(t=30, n=2) + "\n")

    assert [f.order for f in merge_recordings([first, second])] == [0, 1, 2, 3]


def test_a_line_without_receive_time_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        "\n".join([line(t=10, n=0), line(t=None, n=1), line(t=20, n=2)]) + "\n"
    )

    frames = list(merge_recordings([path]))

    assert [f.received_ns for f in frames] == [10, None, 20]


def test_direction_defaults_to_incoming_and_connection_to_the_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line() + "\n")

    (frame,) = read_recording(path)

    assert (frame.direction, frame.connection) == ("in", str(path))


def test_half_a_gzip_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress(("\n".join(line(n=i) for i in range(2_000))).encode())
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(RecordingError, match="cut off"):
        list(read_recording(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "JSON object"),
        ("[1, 2]", "JSON object"),
        ('{"t": 1, "n": 0}', "raw"),
        (line(dir="sideways"), "sideways"),
        ('{"t": 1, "n": 0, "raw": "x"', "JSON object"),
    ],
)
def test_a_line_that_is_no_frame_is_refused_with_its_number(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line() + "\n" + text + "\n")

    with pytest.raises(RecordingError, match=expected) as caught:
        list(read_recording(path))

    assert caught.value.line == 2


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RecordingError):
            list(read_recording(path))


def test_equal_files_have_equal_fingerprints_and_others_do_not(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, raw in zip(paths, ("x", "x", "y"), strict=True):
        path.write_text(line(raw=raw) + "\n")

    a, b, c = (fingerprint([path]) for path in paths)

    assert a == b != c
