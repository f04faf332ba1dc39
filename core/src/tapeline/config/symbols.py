"""The form of canonical symbols, and what somebody probably meant."""

from __future__ import annotations

import re
from typing import Final

from tapeline.config.problems import found

MAX_LENGTH: Final = 80

# Letters of any script: exchanges list coins with names that are not ASCII.
_CURRENCY: Final = r"[^\W_][\w]{0,29}"
_PAIR: Final = rf"{_CURRENCY}-{_CURRENCY}"
_FORMS: Final = {
    "spot": (re.compile(_PAIR), "BTC-USDT"),
    "swap": (re.compile(_PAIR), "BTC-USDT"),
    "future": (re.compile(rf"{_PAIR}-\d{{6}}"), "BTC-USD-260327"),
    "option": (
        re.compile(rf"{_PAIR}-\d{{6}}-\d+(\.\d+)?-[CP]"),
        "BTC-USD-260327-50000-C",
    ),
}
_QUOTES: Final = (
    "FDUSD", "USDT", "USDC", "USDE", "TUSD", "BUSD", "USD1", "USD", "DAI", "EUR",
    "GBP", "TRY", "BRL", "JPY", "AUD", "SGD", "AED", "MXN", "ARS", "PLN", "UAH",
    "BTC", "ETH", "BNB", "OKB", "SOL",
)  # fmt: skip
_PERPETUAL: Final = re.compile(r"[-_/:](SWAP|PERP|PERPETUAL)$")
_SEPARATORS: Final = re.compile(r"[-_/:.\s]+")


def symbol_problem(symbol: str, market: str) -> str:
    """The sentence on what is wrong with the form of *symbol*; empty when nothing."""
    form, example = _FORMS.get(market, _FORMS["spot"])
    if (
        len(symbol) <= MAX_LENGTH
        and symbol == symbol.upper()
        and form.fullmatch(symbol)
    ):
        return ""
    return (
        f"expected a {market} symbol like {example}, found {found(symbol)}"
        f"{_meant(symbol, market)}"
    )


def _meant(symbol: str, market: str) -> str:
    text = symbol.strip().upper()
    if len(text) > MAX_LENGTH:
        return ""
    plain = _PERPETUAL.sub("", text)
    if plain != text:
        pair = _pair(plain)
        if pair and market == "swap":
            return f"; write '{pair}'"
        return f"; write '{pair}' with market = \"swap\"" if pair else ""
    for other in dict.fromkeys((market, *_FORMS)):
        form, _ = _FORMS.get(other, _FORMS["spot"])
        candidate = _pair(text) if other in ("spot", "swap") else _dashed(text)
        if candidate and form.fullmatch(candidate):
            where = "" if other == market else f' with market = "{other}"'
            return f"; write '{candidate}'{where}"
    return ""


def _dashed(text: str) -> str:
    return _SEPARATORS.sub("-", text)


def _pair(text: str) -> str:
    parts = [part for part in _SEPARATORS.split(text) if part]
    if len(parts) == 2:
        return "-".join(parts)
    if len(parts) == 1:
        for quote in _QUOTES:
            base = text.removesuffix(quote)
            if base != text and base.isalnum():
                return f"{base}-{quote}"
    return ""
