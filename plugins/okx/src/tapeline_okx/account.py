"""Balances from the private ``account`` channel.

https://my.okx.com/docs-v5/en/#trading-account-websocket-account-channel
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import attrs
import msgspec

from tapeline.model import Balance, Malformed, Subscription
from tapeline_okx.numbers import NotPlain, plain_decimal
from tapeline_okx.readers import Item, sample
from tapeline_okx.wire import (
    MAX_MS,
    MS,
    UNDECODABLE,
    Envelope,
    Unusable,
    decode_any,
    decode_items,
)

ZERO = Decimal(0)
MAX_PAGES = 1_000

Amount = Annotated[str, msgspec.Meta(max_length=65)]


class WireDetail(msgspec.Struct):
    """One currency of an account."""

    ccy: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    cashBal: Amount = ""
    eq: Amount = ""
    availBal: Amount = ""
    frozenBal: Amount = ""
    uTime: Amount = ""


class WireAccount(msgspec.Struct):
    """One item of a push: currencies, each still undecoded."""

    details: list[msgspec.Raw] = []
    uTime: Amount = ""


_decode_account = msgspec.json.Decoder(WireAccount, strict=False).decode
_decode_detail = msgspec.json.Decoder(WireDetail, strict=False).decode


def _amount(text: str) -> Decimal | None:
    """*text* exact, possibly negative (a debt); None when empty."""
    if not text:
        return None
    digits = text.removeprefix("-")
    try:
        amount = plain_decimal(digits)
    except NotPlain:
        raise Unusable("number") from None
    return amount if digits == text else -amount


def _ns(text: str) -> int:
    """Milliseconds as nanoseconds; 0 when there are none."""
    if not (text.isascii() and text.isdecimal()):
        return 0
    ms = int(text)
    return ms * MS if ms < MAX_MS else 0


@attrs.define
class AccountReader:
    """Reads ``account`` pushes; gathers the pages of a snapshot until the last.

    A snapshot lists only currencies that are not zero, so a known one that is not
    on it any more is given out with zeros.
    """

    stream: Subscription
    keep_raw: bool = False
    _pages: list[Item] = attrs.field(factory=list, init=False)
    _next_page: int = attrs.field(default=1, init=False)
    _known: dict[str, None] = attrs.field(factory=dict, init=False)

    def fast(self, frame: bytes, received_ns: int) -> None:
        """Balances are rare: there is only the careful way."""
        return None

    def careful(self, envelope: Envelope, received_ns: int) -> list[Item]:
        """Balances of *envelope*, or nothing until its snapshot is whole."""
        whole = envelope.eventType == "snapshot"
        try:
            items = decode_items(envelope.data)
        except UNDECODABLE:
            text = sample(bytes(envelope.data))
            return [Malformed("data", text, self.stream)]
        read: list[Item] = []
        for item in items:
            read += self._account(bytes(item), whole, received_ns)
        if not whole:
            for event in read:
                if isinstance(event, Balance):
                    self._known[event.asset] = None
            return read
        return self._page(envelope, read, received_ns)

    def _page(
        self, envelope: Envelope, read: list[Item], received_ns: int
    ) -> list[Item]:
        page = envelope.curPage or 1
        lost: list[Item] = []
        if page != self._next_page:
            if self._pages or page != 1:
                text = f"page {page} in place of page {self._next_page}"
                lost.append(Malformed("page", text, self.stream))
            self._pages = []
            self._next_page = 1
            if page != 1:
                return lost
        self._pages += read
        if envelope.lastPage is False and page < MAX_PAGES:
            self._next_page = page + 1
            return lost
        gathered, self._pages, self._next_page = self._pages, [], 1
        listed = {item.asset: None for item in gathered if isinstance(item, Balance)}
        gone = [asset for asset in self._known if asset not in listed]
        if any(isinstance(item, Malformed) for item in gathered):
            # a currency may be missing because its item was unusable
            self._known.update(listed)
            gone = []
        else:
            self._known = listed
        exchange_ns = max(
            (item.exchange_ns for item in gathered if isinstance(item, Balance)),
            default=received_ns,
        )
        gathered += [
            Balance(
                self.stream, asset, ZERO, ZERO, ZERO, exchange_ns, received_ns, True
            )
            for asset in gone
        ]
        return lost + gathered

    def _account(self, item: bytes, whole: bool, received_ns: int) -> list[Item]:
        try:
            account = _decode_account(item)
        except UNDECODABLE:
            return [Malformed("field", sample(item), self.stream)]
        read: list[Item] = []
        for raw in account.details:
            detail = bytes(raw)
            try:
                row = _decode_detail(detail)
                balance = Balance(
                    stream=self.stream,
                    asset=row.ccy,
                    total=_amount(row.cashBal or row.eq),
                    free=_amount(row.availBal),
                    locked=_amount(row.frozenBal),
                    exchange_ns=_ns(row.uTime) or _ns(account.uTime) or received_ns,
                    received_ns=received_ns,
                    snapshot=whole,
                    raw=decode_any(detail) if self.keep_raw else None,
                )
            except Unusable as error:
                read.append(Malformed(error.reason, sample(detail), self.stream))
            except UNDECODABLE:
                read.append(Malformed("field", sample(detail), self.stream))
            else:
                read.append(balance)
        return read
