"""All cases, in the order in which they are run and documented."""

from __future__ import annotations

from collections.abc import Sequence

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

EXCHANGE_CASES: Sequence[Case] = (
    exchange_parsing.hooks,
    exchange_parsing.golden_events,
    exchange_parsing.well_formed,
    exchange_parsing.bytes_and_text,
    exchange_parsing.deterministic,
    exchange_parsing.prefixes,
    exchange_parsing.suffixes,
    exchange_parsing.truncated,
    exchange_parsing.other_types,
    exchange_parsing.bad_numbers,
    exchange_parsing.foreign,
    exchange_parsing.pure,
    exchange_dialogue.acknowledged,
    exchange_dialogue.rejected,
    exchange_dialogue.partly_acknowledged,
    exchange_dialogue.dials,
    exchange_dialogue.ticks,
    exchange_dialogue.closes,
    exchange_dialogue.classifies,
    exchange_dialogue.responds,
    exchange_dialogue.reads_recordings,
    exchange_dialogue.keeps_secrets,
    exchange_dialogue.healthy,
    exchange_dialogue.tells_malformed,
    exchange_books.continuity,
    exchange_books.chained,
    exchange_books.lost_changes,
    exchange_books.repeated_changes,
    exchange_books.resets,
    exchange_backfill.whole,
    exchange_backfill.ends,
    exchange_backfill.wrong_pages,
    exchange_backfill.garbage,
    exchange_simulated.quiet,
    exchange_simulated.disconnects,
    exchange_simulated.shaped_frames,
    exchange_simulated.malformed_frames,
    exchange_simulated.rest_errors,
    exchange_simulated.live_books,
    exchange_simulated.idle,
    exchange_simulated.cold_start,
    cost.parse_cost,
)
"""Of the exchange kit, without those about packaging."""

SINK_CASES: Sequence[Case] = (
    sink_cases.promise,
    sink_cases.cursors,
    sink_cases.stored_once,
    sink_cases.repeated,
    sink_cases.overlapping,
    sink_cases.restarted,
    sink_cases.kinds,
    sink_cases.positions,
    sink_cases.closes,
    sink_cases.healthy,
    sink_cases.keeps_secrets,
    sink_faults.unavailable,
    sink_faults.outages,
    sink_faults.poison,
    sink_faults.cancelled,
    cost.write_cost,
)
"""Of the sink kit, without those about packaging."""

PACKAGING_CASES: Sequence[Case] = (
    packaging.entry_point,
    packaging.api,
    packaging.bounds,
    packaging.typed,
    packaging.imports,
    packaging.config,
    packaging.documented_limits,
)
"""Of both kits."""

CASES: Sequence[Case] = (*EXCHANGE_CASES, *SINK_CASES, *PACKAGING_CASES)
"""All there are."""
