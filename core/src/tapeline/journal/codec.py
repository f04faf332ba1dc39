"""Rows of the journal as bytes: compact msgpack arrays, exact, without raw objects.

A payload is ``[streams, rows]``: every stream once, and rows that name their kind
and their stream by number. Headers are spans: see ``tapeline.journal.spans``.
"""

from tapeline.journal.decoding import decode
from tapeline.journal.encoding import encode

__all__ = ["decode", "encode"]
