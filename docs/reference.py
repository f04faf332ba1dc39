"""Describes public types and functions in Markdown, for ``docs/generate.py``.

What a field means is read from the ``Args`` of its class; fields that mean the same
wherever they stand are described here, once.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import attrs

PUBLIC = (
    "tapeline",
    "tapeline.model",
    "tapeline.hookspecs",
    "tapeline.errors",
    "tapeline.clock",
    "tapeline.seams",
)
"""Modules whose names are public; where one stands in several, the first counts."""
TESTING = "tapeline.testing"
"""Public too, and described on a page of its own."""

WIDTH = 88
SAME = MappingProxyType(
    {
        "stream": "the subscription that it belongs to",
        "subscription": "the stream that it is about",
        "exchange": "name of the exchange, as its plugin offers it",
        "market": "`spot`, `swap`, `future` or `option`",
        "symbols": "canonical symbols",
        "exchange_ns": "when it happened, by the venue's clock",
        "received_ns": "when it reached this machine",
        "raw": "the venue's own object when it was kept, else None",
        "reason": "a few words or a sentence on why",
        "headers": "of HTTP, with lower-case names",
        "body": "of the HTTP message",
        "status": "of HTTP",
        "clock": "the only source of time",
        "executor": "where blocking calls run",
        "logger": "to log to; below `tapeline.`",
        "conn": "number of the connection",
        "ok": "False when something is wrong",
        "issues": "what is wrong, in sentences",
        "counters": "name to count, only rising",
        "timeframe": "one of the eleven, e.g. `1m`",
        "open": "first price, in quote units",
        "high": "highest price, in quote units",
        "low": "lowest price, in quote units",
        "close": "last price, in quote units",
        "volume": "in venue units: base, or contracts of derivatives",
        "quote_volume": "in quote units",
        "side": "`buy` or `sell`: the aggressor's (taker's)",
        "price": "exact, in quote units",
        "size": "exact, in venue units: base, or contracts of derivatives",
        "bids": "best (highest) first",
        "asks": "best (lowest) first",
        "base": "currency that is bought and sold",
        "quote": "currency that prices are in",
    }
)
UNITS = MappingProxyType(
    {"_ns": "ns", "_ms": "ms", "_s": "s", "_bytes": "bytes", "_hz": "1/s"}
)
ABSOLUTE = ("exchange_ns", "received_ns", "wall_ns", "detected_ns", "started_ns")
ABSOLUTE += ("ended_ns", "venue_ns", "expires_ns", "from_ns", "to_ns", "open_ns")
TYPE_VARIABLES = (TypeVar, TypeVarTuple)
SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$", re.MULTILINE)
ENTRY = re.compile(r"^([\w*, ]+): (.*)$", re.DOTALL)


class Public(NamedTuple):
    """A public name: from where it is imported, and what it is."""

    module: str
    value: Any


def public(*modules: str) -> dict[str, Public]:
    """Every public name of *modules*."""
    found: dict[str, Public] = {}
    for module in modules:
        for name, value in _face(module):
            found.setdefault(name, Public(module, value))
    return found


def _face(name: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", None)
    if listed is not None:
        yield from ((each, getattr(module, each)) for each in listed)
        return
    tree = ast.parse(inspect.getsource(module))
    for node in tree.body:
        match node:
            case (
                ast.ClassDef(name=each)
                | ast.FunctionDef(name=each)
                | ast.Assign(targets=[ast.Name(id=each)])
            ):
                value = getattr(module, each)
                if not each.startswith("_") and not isinstance(value, TYPE_VARIABLES):
                    yield each, value


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [head, ("---",) * len(head), *rows]
    cells = [" | ".join(_cell(text) for text in line) for line in lines]
    return "".join(f"| {line} |\n" for line in cells)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def described(name: str, module: str, value: Any) -> str:
    """The section of the public *name*."""
    parts = [f"### `{name}`\n"]
    if inspect.isclass(value):
        parts += _class(value, module)
    elif inspect.isfunction(value):
        parts += [f"```python\n{signature(name, value)}\n```\n", *_text(value)]
    elif isinstance(value, types.UnionType | types.GenericAlias):
        parts += [f"One of {_alternatives(value)}.\n", _imported(module, name)]
    else:
        parts += [f"{_value(value)}\n", _imported(module, name)]
    return "\n".join(part for part in parts if part)


def _value(value: object) -> str:
    """A constant, the same whenever it is written."""
    if isinstance(value, frozenset):
        return ", ".join(f"`{each}`" for each in sorted(value))
    if " at 0x" in repr(value):
        return f"A `{type(value).__name__}`."
    return f"`{value!r}`"


def _class(cls: type, module: str) -> list[str]:
    """Text, import, fields or values, and methods of a class."""
    lead, *more = _text(cls)
    parts = [lead, _imported(module, cls.__name__)]
    if issubclass(cls, enum.Enum):
        rows = [(f"`{each.value}`", text) for each, text in values(cls)]
        parts.append(table(("value", "meaning"), rows))
    elif attrs.has(cls):
        rows = [
            (f"`{each.name}`", f"`{each.type}`", each.default, each.unit, each.meaning)
            for each in fields(cls)
        ]
        parts.append(table(("field", "type", "default", "unit", "meaning"), rows))
        more = [text for text in more if not text.startswith("Args")]
    return [*parts, *more, _members(cls)]


class Field(NamedTuple):
    """A field of an attrs class, in words."""

    name: str
    type: str
    default: str
    unit: str
    meaning: str


def fields(cls: type) -> list[Field]:
    """The fields that the constructor of *cls* takes."""
    said = _entries(cls)
    found = []
    for each in attrs.fields(cls):
        name = str(each.alias)
        if not each.init:
            continue
        kind = str(each.type) if isinstance(each.type, str) else _shown(each.type)
        meaning = said.get(name) or str(each.metadata.get("description", ""))
        if ". " not in meaning:
            meaning = meaning.removesuffix(".")
        found.append(
            Field(
                name,
                kind,
                _default(each.default),
                _unit(name),
                _markdown(meaning) or SAME.get(name, ""),
            )
        )
    return found


def _unit(name: str) -> str:
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return "ns UTC" if name in ABSOLUTE else unit
    return ""


def _default(default: object) -> str:
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        factory = default.factory  # type: ignore[attr-defined]
        return "`{}`" if factory is dict else f"a new `{_shown(factory)}`"
    text = repr(default.value if isinstance(default, enum.Enum) else default)
    return f"`{text}`"


def _shown(kind: object) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def values(cls: type[enum.Enum]) -> list[tuple[enum.Enum, str]]:
    """The members of *cls*, each with the text below it in the source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    (definition,) = tree.body
    assert isinstance(definition, ast.ClassDef)
    texts: dict[str, str] = {}
    for node, below in zip(definition.body, definition.body[1:], strict=False):
        match node, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = _markdown(text)
    return [(member, texts.get(member.name, "")) for member in cls]


