"""Texts of Coinbase as exact numbers and nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

MAX_ID = 2**63 - 1
_PLAIN = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unusable(Exception):
    """A text that is not what it should be; *word* names which one."""

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(word)


def decimal_of(text: str, word: str) -> Decimal:
    """The exact number in *text*.

    Raises:
        Unusable: it is not plain digits with at most one point between them.
    """
    if not _PLAIN.fullmatch(text):
        raise Unusable(word)
    return Decimal(text)


def positive(text: str, word: str) -> Decimal:
    """The exact number above zero in *text*.

    Raises:
        Unusable: there is none.
    """
    number = decimal_of(text, word)
    if not number:
        raise Unusable(word)
    return number


def optional(text: str, word: str) -> Decimal | None:
    """The exact number in *text*, None when it is empty.

    Raises:
        Unusable: there is something else in it.
    """
    return decimal_of(text, word) if text else None


def id_of(text: str) -> int:
    """The number of a trade. Unconfirmed: documented as text, seen only as digits.

    Raises:
        Unusable: it is not a whole number above zero that fits 63 bits.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise Unusable("trade-id")
    number = int(text)
    if not 0 < number <= MAX_ID:
        raise Unusable("trade-id")
    return number


@lru_cache(maxsize=256)
def _second_ns(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 10**9


def ns_of(text: str) -> int:
    """Nanoseconds UTC of ``2026-01-01T00:00:00.123456789Z``, any number of digits.

    Raises:
        Unusable: it is another form, or a time before 1970.
    """
    fraction = text[20:-1]
    if (
        len(text) < 20
        or not text.isascii()
        or text[-1] != "Z"
        or (fraction and not (fraction.isdecimal() and text[19] == "."))
        or (not fraction and len(text) != 20)
    ):
        raise Unusable("time")
    try:
        second_ns = _second_ns(text[:19])
    except ValueError:
        raise Unusable("time") from None
    if second_ns <= 0:
        raise Unusable("time")
    return second_ns + int(fraction[:9].ljust(9, "0") or 0)
