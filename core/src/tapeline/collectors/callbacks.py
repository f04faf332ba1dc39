"""Callbacks by data type: sync or async, named, counted, never in the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from tapeline.delivery import callback_name

Callback = Callable[[Any], Any]


@attrs.define
class CallbackErrors:
    """How often each callback raised, by name."""

    by_name: dict[str, int] = attrs.field(factory=dict)

    def count(self, callback: Callback) -> int:
        """Remember that *callback* raised; how often it has by now."""
        name = callback_name(callback)
        self.by_name[name] = self.by_name.get(name, 0) + 1
        return self.by_name[name]
