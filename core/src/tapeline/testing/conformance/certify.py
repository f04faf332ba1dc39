"""The certificate of an installed plugin: computed from its cases, never declared."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from tapeline.errors import UsageError
from tapeline.plugins import PluginRegistry
from tapeline.plugins.records import PluginRecord, PluginState
from tapeline.testing.conformance.cases import Case, Tier
from tapeline.testing.conformance.catalog import (
    EXCHANGE_CASES,
    PACKAGING_CASES,
    SINK_CASES,
)
from tapeline.testing.conformance.subjects import ExchangeUnderTest, SinkUnderTest
from tapeline.testing.conformance.verdicts import HARMLESS, CaseResult, run_case

MODULE = "conformance"
"""Submodule of a plugin's package that says what is to be tested."""

EXCHANGE_FUNCTION = "exchange_under_test"
"""``() -> ExchangeUnderTest``, or several."""

SINK_FUNCTION = "sink_under_test"
"""``(folder: Path) -> ContextManager[SinkUnderTest]``, or of several."""

_TIERS = (Tier.BRONZE, Tier.SILVER, Tier.GOLD)


@attrs.frozen
class Certificate:
    """What an installed plugin has shown.

    Args:
        plugin: its name.
        distribution: that installed it.
        api: version of the contract that it was written against.
        version: of its distribution.
        results: of all cases that concern it, in order.
    """

    plugin: str
    distribution: str
    version: str
    api: tuple[int, int]
    results: Sequence[CaseResult]

    @property
    def tier(self) -> Tier | None:
        """The highest tier against which, and below which, no case stands."""
        reached = None
        for tier in _TIERS:
            own = [each for each in self.results if each.case.tier is tier]
            if not all(each.outcome in HARMLESS for each in own):
                break
            reached = tier
        return reached

    def against(self, tier: Tier) -> Sequence[CaseResult]:
        """The results that stand against *tier*."""
        needed = _TIERS[: _TIERS.index(tier) + 1]
        return [
            each
            for each in self.results
            if each.case.tier in needed and each.outcome not in HARMLESS
        ]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready form."""
        return {
            "plugin": self.plugin,
            "distribution": self.distribution,
            "version": self.version,
            "api": "{}.{}".format(*self.api),
            "tier": None if self.tier is None else str(self.tier),
            "cases": [each.as_dict() for each in self.results],
        }


def certify(
    name: str, *, told: Callable[[CaseResult], None] = lambda _: None
) -> Certificate:
    """Run every case on the installed plugin *name*; waivers do not count.

    The plugin offers what is to be tested in the module ``conformance`` of its
    package: ``exchange_under_test()`` and/or ``sink_under_test(folder)``. Without it
    only the packaging is looked at, which is no certificate.

    Args:
        told: called with each result as it comes.

    Raises:
        UsageError: no such plugin is installed, or its module gives nothing to test.
        PluginError: the plugin is not usable.
    """
    registry = PluginRegistry(environ={})
    record = registry.load(name)
    if record.state is not PluginState.ACTIVE or record.info is None:
        raise UsageError(
            f"expected plugin {name!r} to be active, found it {record.state}: "
            f"{record.reason}"
        )
    results: list[CaseResult] = []
    with (
        tempfile.TemporaryDirectory(prefix="tapeline-") as folder,
        ExitStack() as stack,
    ):
        for cases, subject in _subjects(record, Path(folder), stack):
            subject = attrs.evolve(subject, plugin=name, api=record.info.api)
            for case in cases:
                result = attrs.evolve(
                    run_case(case, subject, record.info.api),
                    subject=subject.adapter.name,
                )
                results.append(result)
                told(result)
    return Certificate(
        name,
        record.distribution or "",
        record.version or "",
        record.info.api,
        results,
    )


def _subjects(
    record: PluginRecord, folder: Path, stack: ExitStack
) -> Iterator[tuple[Sequence[Case], Any]]:
    """What is to be tested, with the cases for it."""
    module = _module(record)
    exchange = getattr(module, EXCHANGE_FUNCTION, None)
    sink = getattr(module, SINK_FUNCTION, None)
    if exchange is None and sink is None:
        raise UsageError(
            f"expected {module.__name__} to have {EXCHANGE_FUNCTION} or "
            f"{SINK_FUNCTION}, found neither; see docs/conformance.md"
        )
    found: list[tuple[Sequence[Case], Any]] = []
    if exchange is not None:
        found += [(EXCHANGE_CASES, each) for each in _several(exchange())]
    if sink is not None:
        given = stack.enter_context(sink(folder))
        found += [(SINK_CASES, each) for each in _several(given)]
    for _, subject in found:
        if not isinstance(subject, ExchangeUnderTest | SinkUnderTest):
            raise UsageError(
                f"expected {module.__name__} to give an ExchangeUnderTest or a "
                f"SinkUnderTest, found {type(subject).__name__}"
            )
    yield from found
    yield PACKAGING_CASES, found[0][1]


def _several(given: Any) -> Sequence[Any]:
    return given if isinstance(given, Sequence) else [given]


def _module(record: PluginRecord) -> Any:
    package = record.module.partition(".")[0]
    name = f"{package}.{MODULE}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise UsageError(
                f"expected plugin {record.name!r} to have a module {name}, found none; "
                f"write {EXCHANGE_FUNCTION} or {SINK_FUNCTION} there, see "
                "docs/conformance.md"
            ) from error
        raise UsageError(
            f"expected {name} to import, found no module {error.name!r}, which it "
            "needs; install it"
        ) from error