def _entries(cls: type) -> dict[str, str]:
    """Field → its text in ``Args`` of *cls* and of what it inherits from."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if "__doc__" not in vars(each):
            continue
        block = _sections(inspect.cleandoc(each.__doc__ or "")).get("Args", "")
        for entry in _split(block):
            match = ENTRY.match(entry)
            if match is not None:
                names = [name.strip() for name in match[1].split(",")]
                found |= dict.fromkeys(names, match[2])
    return found


def _sections(text: str) -> dict[str, str]:
    """Heading → block of a docstring; the lead has the empty heading."""
    lead, *rest = SECTION.split(text)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return {"": lead.strip()} | {key: textwrap.dedent(block) for key, block in pairs}


def _split(block: str) -> list[str]:
    """The entries of a section, each on one line."""
    entries: list[str] = []
    for line in textwrap.dedent(block).strip("\n").splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(line)
    return entries


def _text(thing: object) -> list[str]:
    """The docstring of *thing* as Markdown: its lead, then its sections."""
    found = _sections(inspect.cleandoc(getattr(thing, "__doc__", None) or ""))
    parts = [f"{_markdown(found.pop(''))}\n"]
    for heading, block in found.items():
        entries = [_entry(entry) for entry in _split(block)]
        parts.append(f"{heading}:\n\n" + "".join(f"* {each}\n" for each in entries))
    return parts


def _entry(text: str) -> str:
    match = ENTRY.match(text)
    return _markdown(f"`{match[1]}`: {match[2]}" if match else text)


def _markdown(text: str) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)


def _imported(module: str, name: str) -> str:
    return f"`from {module} import {name}`\n"


def _alternatives(union: Any) -> str:
    shown = [getattr(each, "__name__", str(each)) for each in union.__args__]
    if isinstance(union, types.GenericAlias):
        return f"`{union}`"
    return ", ".join(f"`{each}`" for each in shown)


def _members(cls: type) -> str:
    """Properties and methods of *cls* and what it inherits of ours, as a stub."""
    read_only: list[str] = []
    calls: list[str] = []
    own = {field.name for field in fields(cls)} if attrs.has(cls) else set()
    for name, member in _of(cls).items():
        if name in own:
            continue
        if isinstance(member, property):
            kind = inspect.get_annotations(member.fget).get("return", "Any")
            read_only.append(f"{name}: {kind}  # read only")
        else:
            function = getattr(member, "__func__", member)
            if inspect.isfunction(function):
                calls.append(signature(name, function))
    return "\n".join(
        "```python\n" + "\n".join(part) + "\n```\n"
        for part in (read_only, calls)
        if part
    )


def _of(cls: type) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for each in reversed(cls.__mro__):
        # Enums bring methods of text and numbers.
        if not each.__module__.startswith("tapeline") or issubclass(each, enum.Enum):
            continue
        for name, member in vars(each).items():
            # The cases of the kits are listed with what they check.
            if name.startswith("test_"):
                continue
            wanted = inspect.isfunction(member) or isinstance(
                member, property | staticmethod | classmethod
            )
            if wanted and not name.startswith("_"):
                found[name] = member
    return found


def signature(name: str, function: Callable[..., object]) -> str:
    """``def name(...) -> ...: ...``, wrapped when it is long."""
    shown = inspect.signature(function)
    ours = [
        each.replace(
            annotation=_written(each.annotation), default=_standing(each.default)
        )
        for each in shown.parameters.values()
        if each.name not in ("self", "cls")
    ]
    result = _written(shown.return_annotation)
    text = str(shown.replace(parameters=ours, return_annotation=result))
    marker = "async def" if inspect.iscoroutinefunction(function) else "def"
    line = f"{marker} {name}{text}: ..."
    if len(line) <= WIDTH:
        return line
    inside, _, result = text.removeprefix("(").rpartition(")")
    body = "".join(f"    {one},\n" for one in _arguments(inside))
    return f"{marker} {name}(\n{body}){result}: ..."


class _Written(str):
    """An annotation that is shown as it is written, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _standing(default: Any) -> Any:
    """*default* as the formatter writes it; dots for a function, which has no text."""
    if default is inspect.Parameter.empty:
        return default
    if inspect.isfunction(default):
        return _Written("...")
    text = repr(default)
    # The formatter's quotes, unless there are such quotes inside.
    return default if '"' in text else _Written(text.replace("'", '"'))


def _written(annotation: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation


def _arguments(inside: str) -> list[str]:
    """The parameters of a signature's text, split where no bracket is open."""
    found, depth = [""], 0
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [each.strip() for each in found if each.strip()]


def sections(names: str) -> str:
    """The sections of *names*, divided by commas; ``testing:`` before those of it."""
    place, found, listed = names.rpartition(":")
    known = public(f"tapeline.{place}") if found else public(*PUBLIC)
    return "\n".join(
        ["", *(described(name, *known[name]) for name in listed.split(","))]
    )
