"""Runs the validators of an attrs class one by one and words what they say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from tapeline.config.problems import found
from tapeline.config.references import ResolvedText
from tapeline.errors import ConfigError, TapelineError, one_of
from tapeline.model.secrets import MASK, Secret, mask

REFUSALS = (ValueError, TypeError, LookupError, ArithmeticError, TapelineError)
"""What a validator, converter or class may raise to refuse its values."""

_COMPARED = re.compile(r"'\w+' must be (<=|>=|<|>) (.+): ", re.DOTALL)
_WORDS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}


def check_values(
    cls: type[object], values: Mapping[str, object]
) -> list[tuple[attrs.Attribute[Any], str]]:
    """``(field, sentence)`` for every given value that a validator refuses.

    Constructing the class would stop at the first; here each validator runs, on
    an instance that holds the values so far and the defaults.
    """
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)  # type: ignore[arg-type]
    if not any(field.validator for field in fields):
        return []
    instance = cls.__new__(cls)
    wrong: list[tuple[attrs.Attribute[Any], str]] = []
    for field in fields:
        try:
            _fill(instance, field, values)
        except REFUSALS as error:
            if field.name in values:
                given = values[field.name]
                wrong.append((field, sentence_of(error, given, [given])))
    refused = {field.name for field, _ in wrong}
    for field in fields:
        if field.validator is None or field.name not in values.keys() - refused:
            continue
        try:
            field.validator(instance, field, getattr(instance, field.name))
        except AttributeError:
            # It looked at a field whose own problem is reported already.
            continue
        except REFUSALS as error:
            given = values[field.name]
            wrong.append((field, sentence_of(error, given, [given])))
    return wrong


def sentence_of(error: Exception, value: object, hidden: Iterable[object]) -> str:
    """What *error* of a validator says, as a sentence without secrets.

    Args:
        value: the refused value; None when it is about the whole table.
        hidden: values whose texts must not appear if they are secrets.
    """
    arguments = error.args
    text = str(arguments[0]) if arguments else str(error)
    if isinstance(error, ConfigError):
        text = "; ".join(sentence for _, sentence in error.problems)
    compared = _COMPARED.match(text)
    if compared:
        sign, bound = compared.groups()
        return f"expected a value of {_WORDS[sign]} {bound}, found {found(value)}"
    if len(arguments) == 4 and "must be in" in text:
        return f"expected {one_of(map(str, arguments[2]))}, found {found(value)}"
    if len(arguments) == 4 and "must match regex" in text:
        pattern = getattr(arguments[2], "pattern", arguments[2])
        return f"expected text of the form {pattern}, found {found(value)}"
    line = _without_secrets(text, hidden).partition("\n")[0].strip().rstrip(".")
    if line.startswith("expected"):
        return line
    seen = "values that exclude each other" if value is None else found(value)
    return f"expected a value that the options accept, found {seen}" + (
        f": {line[:200]}" if line else ""
    )


def _without_secrets(text: str, hidden: Iterable[object]) -> str:
    for value in hidden:
        plain = ""
        if isinstance(value, Secret):
            plain = value.reveal()
        elif isinstance(value, ResolvedText):
            plain = str(value)
        if plain:
            text = text.replace(plain, MASK)
    return mask(text)


def _fill(
    instance: object, field: attrs.Attribute[Any], values: Mapping[str, object]
) -> None:
    value: Any = field.default
    if field.name in values:
        value = values[field.name]
    elif isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory(instance) if value.takes_self else value.factory()
    if value is attrs.NOTHING:
        return
    convert: Any = field.converter
    if convert is not None:
        takes_all = isinstance(convert, attrs.Converter)
        value = convert(value, instance, field) if takes_all else convert(value)
    object.__setattr__(instance, field.name, value)
