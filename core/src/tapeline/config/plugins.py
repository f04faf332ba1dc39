"""What reading a configuration needs to know about the installed plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tapeline.hookspecs import ExchangeAdapter, ServiceAdapter, SinkAdapter


class Plugins(Protocol):
    """The part of the plugin registry that reading a configuration uses."""

    def exchange(self, name: str) -> ExchangeAdapter:
        """The exchange called *name*.

        Raises:
            UnknownExchange: no installed plugin offers it.
            PluginError: its plugin is not active.
        """

    def sink(self, name: str) -> SinkAdapter:
        """The sink called *name*.

        Raises:
            UnknownSink: no installed plugin offers it.
            PluginError: its plugin is not active.
        """

    def service(self, name: str) -> ServiceAdapter:
        """The service called *name*.

        Raises:
            UnknownService: no installed plugin offers it.
            PluginError: its plugin is not active.
        """

    def exchanges(self) -> Mapping[str, ExchangeAdapter]:
        """Name → exchange of every plugin that can be loaded."""

    def sinks(self) -> Mapping[str, SinkAdapter]:
        """Name → sink of every plugin that can be loaded."""

    def default_sink(self) -> SinkAdapter | None:
        """The sink to use when none is named; None when none is installed."""
