"""How core makes callbacks sinks."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.errors import SinkError
from tapeline.hookspecs import DatabaseReader, Sink, SinkContext
from tapeline_callbacks.config import CallbacksConfig
from tapeline_callbacks.sink import CallbacksSink
from tapeline_callbacks.targets import resolve


class CallbacksAdapter:
    """Events to a Python function, live."""

    name: str = "callbacks"
    config: type[CallbacksConfig] = CallbacksConfig
    promise: str = "live"
    accepts: Sequence[str] | None = None
    default: bool = False

    def sink(self, config: CallbacksConfig, context: SinkContext) -> Sink:
        """A new sink; imports nothing yet."""
        return CallbacksSink(config, context)

    def check(self, config: CallbacksConfig) -> str | None:
        """What is wrong with the target, which is imported for it; None if nothing."""
        try:
            resolve(config.target)
        except SinkError as error:
            return str(error)
        return None

    def open_reader(self, url: str) -> DatabaseReader | None:
        """Nothing is kept, so there is nothing to read."""
        return None
