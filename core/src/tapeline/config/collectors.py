"""Reads ``[collectors.NAME]`` tables and checks them against the exchange."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Final

import attrs

from tapeline.config.environment import Defaults
from tapeline.config.plugins import Plugins
from tapeline.config.problems import Problem, at, found, under
from tapeline.config.sections import CollectorSection
from tapeline.config.structuring import structure_fields, structure_options
from tapeline.config.symbols import symbol_problem
from tapeline.config.tables import table_of
from tapeline.errors import (
    PluginError,
    UnknownTimeframe,
    UsageError,
    did_you_mean,
    one_of,
)
from tapeline.hookspecs import ExchangeAdapter
from tapeline.model.instruments import Market
from tapeline.model.points import DataType
from tapeline.model.timeframes import TIMEFRAMES

AUDIT_TIMEFRAME: Final = "1m"
"""Of the candles that an audit compares at least."""

DEFAULT_TIMEFRAMES: Final = ("1m",)
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OTHER_WORDS: Final = {
    "book": "orderbook",
    "books": "orderbook",
    "depth": "orderbook",
    "ohlcv": "candle",
    "kline": "candle",
    "klines": "candle",
}


def audit_problem(adapter: ExchangeAdapter) -> str:
    """Why candles of *adapter* cannot be audited, in words; empty when they can."""
    channels = adapter.capabilities.channels.get(DataType.CANDLE.value, ())
    if any(channel.timeframe == AUDIT_TIMEFRAME for channel in channels):
        return ""
    return (
        f"expected an exchange with candles of {AUDIT_TIMEFRAME} of its own, found "
        f"{adapter.name}, which has none; leave audit out"
    )


def account_problem(account: object) -> str:
    """Why *account* cannot name an account, in words; empty when it can."""
    if isinstance(account, str) and (not account or _ACCOUNT.fullmatch(account)):
        return ""
    return (
        "expected a name of up to 64 letters, digits, '.', '_' and '-', beginning "
        f"with a letter or digit, found {found(account)}"
    )


def read_collector(
    name: str,
    table: Mapping[str, object],
    plugins: Plugins,
    environ: Mapping[str, str],
    defaults: Defaults,
    problems: list[Problem],
) -> CollectorSection | None:
    """The collector *name*; None when anything is wrong, told in *problems*."""
    path = under("collectors", name)
    before = len(problems)
    own = {key: value for key, value in table.items() if key != "options"}
    values, wrong = structure_fields(
        CollectorSection, own, path, environ, skip=("name", "options")
    )
    values.setdefault("health_check_interval", defaults.health_check_interval_s)
    adapter = None
    if "exchange" in values:
        where = under(path, "exchange")
        adapter = _find(str(values["exchange"]), where, plugins, problems)
    problems += _pointed_to_options(wrong, path, table, adapter)
    options = _read_options(table, path, adapter, environ, problems)
    _Checks(path, table, values, adapter, problems).run()
    if len(problems) > before:
        return None
    return CollectorSection(name=name, options=options, **values)  # type: ignore[arg-type]


def _find(
    exchange: str, path: str, plugins: Plugins, problems: list[Problem]
) -> ExchangeAdapter | None:
    try:
        return plugins.exchange(exchange)
    except (UsageError, PluginError) as error:
        problems.append((path, str(error)))
        return None


def _read_options(
    table: Mapping[str, object],
    path: str,
    adapter: ExchangeAdapter | None,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> object:
    where = under(path, "options")
    given = table_of(table.get("options", {}), where, problems)
    if given is None or adapter is None:
        return None
    options, wrong = structure_options(adapter.config, given, where, environ)
    problems += wrong
    made: object = options
    return made


def _pointed_to_options(
    wrong: Iterable[Problem],
    path: str,
    table: Mapping[str, object],
    adapter: ExchangeAdapter | None,
) -> list[Problem]:
    """*wrong*, with a better sentence for options that stand one table too high."""
    ours = {field.name for field in attrs.fields(CollectorSection)}
    theirs: set[str] = set()
    if adapter is not None and attrs.has(adapter.config):
        theirs = {str(field.alias) for field in attrs.fields(adapter.config)}
    misplaced = {under(path, key) for key in table.keys() & theirs - ours}
    return [
        (
            where,
            f"expected an option of {adapter.name} in [{path}.options], found it here",
        )
        if adapter is not None and where in misplaced
        else (where, text)
        for where, text in wrong
    ]


@attrs.define
class _Checks:
    """What one collector wants, against what its exchange offers."""

    path: str
    table: Mapping[str, object]
    values: dict[str, object]
    adapter: ExchangeAdapter | None
    problems: list[Problem]

    def run(self) -> None:
        """Check everything that was read; completes data types and timeframes."""
        market = self._market()
        timeframes = self._texts("timeframes")
        venue_timeframes = self._texts("venue_timeframes")
        data_types = self._complete(timeframes, venue_timeframes)
        self._data_types()
        self._timeframes("timeframes", timeframes)
        self._timeframes("venue_timeframes", venue_timeframes)
        self._venue_timeframes(venue_timeframes)
        self._symbols(market, data_types)
        if self.values.get("audit") and self.adapter is not None:
            sentence = audit_problem(self.adapter)
            if sentence:
                self._say("audit", sentence)
        sentence = account_problem(self.values.get("account", ""))
        if sentence:
            self._say("account", sentence)

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, ())
        return value if isinstance(value, tuple) else ()

    def _say(self, key: str, sentence: str, index: int | None = None) -> None:
        where = under(self.path, key)
        self.problems.append((where if index is None else at(where, index), sentence))

    def _once(self, key: str, texts: Sequence[str], noun: str) -> None:
        for index, text in enumerate(texts):
            if text in texts[:index]:
                self._say(
                    key, f"expected each {noun} once, found {found(text)} again", index
                )

    def _market(self) -> str:
        market = str(self.values.get("market", Market.SPOT))
        known = [each.value for each in Market]
        whose = ""
        if self.adapter is not None:
            known = [str(each) for each in self.adapter.capabilities.markets]
            whose = f" of {self.adapter.name}"
        if market not in known:
            self._say(
                "market",
                f"expected a market{whose} ({one_of(known)}), found {found(market)}"
                f"{did_you_mean(market, known)}",
            )
            return ""
        return market

    def _complete(
        self, timeframes: tuple[str, ...], venue_timeframes: tuple[str, ...]
    ) -> tuple[str, ...]:
        given = self._texts("data_types")
        candle = DataType.CANDLE.value
        completed = given if "data_types" in self.values else ("trade",)
        if timeframes and candle not in completed:
            completed = (*completed, candle)
        if candle in completed and not timeframes and "timeframes" not in self.table:
            self.values["timeframes"] = DEFAULT_TIMEFRAMES
        if "data_types" in self.values or "data_types" not in self.table:
            self.values["data_types"] = completed
            if not completed and not venue_timeframes:
                self._say("data_types", "expected at least one data type, found none")
        if candle in given and self.table.get("timeframes") == []:
            self._say(
                "timeframes",
                "expected at least one timeframe for candles, found none; "
                'leave it out for ["1m"]',
            )
        return completed

    def _data_types(self) -> None:
        known = [each.value for each in DataType]
        whose = "a data type"
        if self.adapter is not None:
            whose = f"a data type that {self.adapter.name} offers"
            offered = set(self.adapter.capabilities.data_types)
            # Candles are built by us; they need trades, not the venue's candles.
            offered.discard(DataType.CANDLE.value)
            if DataType.TRADE.value in offered:
                offered.add(DataType.CANDLE.value)
            known = sorted(offered)
        given = self._texts("data_types")
        written = self.table.get("data_types", ())
        for index, data_type in enumerate(given):
            if data_type in known or (self.adapter is None and "." in data_type):
                continue
            meant = _OTHER_WORDS.get(data_type.lower(), data_type.lower())
            hint = did_you_mean(meant, known)
            if data_type == DataType.CANDLE:
                hint = "; candles are built from trades, which it does not offer"
            sentence = (
                f"expected {whose} ({one_of(known)}), found {found(data_type)}{hint}"
            )
            if isinstance(written, Sized) and index < len(written):
                self._say("data_types", sentence, index)
            elif data_type == DataType.CANDLE:
                self._say("timeframes", sentence)
            else:
                self._say("data_types", sentence)
        self._once("data_types", given, "data type")

    def _timeframes(self, key: str, timeframes: tuple[str, ...]) -> None:
        for index, timeframe in enumerate(timeframes):
            if timeframe in TIMEFRAMES:
                continue
            lower = timeframe.lower()
            if lower in TIMEFRAMES and not timeframe.endswith("M"):
                names = " ".join(TIMEFRAMES)
                sentence = (
                    f"expected a timeframe out of {names}, found {found(timeframe)}; "
                    f"did you mean {lower!r}?"
                )
            else:
                sentence = str(UnknownTimeframe(timeframe[:60], tuple(TIMEFRAMES)))
            self._say(key, sentence, index)
        self._once(key, timeframes, "timeframe")

    def _venue_timeframes(self, timeframes: tuple[str, ...]) -> None:
        if self.adapter is None:
            return
        channels = self.adapter.capabilities.channels.get(DataType.CANDLE.value, ())
        offered = [channel.timeframe for channel in channels]
        for index, timeframe in enumerate(timeframes):
            if timeframe in TIMEFRAMES and timeframe not in offered:
                self._say(
                    "venue_timeframes",
                    f"expected a timeframe of {self.adapter.name}'s own candles "
                    f"({one_of(offered)}), found {found(timeframe)}; put it in "
                    "timeframes to build it from trades",
                    index,
                )

    def _symbols(self, market: str, data_types: tuple[str, ...]) -> None:
        if "symbols" not in self.values and "symbols" in self.table:
            return  # told already: it is no list of texts
        symbols = self._texts("symbols")
        balances_only = set(data_types) == {DataType.BALANCE.value}
        if not symbols and not (balances_only and not self._texts("venue_timeframes")):
            self._say(
                "symbols",
                'expected at least one symbol, e.g. ["BTC-USDT"], found none',
            )
        # Without a market that the exchange has, no form is right.
        for index, symbol in enumerate(symbols if market else ()):
            sentence = symbol_problem(symbol, market)
            if sentence:
                self._say("symbols", sentence, index)
        self._once("symbols", symbols, "symbol")
