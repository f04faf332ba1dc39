"""Decimal texts: only plain ones count, and those seen lately are not checked again.

Prices repeat: most of them stand in one of the frames before, too.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

PLAIN = "0123456789."
"""Characters of a plain number; no sign, exponent, NaN, space or underscore."""

MAX_LENGTH = 64
MAX_REMEMBERED = 16_384


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
    if text.strip(PLAIN) or len(text) > MAX_LENGTH or "." in (text[:1], text[-1:]):
        raise NotPlain(text[:MAX_LENGTH])
    try:
        return Decimal(text)
    except InvalidOperation:
        raise NotPlain(text) from None


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
