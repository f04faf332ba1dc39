"""TOML tables into frozen attrs classes, with every problem at once.

cattrs picks the hook for a type; the hooks here are strict (no ``"5"`` for 5, no
text for a list) and report where and why in sentences.
"""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Collection, Mapping
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import attrs
import cattrs

from tapeline.config.checking import REFUSALS, check_values, sentence_of
from tapeline.config.kinds import (
    alternatives,
    is_mapping,
    is_sequence,
    is_union,
    kind_name,
)
from tapeline.config.problems import Problem, at, found, under
from tapeline.config.references import UnresolvedReference, is_reference, resolve
from tapeline.deprecation import Deprecation
from tapeline.errors import ConfigError, ContractError, did_you_mean, one_of
from tapeline.model.secrets import Secret, register_secret

Options = TypeVar("Options")

_logger = logging.getLogger("tapeline.config")


class Unfit(ValueError):
    """A value that does not fit its type; problems are relative to the value."""

    def __init__(self, sentence: str = "", problems: Collection[Problem] = ()) -> None:
        self.problems = tuple(problems) or (("", sentence),)
        super().__init__()


def structure_options(
    cls: type[Options],
    mapping: Mapping[str, object],
    path: str,
    environ: Mapping[str, str],
) -> tuple[Options | None, list[Problem]]:
    """An instance of *cls* from a table, or None and everything that is wrong.

    Args:
        cls: an attrs class; a field takes the key of its name, a field metadata
            ``items`` names the items of a list in sentences, ``deprecated`` is a
            ``Deprecation``, told once when the key is given.
        mapping: the table, as TOML or a caller gives it.
        path: key path of the table, for the problems.
        environ: where ``env:NAME`` texts are looked up.

    Raises:
        ContractError: *cls* is no attrs class or has a field of a type that no
            configuration can give.
    """
    values, problems = structure_fields(cls, mapping, path, environ)
    if problems:
        return None, problems
    alias = {field.name: field.alias for field in attrs.fields(cls)}  # type: ignore[arg-type]
    try:
        return cls(**{str(alias[name]): value for name, value in values.items()}), []
    except ConfigError as error:
        # The class names its own keys.
        return None, [
            (
                f"{path}.{inner}" if path and inner else path or inner,
                sentence_of(ValueError(sentence), None, values.values()),
            )
            for inner, sentence in error.problems
        ]
    except REFUSALS as error:
        return None, [(path, sentence_of(error, None, values.values()))]


def structure_fields(
    cls: type[object],
    mapping: Mapping[str, object],
    path: str,
    environ: Mapping[str, str],
    skip: Collection[str] = (),
) -> tuple[dict[str, object], list[Problem]]:
    """Field name → value for all keys that fit, and the problems of the others.

    Fields in *skip* are no keys of this table; the caller fills them in.
    """
    fields = _fields(cls, skip)
    structure = _Structure(environ)
    values: dict[str, object] = {}
    problems: list[Problem] = []
    for key, raw in mapping.items():
        field = fields.get(key)
        if field is None:
            problems.append((under(path, key), unknown_key(key, fields)))
            continue
        notice = field.metadata.get("deprecated")
        if isinstance(notice, Deprecation) and notice.warn():
            _logger.warning("%s: %s", under(path, key), notice.sentence)
        try:
            values[field.name] = structure.field(field, raw)
        except Unfit as unfit:
            here = under(path, key)
            problems += [(here + inner, text) for inner, text in unfit.problems]
    problems += [
        (under(path, key), f"expected a value ({kind_name(field.type)}), found nothing")
        for key, field in fields.items()
        if field.default is attrs.NOTHING and key not in mapping
    ]
    wrong = check_values(cls, values)
    problems += [(under(path, _key(field)), text) for field, text in wrong]
    for field, _ in wrong:
        del values[field.name]
    return values, problems


def unknown_key(key: str, known: Collection[str]) -> str:
    """The sentence for a key that a table does not have."""
    if not known:
        return f"expected no keys in this table, found {found(key)}; remove it"
    return f"expected {one_of(known)}, found {found(key)}" + (
        did_you_mean(key, known) or "; remove it"
    )


def _key(field: attrs.Attribute[Any]) -> str:
    return str(field.alias or field.name)


