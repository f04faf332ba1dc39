"""What was received, what is missing, what is covered; and local order books."""

from tapeline.integrity.books import (
    BookChange,
    BookSettings,
    BookStatistics,
    LocalBook,
)
from tapeline.integrity.continuity import QUARANTINE, TradeContinuity
from tapeline.integrity.counters import ContinuityCounters, StreamStatistics
from tapeline.integrity.gap_ids import GapIds
from tapeline.integrity.intervals import IntervalSet
from tapeline.integrity.ledger import StreamLedger, Taker
from tapeline.integrity.settings import IntegritySettings
from tapeline.integrity.timeline import TimeContinuity

__all__ = [
    "QUARANTINE",
    "BookChange",
    "BookSettings",
    "BookStatistics",
    "ContinuityCounters",
    "GapIds",
    "IntegritySettings",
    "IntervalSet",
    "LocalBook",
    "StreamLedger",
    "StreamStatistics",
    "Taker",
    "TimeContinuity",
    "TradeContinuity",
]
