"""Decimal texts: only plain ones count, and those seen lately are not checked again.

Prices repeat: in books and tickers most of them stand in the frame before, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

PLAIN = "0123456789."
"""Characters of a plain number; no sign, exponent, NaN, space or underscore."""

MAX_LENGTH = 64
MAX_REMEMBERED = 16_384

_PLAIN_BYTES = PLAIN.encode()
_PLAIN_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")

_decimals: dict[str, Decimal] = {}

known_decimal = _decimals.get
"""The ``Decimal`` of a text that ``learn_decimal`` took lately; else None."""


class NotPlain(Exception):
    """A text that is not a plain number."""


def plain_decimal(text: str) -> Decimal:
    """The exact number in *text*.

    Raises:
        NotPlain: it is not plain digits with at most one point between them.
    """
    if len(text) > MAX_LENGTH or not _PLAIN_NUMBER.fullmatch(text):
        raise NotPlain(text[:MAX_LENGTH])
    return Decimal(text)


def learn_decimal(text: str) -> Decimal:
    """The exact number in *text*, remembered for ``known_decimal``.

    Raises:
        NotPlain: it is not plain digits with at most one point between them.
    """
    number = plain_decimal(text)
    if len(_decimals) >= MAX_REMEMBERED:
        _decimals.clear()
    _decimals[text] = number
    return number


def decimal_or_none(text: str) -> Decimal | None:
    """The exact number in *text*, None when it is empty.

    Raises:
        NotPlain: there is something else in it.
    """
    if not text:
        return None
    number = known_decimal(text)
    return learn_decimal(text) if number is None else number


def floats_of(texts: Sequence[str]) -> list[float]:
    """The numbers in *texts*, for comparing only; each no longer than ``MAX_LENGTH``.

    Raises:
        NotPlain: one of them is not plain.
    """
    # hot path
    if "".join(texts).encode("utf-8", "replace").translate(None, _PLAIN_BYTES):
        raise NotPlain
    try:
        return list(map(float, texts))
    except ValueError:
        raise NotPlain from None
