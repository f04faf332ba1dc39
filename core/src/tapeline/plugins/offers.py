"""Checking what a plugin offers against the Protocols, without calling it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from tapeline.errors import did_you_mean
from tapeline.hookspecs import ExchangeAdapter, ServiceAdapter, SinkAdapter

PROMISES = ("durable", "live")
"""What a sink may promise."""


def _members(
    protocol: type,
) -> tuple[tuple[str, ...], dict[str, tuple[inspect.Parameter, ...]]]:
    """Names of attributes, and methods with their parameters, of *protocol*."""
    attributes = tuple(inspect.get_annotations(protocol))
    methods = {
        name: tuple(inspect.signature(function).parameters.values())[1:]
        for name, function in vars(protocol).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }
    return attributes, methods


_MEMBERS = {
    "exchange": _members(ExchangeAdapter),
    "sink": _members(SinkAdapter),
    "service": _members(ServiceAdapter),
}


def offers_problem(kind: str, plugin: str, offers: Sequence[object]) -> str:
    """A sentence on what is wrong with *offers* of *plugin*; empty when nothing.

    Args:
        kind: ``exchange``, ``sink`` or ``service``.
    """
    seen = set()
    for offer in offers:
        problem = _offer_problem(kind, plugin, offer)
        if problem:
            return problem
        name = str(getattr(offer, "name", ""))
        if name in seen:
            return f"{kind} {name!r} is offered twice"
        seen.add(name)
    return ""


def _offer_problem(kind: str, plugin: str, offer: object) -> str:
    """A sentence on what is wrong with one *offer*; empty when nothing."""
    if isinstance(offer, type):
        return f"expected {kind} objects, found the class {offer.__qualname__}"
    name = getattr(offer, "name", None)
    if not isinstance(name, str):
        return (
            f"expected {kind} objects with a name, found {name!r} "
            f"in a {type(offer).__qualname__}"
        )
    if name != plugin and not (
        name.startswith(f"{plugin}.") and len(name) > len(plugin) + 1
    ):
        return f"expected {kind} names {plugin!r} or '{plugin}.…', found {name!r}"
    attributes, methods = _MEMBERS[kind]
    for attribute in attributes:
        if not hasattr(offer, attribute):
            return (
                f"{kind} {name!r} expects an attribute {attribute!r}, found none"
                f"{did_you_mean(attribute, dir(offer))}"
            )
    for method, parameters in methods.items():
        problem = _method_problem(offer, method, parameters)
        if problem:
            return f"{kind} {name!r} {problem}"
    return _values_problem(kind, name, offer)


def _method_problem(
    offer: object, method: str, parameters: tuple[inspect.Parameter, ...]
) -> str:
    """A sentence on *method* not taking *parameters*; empty when it does."""
    shown = f"{method}({', '.join(parameter.name for parameter in parameters)})"
    function = getattr(offer, method, None)
    if not callable(function):
        return f"expects a method {shown}, found none{did_you_mean(method, dir(offer))}"
    if inspect.iscoroutinefunction(function):
        return f"expects a plain method {shown}, found an async one"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some callables written in C do not tell; they are taken at their word.
        return ""
    try:
        signature.bind(
            *(each for each in parameters if each.kind is not each.KEYWORD_ONLY),
            **{
                each.name: each for each in parameters if each.kind is each.KEYWORD_ONLY
            },
        )
    except TypeError:
        return f"expects a method {shown}, found {method}{signature}"
    return ""


def _values_problem(kind: str, name: str, offer: object) -> str:
    """A sentence on attributes with values of another sort; empty when none."""
    config = getattr(offer, "config", None)
    if not isinstance(config, type):
        return f"{kind} {name!r} expects a class as config, found {config!r}"
    if kind != "sink":
        return ""
    promise = getattr(offer, "promise", None)
    if promise not in PROMISES:
        return (
            f"sink {name!r} expects a promise out of {' '.join(PROMISES)}, "
            f"found {promise!r}"
        )
    accepts = getattr(offer, "accepts", None)
    if accepts is not None and (
        isinstance(accepts, str) or not isinstance(accepts, Sequence)
    ):
        return (
            f"sink {name!r} expects a sequence of data types or None in accepts, "
            f"found {accepts!r}"
        )
    return ""
