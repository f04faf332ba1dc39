"""What an operator may say about the callbacks sink."""

from __future__ import annotations

import re

import attrs

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d]\w*(\.[^\W\d]\w*)*")


def _is_target(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not _TARGET.fullmatch(value):
        raise ValueError(
            f"expected 'package.module:function', found {value!r}; name a function "
            "that can be imported"
        )


@attrs.frozen
class CallbacksConfig:
    """One function that events are given to."""

    target: str = attrs.field(
        validator=_is_target,
        metadata={
            "description": "The function, as 'package.module:function' or "
            "'package.module.function'; plain or async."
        },
    )
    data_types: tuple[str, ...] | None = attrs.field(
        default=None,
        metadata={
            "description": "Data types to pass on, e.g. ['trade', 'candle']. "
            "Without it: all."
        },
    )
    symbols: tuple[str, ...] | None = attrs.field(
        default=None,
        metadata={
            "description": "Canonical symbols to pass on, e.g. ['BTC-USDT']. "
            "Without it: all."
        },
    )
