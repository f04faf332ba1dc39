"""Output that nobody reads any longer."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_reader_that_went_away_is_no_failure_to_talk_about() -> None:
    """As with ``tapeline plugins --json | head -1``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tapeline", "plugins", "--json"],
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(write_end)

    assert done.stderr == ""
    assert done.returncode == 1
