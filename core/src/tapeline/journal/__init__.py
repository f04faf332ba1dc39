"""The journal: outbox, checkpoints, cursors and bans, in one order."""

from tapeline.journal.codec import decode, encode
from tapeline.journal.interface import JournalLike
from tapeline.journal.journal import Journal
from tapeline.journal.memory import MemoryJournal
from tapeline.journal.recovery import DamageReport
from tapeline.journal.settings import JournalSettings
from tapeline.journal.spans import Span, Spans

__all__ = [
    "DamageReport",
    "Journal",
    "JournalLike",
    "JournalSettings",
    "MemoryJournal",
    "Span",
    "Spans",
    "decode",
    "encode",
]
