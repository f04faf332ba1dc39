"""What is known of a plugin: one record for each one that was found."""

from __future__ import annotations

import enum

import attrs

from tapeline.hookspecs import ExchangeAdapter, PluginInfo, ServiceAdapter, SinkAdapter


class PluginState(str, enum.Enum):
    """How far a plugin got; only ``active`` ones are used."""

    UNUSED = "unused"
    DISABLED = "disabled"
    INCOMPATIBLE = "incompatible"
    IMPORT_FAILED = "import-failed"
    INVALID = "invalid"
    ACTIVE = "active"

    def __str__(self) -> str:
        return self.value


@attrs.frozen
class PluginRecord:
    """One plugin, whether it could be loaded or not.

    Args:
        name: of its entry point, or as given in code.
        distribution: that installed it; None when it was given in code.
        version: of the distribution.
        group: of its entry point; empty when it was given in code.
        module: where its hooks are.
        reason: a sentence that says why it is in this state; empty when active.
        summary: its own when active, else that of its distribution.
        info: what it says of itself, once it was asked.
        hooks: names of the registration hooks it implements.
        traceback: of what it raised, as text; empty when it raised nothing.
    """

    name: str
    distribution: str | None
    version: str | None
    group: str
    module: str
    state: PluginState
    reason: str = ""
    summary: str = ""
    info: PluginInfo | None = None
    exchanges: tuple[ExchangeAdapter, ...] = attrs.field(default=(), repr=False)
    sinks: tuple[SinkAdapter, ...] = attrs.field(default=(), repr=False)
    services: tuple[ServiceAdapter, ...] = attrs.field(default=(), repr=False)
    wrappers: tuple[object, ...] = attrs.field(default=(), repr=False)
    hooks: tuple[str, ...] = ()
    traceback: str = attrs.field(default="", repr=False)

    @property
    def origin(self) -> str:
        """Distribution and version, e.g. ``acme-feeds 1.2``, for a sentence."""
        if self.distribution is None:
            return self.module
        return f"{self.distribution} {self.version or 'of unknown version'}"

    def as_dict(self) -> dict[str, object]:
        """The record as ``tapeline plugins --json`` shows it."""
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "api": None if self.info is None else "{}.{}".format(*self.info.api),
            "state": str(self.state),
            "reason": self.reason,
            "exchanges": [exchange.name for exchange in self.exchanges],
            "sinks": [sink.name for sink in self.sinks],
            "services": [service.name for service in self.services],
            "hooks": list(self.hooks),
            "summary": self.summary,
        }
