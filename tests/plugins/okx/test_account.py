"""Balances: pages of snapshots, changes, and what drops out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tapeline.model import Balance, Malformed

D = Decimal


def detail(ccy: str, total: str = "10", **more: object) -> dict[str, object]:
    return {
        "ccy": ccy,
        "cashBal": total,
        "eq": "4892.95",
        "availBal": "4",
        "frozenBal": "6",
        "uTime": "1705564213903",
        **more,
    }


def account(*details: object, **more: object) -> dict[str, Any]:
    item = {"uTime": "1705564223311", "totalEq": "", "details": list(details)}
    arg = {"channel": "account", "uid": "44*********584"}
    return {"arg": arg, "data": [item], **more}


def snapshot(*details: object, page: int = 1, last: bool = True) -> dict[str, Any]:
    return account(*details, eventType="snapshot", curPage=page, lastPage=last)


@pytest.fixture
def private(connect: Any, streams: Any, keys: Any, now: Any) -> Any:
    """A connection on which balances are subscribed."""
    connection = connect("private", **keys)
    connection.session.opened(now())
    connection.subscribe(streams("account", ""))
    _, send = connection.parse({"event": "login", "code": "0", "msg": ""})
    connection.acknowledge(send)
    return connection


def test_a_snapshot_gives_every_currency(private: Any, streams: Any) -> None:
    (balance,) = private.parse(snapshot(detail("USDT", "4750.42")))
    assert balance == Balance(
        stream=streams("account", ""),
        asset="USDT",
        total=D("4750.42"),
        free=D("4"),
        locked=D("6"),
        exchange_ns=1705564213903000000,
        received_ns=balance.received_ns,
        snapshot=True,
    )
    assert balance.symbol == "USDT"


def test_pages_are_gathered_until_the_last(private: Any) -> None:
    assert private.parse(snapshot(detail("BTC"), page=1, last=False)) == []
    assert private.parse(snapshot(detail("ETH"), page=2, last=False)) == []
    found = private.parse(snapshot(detail("USDT"), page=3))
    assert [balance.asset for balance in found] == ["BTC", "ETH", "USDT"]
    assert all(balance.snapshot for balance in found)


def test_a_change_between_two_pages_is_given_at_once(private: Any) -> None:
    private.parse(snapshot(detail("BTC"), page=1, last=False))
    (change,) = private.parse(account(detail("BTC", "1"), eventType="event_update"))
    assert (change.asset, change.total, change.snapshot) == ("BTC", D("1"), False)
    assert len(private.parse(snapshot(detail("ETH"), page=2))) == 2


def test_a_missing_page_starts_over(private: Any) -> None:
    private.parse(snapshot(detail("BTC"), page=1, last=False))
    (lost,) = private.parse(snapshot(detail("ETH"), page=3))
    assert isinstance(lost, Malformed)
    assert lost.reason == "page"
    (found,) = private.parse(snapshot(detail("BTC")))
    assert found.asset == "BTC"


def test_a_currency_that_drops_out_of_a_snapshot_is_zero(private: Any) -> None:
    private.parse(snapshot(detail("BTC"), detail("ETH")))
    private.parse(account(detail("SOL"), eventType="event_update"))
    found = private.parse(snapshot(detail("BTC")))
    assert [(b.asset, b.total) for b in found] == [
        ("BTC", D(10)),
        ("ETH", D(0)),
        ("SOL", D(0)),
    ]
    assert [b.asset for b in private.parse(snapshot(detail("BTC")))] == ["BTC"]


def test_empty_fields_are_none_and_debts_are_negative(private: Any) -> None:
    row = detail("BTC", "-1.5", availBal="", frozenBal="", uTime="")
    (balance,) = private.parse(snapshot(row))
    assert (balance.total, balance.free, balance.locked) == (D("-1.5"), None, None)
    assert balance.exchange_ns == 1705564223311000000


def test_the_equity_stands_in_for_a_missing_cash_balance(private: Any) -> None:
    (balance,) = private.parse(snapshot(detail("BTC", "")))
    assert balance.total == D("4892.95")


@pytest.mark.parametrize(
    "bad",
    [
        detail(""),
        detail("BTC", "NaN"),
        detail("BTC", "--1"),
        detail("BTC", "1e5"),
        {"ccy": 5},
        {},
        None,
        "BTC",
    ],
)
def test_a_bad_currency_costs_only_itself(private: Any, bad: Any) -> None:
    private.parse(snapshot(detail("BTC"), detail("ETH")))
    item, good = private.parse(snapshot(bad, detail("ETH")))
    assert isinstance(item, Malformed)
    assert good.asset == "ETH"


def test_items_of_another_shape_are_malformed(private: Any) -> None:
    frame = {"arg": {"channel": "account"}, "data": [None, {"details": 5}, {}]}
    assert [type(item) for item in private.parse(frame)] == [Malformed, Malformed]
    (item,) = private.parse({"arg": {"channel": "account"}, "data": 5})
    assert item.reason == "data"


def test_an_empty_account_is_an_empty_snapshot(private: Any) -> None:
    assert private.parse(snapshot()) == []
