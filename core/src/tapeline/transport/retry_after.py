"""The ``Retry-After`` header: how long a venue asks us to stay away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def read_retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds of ``retry-after`` in *headers* (lower-case names); None without one.

    A date is measured against the answer's own ``date``, so that our clock plays
    no part.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            until = parsedate_to_datetime(text)
            since = parsedate_to_datetime(headers.get("date", ""))
            seconds = (until - since).total_seconds()
        except (ValueError, TypeError):
            return None
    if not math.isfinite(seconds):
        return None
    return max(0.0, seconds)
