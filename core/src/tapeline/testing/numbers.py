"""Exact decimal texts from scaled integers, as venues print them."""

from __future__ import annotations

from decimal import Decimal


def scale_of(step: Decimal) -> tuple[int, int]:
    """``(units, decimals)`` with ``step == units / 10**decimals``."""
    exponent = step.as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return int(step.scaleb(decimals)), decimals


def scaled_text(value: int, decimals: int) -> str:
    """*value* / 10**decimals as text without trailing zeros, never an exponent."""
    if decimals <= 0:
        return str(value)
    if value < 0:
        return "-" + scaled_text(-value, decimals)
    digits = str(value)
    if len(digits) <= decimals:
        digits = digits.zfill(decimals + 1)
    fraction = digits[-decimals:].rstrip("0")
    whole = digits[:-decimals]
    return f"{whole}.{fraction}" if fraction else whole
