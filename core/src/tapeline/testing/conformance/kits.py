"""The kits: classes to subclass in a plugin's own tests.

Every case is a method that can be read, run alone and stepped into. pytest is needed
only when one runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from tapeline.testing.conformance import (
    cost,
    exchange_backfill,
    exchange_books,
    exchange_dialogue,
    exchange_parsing,
    exchange_simulated,
    packaging,
    sink_cases,
    sink_faults,
)
from tapeline.testing.conformance.cases import Case
from tapeline.testing.conformance.catalog import CASES
from tapeline.testing.conformance.subjects import ExchangeUnderTest, SinkUnderTest
from tapeline.testing.conformance.verdicts import Outcome, RuleBroken, run_case

_NO_WAIVERS: Mapping[str, str] = MappingProxyType({})


class Conformance:
    """What both kits share.

    Attributes:
        waivers: case id → why the plugin does not keep it; a waived case is skipped.
        complete: True lets a case fail for which something is missing that only the
            plugin's author can give; such a case is skipped otherwise.
    """

    waivers: ClassVar[Mapping[str, str]] = _NO_WAIVERS
    complete: ClassVar[bool] = False

    def check(self, case: Case, subject: ExchangeUnderTest | SinkUnderTest) -> None:
        """Run *case*; pytest shows what came of it.

        Raises:
            RuleBroken: the plugin does not keep the rule, or a waiver has no reason.
        """
        import pytest  # only who runs a kit needs it

        # What failed is the plugin: a report without the kit's own code is shorter.
        __tracebackhide__ = True
        result = run_case(case, subject, subject.api, self.waivers)
        failing = {Outcome.FAILED, Outcome.NOT_SHOWN if self.complete else None}
        if result.outcome in failing:
            raise RuleBroken(result.message)
        if result.outcome is Outcome.ADVISORY:
            pytest.skip(f"advisory, newer than the plugin's API: {result.message}")
        if result.outcome is not Outcome.PASSED:
            pytest.skip(f"{case.id} {result.outcome}: {result.detail}")

    def test_every_waiver_names_a_case(self) -> None:
        """A waiver for a case that does not exist hides nothing, and is a mistake."""
        known = {each.id for each in CASES}
        unknown = sorted(self.waivers.keys() - known)
        if unknown:
            raise RuleBroken(f"expected waivers of known cases, found {unknown}")


class ExchangeConformance(Conformance):
    """Every rule for an exchange adapter.

    Subclass it and define the fixture ``under_test``, an ``ExchangeUnderTest``.
    """

    def test_ex_hooks_001_hooks(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.hooks, under_test)

    def test_ex_golden_001_golden_events(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.golden_events, under_test)

    def test_ex_events_001_well_formed(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.well_formed, under_test)

    def test_ex_bytes_001_bytes_and_text(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.bytes_and_text, under_test)

    def test_ex_same_001_deterministic(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.deterministic, under_test)

    def test_ex_prefix_001_prefixes(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.prefixes, under_test)

    def test_ex_prefix_002_suffixes(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.suffixes, under_test)

    def test_ex_truncated_001_truncated(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.truncated, under_test)

    def test_ex_types_001_other_types(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.other_types, under_test)

    def test_ex_numbers_001_bad_numbers(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.bad_numbers, under_test)

    def test_ex_foreign_001_foreign(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.foreign, under_test)

    def test_ex_pure_001_pure(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_parsing.pure, under_test)

    def test_ex_ack_001_acknowledged(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.acknowledged, under_test)

    def test_ex_ack_002_rejected(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.rejected, under_test)

    def test_ex_ack_003_partly_acknowledged(
        self, under_test: ExchangeUnderTest
    ) -> None:
        self.check(exchange_dialogue.partly_acknowledged, under_test)

    def test_ex_dial_001_dials(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.dials, under_test)

    def test_ex_tick_001_ticks(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.ticks, under_test)

    def test_ex_closed_001_closes(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.closes, under_test)

    def test_ex_rest_001_classifies(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.classifies, under_test)

    def test_ex_rest_002_responds(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.responds, under_test)

    def test_ex_replay_001_reads_recordings(
        self, under_test: ExchangeUnderTest
    ) -> None:
        self.check(exchange_dialogue.reads_recordings, under_test)

    def test_ex_secret_001_keeps_secrets(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.keeps_secrets, under_test)

    def test_ex_health_001_healthy(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.healthy, under_test)

    def test_ex_health_002_tells_malformed(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_dialogue.tells_malformed, under_test)

    def test_ex_ids_001_continuity(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_books.continuity, under_test)

    def test_ex_book_001_chained(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_books.chained, under_test)

    def test_ex_book_002_lost_changes(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_books.lost_changes, under_test)

    def test_ex_book_003_repeated_changes(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_books.repeated_changes, under_test)

    def test_ex_book_004_resets(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_books.resets, under_test)

    def test_ex_fill_001_whole(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_backfill.whole, under_test)

    def test_ex_fill_002_ends(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_backfill.ends, under_test)

    def test_ex_fill_003_wrong_pages(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_backfill.wrong_pages, under_test)

    def test_ex_fill_004_garbage(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_backfill.garbage, under_test)

    def test_ex_sim_001_quiet(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.quiet, under_test)

    def test_ex_sim_002_disconnects(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.disconnects, under_test)

    def test_ex_sim_003_shaped_frames(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.shaped_frames, under_test)

    def test_ex_sim_004_malformed_frames(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.malformed_frames, under_test)

    def test_ex_sim_005_rest_errors(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.rest_errors, under_test)

    def test_ex_book_101_live_books(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.live_books, under_test)

    def test_ex_idle_001_idle(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.idle, under_test)

    def test_ex_limits_001_cold_start(self, under_test: ExchangeUnderTest) -> None:
        self.check(exchange_simulated.cold_start, under_test)

    def test_ex_cost_001_parse_cost(self, under_test: ExchangeUnderTest) -> None:
        self.check(cost.parse_cost, under_test)

    def test_pk_entry_001_entry_point(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.entry_point, under_test)

    def test_pk_api_001_api(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.api, under_test)

    def test_pk_bounds_001_bounds(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.bounds, under_test)

    def test_pk_typed_001_typed(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.typed, under_test)

    def test_pk_import_001_imports(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.imports, under_test)

    def test_pk_config_001_config(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.config, under_test)

    def test_pk_docs_001_documented_limits(self, under_test: ExchangeUnderTest) -> None:
        self.check(packaging.documented_limits, under_test)


class SinkConformance(Conformance):
    """Every rule for a sink.

    Subclass it and define the fixture ``under_test``, a ``SinkUnderTest``.
    """

    def test_sk_promise_001_promise(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.promise, under_test)

    def test_sk_open_001_cursors(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.cursors, under_test)

    def test_sk_once_001_stored_once(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.stored_once, under_test)

    def test_sk_once_002_repeated(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.repeated, under_test)

    def test_sk_once_003_overlapping(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.overlapping, under_test)

    def test_sk_once_004_restarted(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.restarted, under_test)

    def test_sk_kinds_001_kinds(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.kinds, under_test)

    def test_sk_exact_001_positions(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.positions, under_test)

    def test_sk_close_001_closes(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.closes, under_test)

    def test_sk_health_001_healthy(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.healthy, under_test)

    def test_sk_secret_001_keeps_secrets(self, under_test: SinkUnderTest) -> None:
        self.check(sink_cases.keeps_secrets, under_test)

    def test_sk_fault_001_unavailable(self, under_test: SinkUnderTest) -> None:
        self.check(sink_faults.unavailable, under_test)

    def test_sk_fault_002_outages(self, under_test: SinkUnderTest) -> None:
        self.check(sink_faults.outages, under_test)

    def test_sk_fault_003_poison(self, under_test: SinkUnderTest) -> None:
        self.check(sink_faults.poison, under_test)

    def test_sk_cancel_001_cancelled(self, under_test: SinkUnderTest) -> None:
        self.check(sink_faults.cancelled, under_test)

    def test_sk_cost_001_write_cost(self, under_test: SinkUnderTest) -> None:
        self.check(cost.write_cost, under_test)

    def test_pk_entry_001_entry_point(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.entry_point, under_test)

    def test_pk_api_001_api(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.api, under_test)

    def test_pk_bounds_001_bounds(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.bounds, under_test)

    def test_pk_typed_001_typed(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.typed, under_test)

    def test_pk_import_001_imports(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.imports, under_test)

    def test_pk_config_001_config(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.config, under_test)

    def test_pk_docs_001_documented_limits(self, under_test: SinkUnderTest) -> None:
        self.check(packaging.documented_limits, under_test)
