"""Callbacks by data type: sync or async, named, counted, never in the way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs

Callback = Callable[[Any], Any]


def callback_name(callback: Callback) -> str:
    """A name for people: module and qualified name where there are any."""
    name = getattr(callback, "__qualname__", None) or repr(callback)
    module = getattr(callback, "__module__", "")
    return f"{module}.{name}" if module else name


def is_async(callback: Callback) -> bool:
    """True when calling it gives something to await."""
    call = callback if inspect.isroutine(callback) else type(callback).__call__
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(call)


@attrs.define
class CallbackErrors:
    """How often each callback raised, by name."""

    by_name: dict[str, int] = attrs.field(factory=dict)
    last: dict[str, str] = attrs.field(factory=dict)

    def count(self, callback: Callback, error: BaseException) -> int:
        """Remember that *callback* raised; how often it has by now."""
        name = callback_name(callback)
        self.by_name[name] = self.by_name.get(name, 0) + 1
        self.last[name] = f"{type(error).__name__}: {error}"
        return self.by_name[name]
