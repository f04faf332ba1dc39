"""The simulator's private side: keys, login, balances that move.

https://www.okx.com/docs-v5/en/#trading-account-websocket-account-channel
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from random import Random

import attrs

from tapeline_okx.simulator_wire import ms

_VALID_S = 30


@attrs.frozen
class SimKey:
    """An API key that the simulator knows; not a secret of anybody."""

    key: str
    secret: str = attrs.field(repr=False)
    passphrase: str = attrs.field(repr=False)


DEFAULT_KEY = SimKey("simulated-key", "simulated-secret", "simulated-passphrase")
"""The key of a simulator that was given none."""


def _sign(secret: str, text: str) -> str:
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


class SimAccount:
    """One account: its keys and what it holds.

    Args:
        page_size: currencies on one page of a snapshot.
    """

    def __init__(self, keys: Iterable[SimKey], chance: Random, page_size: int) -> None:
        self._keys = {key.key: key for key in keys}
        self._random = chance
        self._page_size = page_size
        self.uid = "44*********584"
        self._cash = {
            "USDT": Decimal("4750.42"),
            "BTC": Decimal("0.5"),
            "ETH": Decimal("12.25"),
            "SOL": Decimal(0),
        }
        self._frozen = {"USDT": Decimal("158.57")}

    def check_login(self, argument: object, now_ns: int) -> tuple[str, str] | None:
        """Code and message of a refused login; None when it is good."""
        if not isinstance(argument, Mapping):
            return "60009", "Login failed."
        values = [
            argument.get(name) for name in ("apiKey", "passphrase", "timestamp", "sign")
        ]
        if not all(isinstance(value, str) for value in values):
            return "60009", "Login failed."
        api_key, passphrase, timestamp, sign = (str(value) for value in values)
        try:
            age_s = now_ns / 1e9 - float(timestamp)
        except ValueError:
            return "60004", "Invalid timestamp"
        known = self._keys.get(api_key)
        if known is None:
            return "60032", "API key doesn't exist."
        if not abs(age_s) <= _VALID_S:
            return "60006", "Timestamp request expired"
        if passphrase != known.passphrase:
            return "60024", "Wrong passphrase"
        expected = _sign(known.secret, f"{timestamp}GET/users/self/verify")
        if not hmac.compare_digest(expected.encode(), sign.encode()):
            return "60007", "Invalid sign"
        return None

    def check_request(
        self, method: str, target: str, headers: Mapping[str, str], now_ns: int
    ) -> tuple[str, str] | None:
        """Code and message of a badly signed request; None when it is good."""
        lower = {name.lower(): value for name, value in headers.items()}
        names = ("key", "sign", "timestamp", "passphrase")
        values = [lower.get(f"ok-access-{name}", "") for name in names]
        for name, value, code in zip(
            names, values, ("50103", "50104", "50107", "50105"), strict=True
        ):
            if not value:
                return code, f"Request header OK-ACCESS-{name.upper()} can not be empty"
        api_key, sign, timestamp, passphrase = values
        known = self._keys.get(api_key)
        if known is None:
            return "50111", "Invalid OK-ACCESS-KEY"
        try:
            sent = datetime.fromisoformat(timestamp)
            age_s = now_ns / 1e9 - sent.timestamp()
        except ValueError:
            return "50112", "Invalid OK-ACCESS-TIMESTAMP"
        if sent.tzinfo is None:
            return "50112", "Invalid OK-ACCESS-TIMESTAMP"
        if abs(age_s) > _VALID_S:
            return "50102", "Timestamp request expired"
        if passphrase != known.passphrase:
            return "50105", "Header OK-ACCESS-PASSPHRASE incorrect"
        expected = _sign(known.secret, f"{timestamp}{method}{target}")
        if not hmac.compare_digest(expected.encode(), sign.encode()):
            return "50113", "Invalid Sign"
        return None

    def _detail(self, ccy: str, now_ns: int) -> dict[str, str]:
        cash = self._cash[ccy]
        frozen = self._frozen.get(ccy, Decimal(0))
        return {
            "ccy": ccy,
            "cashBal": format(cash, "f"),
            "eq": format(cash, "f"),
            "availBal": format(cash - frozen, "f"),
            "availEq": "",
            "frozenBal": format(frozen, "f"),
            "ordFrozen": "0",
            "liab": "",
            "upl": "",
            "uTime": ms(now_ns),
        }

    def _held(self, wanted: Sequence[str]) -> list[str]:
        return [
            ccy
            for ccy, cash in self._cash.items()
            if cash and (not wanted or ccy in wanted)
        ]

    def balance(self, wanted: Sequence[str], now_ns: int) -> dict[str, object]:
        """The account as REST gives it; *wanted* empty means all currencies."""
        details = [self._detail(ccy, now_ns) for ccy in self._held(wanted)]
        return {"uTime": ms(now_ns), "totalEq": "", "details": details}

    def pages(
        self, wanted: Sequence[str], arg: Mapping[str, str], now_ns: int
    ) -> list[dict[str, object]]:
        """A snapshot of ``account``, page by page; zero balances are left out."""
        held = self._held(wanted)
        size = self._page_size
        chunks = [held[at : at + size] for at in range(0, len(held), size)] or [[]]
        return [
            {
                "arg": {**arg, "uid": self.uid},
                "eventType": "snapshot",
                "curPage": number,
                "lastPage": number == len(chunks),
                "data": [
                    {
                        "uTime": ms(now_ns),
                        "totalEq": "",
                        "details": [self._detail(ccy, now_ns) for ccy in chunk],
                    }
                ],
            }
            for number, chunk in enumerate(chunks, 1)
        ]

    def move(self) -> str:
        """Change one balance; gives its currency."""
        ccy = self._random.choice(list(self._cash))
        change = Decimal(self._random.randrange(-500, 700)).scaleb(-3)
        self._cash[ccy] = max(
            self._frozen.get(ccy, Decimal(0)), self._cash[ccy] + change
        )
        return ccy

    def update(
        self, ccy: str, arg: Mapping[str, str], now_ns: int
    ) -> dict[str, object]:
        """The ``event_update`` of one currency."""
        return {
            "arg": {**arg, "uid": self.uid},
            "eventType": "event_update",
            "data": [
                {
                    "uTime": ms(now_ns),
                    "totalEq": "",
                    "details": [self._detail(ccy, now_ns)],
                }
            ],
        }
