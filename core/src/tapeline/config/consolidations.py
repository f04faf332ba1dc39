"""Reads ``[consolidate.NAME]`` tables and checks them against the collectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tapeline.config.problems import Problem, at, found, under
from tapeline.config.sections import CollectorSection, ConsolidateSection
from tapeline.config.structuring import structure_fields
from tapeline.config.symbols import symbol_problem
from tapeline.errors import UnknownTimeframe, did_you_mean, one_of
from tapeline.model.instruments import Market
from tapeline.model.points import DataType
from tapeline.model.timeframes import TIMEFRAMES


def read_consolidation(
    name: str,
    table: Mapping[str, object],
    environ: Mapping[str, str],
    collectors: Iterable[CollectorSection],
    problems: list[Problem],
) -> ConsolidateSection | None:
    """The consolidation *name*; None when anything is wrong, told in *problems*.

    Args:
        collectors: those that could be read, and whatever they collect.
    """
    path = under("consolidate", name)
    before = len(problems)
    values, wrong = structure_fields(
        ConsolidateSection, table, path, environ, skip=("name",)
    )
    problems += wrong
    if len(problems) > before:
        return None
    section = ConsolidateSection(name=name, **values)  # type: ignore[arg-type]
    _check_form(section, path, problems)
    if len(problems) == before:
        _check_parts(section, path, list(collectors), problems)
    return section if len(problems) == before else None


def check_apart(
    sections: Iterable[ConsolidateSection], problems: list[Problem]
) -> None:
    """Each symbol of a market once: rows of two could not be told apart."""
    known: dict[tuple[str, str], str] = {}
    for section in sections:
        key = (section.market, section.symbol)
        other = known.setdefault(key, section.name)
        if other != section.name:
            problems.append(
                (
                    under(under("consolidate", section.name), "symbol"),
                    (
                        f"expected one consolidation of {section.symbol} "
                        f"({section.market}), found it in [consolidate.{other}] already"
                    ),
                )
            )


def _check_form(
    section: ConsolidateSection, path: str, problems: list[Problem]
) -> None:
    markets = [market.value for market in Market]
    if section.market not in markets:
        problems.append(
            (
                under(path, "market"),
                (
                    f"expected a market ({one_of(markets)}), found "
                    f"{found(section.market)}{did_you_mean(section.market, markets)}"
                ),
            )
        )
    else:
        sentence = symbol_problem(section.symbol, section.market)
        if sentence:
            problems.append((under(path, "symbol"), sentence))
    where = under(path, "exchanges")
    if len(section.exchanges) < 2:
        problems.append(
            (
                where,
                (
                    f"expected two or more exchanges, found {len(section.exchanges)}; "
                    "candles of one exchange need no consolidation"
                ),
            )
        )
    _check_once(section.exchanges, "exchange", where, problems)
    where = under(path, "timeframes")
    if not section.timeframes:
        problems.append((where, "expected at least one timeframe, found none"))
    for index, timeframe in enumerate(section.timeframes):
        if timeframe not in TIMEFRAMES:
            sentence = str(UnknownTimeframe(timeframe[:60], tuple(TIMEFRAMES)))
            problems.append((at(where, index), sentence))
    _check_once(section.timeframes, "timeframe", where, problems)


def _check_once(
    texts: tuple[str, ...], noun: str, where: str, problems: list[Problem]
) -> None:
    problems += [
        (at(where, index), f"expected each {noun} once, found {found(text)} again")
        for index, text in enumerate(texts)
        if text in texts[:index]
    ]


def _check_parts(
    section: ConsolidateSection,
    path: str,
    collectors: list[CollectorSection],
    problems: list[Problem],
) -> None:
    """Somebody must collect the trades of each part."""
    for index, exchange in enumerate(section.exchanges):
        if any(_collects(one, exchange, section) for one in collectors):
            continue
        known = sorted({one.exchange for one in collectors})
        hint = "" if exchange in known else did_you_mean(exchange, known)
        problems.append(
            (
                at(under(path, "exchanges"), index),
                (
                    f"expected an exchange of which a collector collects trades of "
                    f"{section.symbol} ({section.market}), found {found(exchange)} "
                    f"without one{hint}"
                ),
            )
        )


def _collects(
    collector: CollectorSection, exchange: str, section: ConsolidateSection
) -> bool:
    wants = (
        DataType.TRADE.value in collector.data_types
        or bool(collector.timeframes)
        or collector.audit
    )
    return (
        wants
        and collector.exchange == exchange
        and collector.market == section.market
        and section.symbol in collector.symbols
    )
