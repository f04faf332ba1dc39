"""What a type is called in a sentence or in the reference."""

from __future__ import annotations

import enum
import types
from collections import abc
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tapeline.errors import one_of
from tapeline.model.secrets import Secret

SEQUENCES = (list, tuple, set, frozenset)
_ABSTRACT = (abc.Sequence, abc.Collection, abc.Iterable, abc.Set)

_NAMES: dict[object, str] = {
    str: "text",
    int: "integer",
    float: "number",
    Decimal: "number",
    bool: "true or false",
    Path: "path",
    Secret: "secret",
    Any: "anything",
    object: "anything",
}


def is_union(kind: object) -> bool:
    """True for ``X | Y`` and ``Optional``."""
    return get_origin(kind) in (Union, types.UnionType)


def alternatives(kind: object) -> tuple[object, ...]:
    """The members of a union without None; *kind* itself when it is none."""
    if not is_union(kind):
        return (kind,)
    return tuple(part for part in get_args(kind) if part is not type(None))


def is_sequence(kind: object) -> bool:
    """True for lists, tuples and sets, with or without a type of items."""
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and (
        issubclass(origin, SEQUENCES) or origin in _ABSTRACT
    )


def is_mapping(kind: object) -> bool:
    """True for ``dict`` and ``Mapping``, with or without types."""
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, abc.Mapping)


def kind_name(kind: object) -> str:
    """The type in words: ``list of text``, ``integer``, ``one of a or b``."""
    if is_union(kind):
        return " or ".join(kind_name(part) for part in alternatives(kind))
    if get_origin(kind) is Annotated:
        return kind_name(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return f"one of {one_of(str(choice) for choice in get_args(kind))}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return f"one of {one_of(str(member.value) for member in kind)}"
    if is_sequence(kind):
        items = [part for part in get_args(kind) if part is not Ellipsis]
        return f"list of {kind_name(items[0])}" if items else "list"
    if is_mapping(kind):
        return "table"
    supertype = getattr(kind, "__supertype__", None)
    if supertype is not None:
        return kind_name(supertype)
    return _NAMES.get(kind, "table")
