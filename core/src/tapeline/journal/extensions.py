"""Values that msgpack lacks, kept exactly: big integers, decimals, odd text, times."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from tapeline.errors import JournalError

_DECIMAL, _INTEGER, _TEXT, _DATETIME = 1, 2, 3, 4
_MAX_DEPTH = 32
_TOO_DEEP = "nested too deep to be kept"


def plain(value: object, depth: int = 0) -> object:
    """*value* in what msgpack has, with extensions for what it lacks."""
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, depth)
    if isinstance(value, int):
        if -(2**63) <= value < 2**63:
            return int(value)
        return msgspec.msgpack.Ext(_INTEGER, hex(value).encode())
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            text = value.encode("utf-8", "surrogatepass")
            return msgspec.msgpack.Ext(_TEXT, text)
        return str(value)
    if isinstance(value, Decimal):
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    if isinstance(value, datetime):
        return msgspec.msgpack.Ext(_DATETIME, value.isoformat().encode())
    if depth >= _MAX_DEPTH:
        return _TOO_DEEP
    if isinstance(value, Mapping):
        return {
            key if type(key) is int else str(key): plain(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    return plain(str(value))


def extension(code: int, data: memoryview) -> object:
    """The value of an extension; msgspec's ``ext_hook``.

    Raises:
        JournalError: a code that this version does not know.
    """
    text = bytes(data)
    if code == _DECIMAL:
        return Decimal(text.decode())
    if code == _INTEGER:
        return int(text, 16)
    if code == _TEXT:
        return text.decode("utf-8", "surrogatepass")
    if code == _DATETIME:
        return datetime.fromisoformat(text.decode())
    raise JournalError(
        f"expected an extension that this version knows, found code {code}"
    )


def clamped(headers: Iterable[object]) -> list[object]:
    """Headers whose numbers fit; only their texts and bounds may be off."""

    def fit(value: object) -> object:
        if isinstance(value, int):
            return min(max(value, -(2**63)), 2**63 - 1)
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()
        if isinstance(value, list | tuple):
            return [fit(item) for item in value]
        return value

    return [fit(row) for row in headers]