def _fields(
    cls: type[object], skip: Collection[str]
) -> dict[str, attrs.Attribute[Any]]:
    if not attrs.has(cls):
        raise ContractError(f"expected an attrs class for options, found {cls!r}")
    try:
        attrs.resolve_types(cls)
    except NameError as error:
        raise ContractError(
            f"expected annotations of {cls.__name__} that can be resolved at run time, "
            f"found {error}"
        ) from error
    return {
        _key(field): field
        for field in attrs.fields(cls)
        if field.init and field.name not in skip
    }


class _Structure:
    """One converter with the hooks of this file, for one environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._converter = cattrs.Converter(detailed_validation=True)
        by_class = {
            str: self._text,
            int: self._integer,
            float: self._number,
            bool: self._flag,
            Decimal: self._decimal,
            Path: self._path,
            Secret: self._secret,
        }
        for cls, hook in by_class.items():
            self._converter.register_structure_hook(cls, hook)
        for predicate, hook in (
            (is_mapping, self._mapping),
            (is_sequence, self._sequence),
            (_is_literal, self._literal),
            (_is_enum, self._enum),
            (lambda kind: isinstance(kind, type) and attrs.has(kind), self._table),
            (lambda kind: kind is object, lambda value, kind: value),
            (is_union, self._union),
        ):
            self._converter.register_structure_hook_func(predicate, hook)

    def field(self, field: attrs.Attribute[Any], raw: object) -> object:
        """The value of one field."""
        kind = field.type if field.type is not None else object
        items = field.metadata.get("items")
        if items and is_sequence(kind) and not isinstance(raw, list | tuple):
            raise Unfit(f"expected a list of {items}, found {found(raw)}{_listed(raw)}")
        return self._value(raw, kind)

    def _value(self, raw: object, kind: Any) -> Any:
        try:
            return self._converter.structure(raw, kind)
        except cattrs.StructureHandlerNotFoundError as error:
            raise ContractError(
                f"expected a type that a configuration can give, found {kind!r}"
            ) from error

    def _text(self, raw: object, kind: type[Any]) -> object:
        if _is_enum(kind):
            return self._enum(raw, kind)
        if not isinstance(raw, str):
            raise Unfit(f"expected text, found {found(raw)}{_quoted(raw)}")
        return self._dereferenced(raw, secret=True)

    def _dereferenced(self, text: str, *, secret: bool) -> str:
        if not is_reference(text):
            return text
        try:
            resolved = resolve(text, self._environ)
        except UnresolvedReference as error:
            raise Unfit(str(error)) from None
        if secret:
            register_secret(str(resolved))
        return resolved

    def _secret(self, raw: object, kind: type[Any]) -> Secret:
        if isinstance(raw, Secret):
            register_secret(raw)
            return raw
        if not isinstance(raw, str):
            # The value itself stays out of the sentence: it may be the secret.
            article = type(raw).__name__
            raise Unfit(
                "expected a secret as text, 'env:NAME' or 'file:/path', "
                f"found a value of type {article}; put it in quotes"
            )
        secret = Secret(str(self._dereferenced(raw, secret=True)))
        register_secret(secret)
        return secret

    def _path(self, raw: object, kind: type[Any]) -> Path:
        if isinstance(raw, Path):
            return raw
        if not isinstance(raw, str) or not raw or "\0" in raw:
            raise Unfit(f"expected a path, found {found(raw)}")
        return Path(str(self._dereferenced(raw, secret=False)))

    def _flag(self, raw: object, kind: type[Any]) -> bool:
        if not isinstance(raw, bool):
            raise Unfit(f"expected true or false, found {found(raw)}")
        return raw

    def _integer(self, raw: object, kind: type[Any]) -> object:
        if _is_enum(kind):
            return self._enum(raw, kind)
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise Unfit(f"expected an integer, found {found(raw)}{_unquoted(raw)}")
        if raw.bit_length() > 63:
            raise Unfit(f"expected an integer of 64 bits, found {found(raw)}")
        return raw

    def _number(self, raw: object, kind: type[Any]) -> float:
        number = float(self._decimal(raw, kind))
        if not math.isfinite(number):
            raise Unfit(f"expected a number that a float can hold, found {found(raw)}")
        return number

    def _decimal(self, raw: object, kind: type[Any]) -> Decimal:
        if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
            raise Unfit(f"expected a number, found {found(raw)}{_unquoted(raw)}")
        number = Decimal(str(raw)) if isinstance(raw, float) else Decimal(raw)
        if not number.is_finite():
            raise Unfit(f"expected a finite number, found {found(raw)}")
        return number

    def _literal(self, raw: object, kind: Any) -> object:
        return _choice(raw, {choice: choice for choice in get_args(kind)})

    def _enum(self, raw: object, kind: Any) -> object:
        if isinstance(raw, kind):
            return raw
        return _choice(raw, {member.value: member for member in kind})

    def _union(self, raw: object, kind: Any) -> object:
        if raw is None and type(None) in get_args(kind):
            return None
        parts = alternatives(kind)
        for part in parts:
            try:
                return self._value(raw, part)
            except Unfit as unfit:
                if len(parts) == 1 or _goes_deeper(raw, unfit):
                    raise
        shown = "a hidden value" if Secret in parts else found(raw)
        raise Unfit(f"expected {kind_name(kind)}, found {shown}")

    def _sequence(self, raw: object, kind: Any) -> object:
        if not isinstance(raw, list | tuple):
            raise Unfit(
                f"expected a {kind_name(kind)}, found {found(raw)}{_listed(raw)}"
            )
        parts = [part for part in get_args(kind) if part is not Ellipsis]
        origin = get_origin(kind) or kind
        fixed = issubclass(origin, tuple) and Ellipsis not in get_args(kind)
        if fixed and len(parts) > 0 and len(parts) != len(raw):
            raise Unfit(
                f"expected a list of {len(parts)} items, found {len(raw)} of them"
            )
        items: list[object] = []
        problems: list[Problem] = []
        for index, item in enumerate(raw):
            part = parts[index if fixed and parts else 0] if parts else object
            try:
                items.append(self._value(item, part))
            except Unfit as unfit:
                problems += [(at("", index) + on, text) for on, text in unfit.problems]
        if problems:
            raise Unfit(problems=problems)
        return items if issubclass(origin, list) else _container(origin)(items)

    def _mapping(self, raw: object, kind: Any) -> object:
        if not isinstance(raw, Mapping):
            raise Unfit(f"expected a table, found {found(raw)}")
        key_kind, value_kind = get_args(kind) or (str, object)
        values: dict[object, object] = {}
        problems: list[Problem] = []
        for key, value in raw.items():
            try:
                values[self._value(key, key_kind)] = self._value(value, value_kind)
            except Unfit as unfit:
                here = "." + under("", str(key))
                problems += [(here + inner, text) for inner, text in unfit.problems]
        if problems:
            raise Unfit(problems=problems)
        return values

    def _table(self, raw: object, kind: Any) -> object:
        if isinstance(raw, kind):
            return raw
        if not isinstance(raw, Mapping):
            raise Unfit(f"expected a table, found {found(raw)}")
        made, problems = structure_options(kind, raw, "", self._environ)
        if problems:
            raise Unfit(problems=[("." + on if on else on, t) for on, t in problems])
        return made


def _is_literal(kind: object) -> bool:
    return get_origin(kind) is Literal


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _container(origin: type[Any]) -> type[Any]:
    for concrete in (tuple, frozenset, set):
        if issubclass(origin, concrete):
            return concrete
    return tuple


def _goes_deeper(raw: object, unfit: Unfit) -> bool:
    # A list or table of the right shape: its own problems say more than
    # "expected this or that".
    return isinstance(raw, list | tuple | Mapping) and any(
        path for path, _ in unfit.problems
    )


def _choice(raw: object, choices: Mapping[object, object]) -> object:
    for value, chosen in choices.items():
        if type(value) is type(raw) and value == raw:
            return chosen
    names = [str(value) for value in choices]
    hint = did_you_mean(raw.lower(), names) if isinstance(raw, str) else ""
    raise Unfit(f"expected {one_of(names)}, found {found(raw)}{hint}")


def _listed(raw: object) -> str:
    return f"; write [{found(raw)}]" if isinstance(raw, str) else ""


def _quoted(raw: object) -> str:
    return "; put it in quotes" if isinstance(raw, int | float | Decimal) else ""


def _unquoted(raw: object) -> str:
    if not isinstance(raw, str):
        return ""
    try:
        Decimal(raw)
    except DecimalException:
        return ""
    return "; write it without quotes"
