"""What a REST request asks, read and checked.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-api-information
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import msgspec

from tapeline_binance.simulator_account import Problem, time_ns
from tapeline_binance.simulator_routing import SPOT, BadQuery, read_unit


class Refused(Exception):
    """A request that is answered with an error of the venue."""

    def __init__(self, problem: Problem, status: int = 400) -> None:
        self.code, self.message = problem
        self.status = status
        super().__init__(self.message)


@attrs.frozen
class Asked:
    """One request, as the endpoints see it.

    Args:
        unit_ns: nanoseconds in one unit of the times in the answer.
        as_of_ns: later trades do not exist yet for the asker.
        book_ns: the book is that of this moment.
        query: decoded; *raw_query* is as sent.
    """

    family: str
    query: Mapping[str, str]
    raw_query: str
    headers: Mapping[str, str]
    now_ns: int
    as_of_ns: int
    book_ns: int
    unit_ns: int

    @property
    def spot(self) -> bool:
        """True for spot."""
        return self.family == SPOT

    def number(self, name: str) -> int | None:
        """The whole number named *name*; None when it is left out."""
        text = self.query.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 20:
            legal = "legal range is '^[0-9]{1,20}$'."
            raise Refused(
                (-1100, f"Illegal characters found in parameter '{name}'; {legal}")
            )
        return int(text)

    def limit(self, default: int, most: int) -> int:
        """The limit, clamped."""
        limit = self.number("limit")
        return default if limit is None else max(1, min(most, limit))

    def time(self, name: str) -> int | None:
        """The time named *name* in nanoseconds."""
        value = self.number(name)
        return None if value is None else time_ns(value)


def read_symbols(text: str) -> Sequence[str]:
    """The symbols of ``symbols``, a JSON list."""
    try:
        return msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError:
        raise Refused(
            (-1100, "Illegal characters found in parameter 'symbols'.")
        ) from None


def read_header_unit(headers: Mapping[str, str]) -> int:
    """Nanoseconds in the unit of time that a request asks for."""
    try:
        return read_unit(headers.get("x-mbx-time-unit", ""))
    except BadQuery:
        raise Refused((-1194, "Invalid value for time unit.")) from None
