"""The plugins of one runtime: found at once, imported when asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping

from tapeline.errors import (
    START_EXTRA,
    PluginError,
    TapelineError,
    UnknownExchange,
    UnknownService,
    UnknownSink,
    UsageError,
    did_you_mean,
    install_command,
    one_of,
)
from tapeline.hookspecs import (
    DatabaseReader,
    ExchangeAdapter,
    ServiceAdapter,
    SinkAdapter,
)
from tapeline.model import StatusChange
from tapeline.plugins.discovery import find_plugins
from tapeline.plugins.handshake import sentence
from tapeline.plugins.implementations import HookManager
from tapeline.plugins.loader import LoadedPlugin, given_plugin, installed_plugin
from tapeline.plugins.records import PluginRecord, PluginState
from tapeline.plugins.suggestions import begin_with, extra_for

MAX_OBSERVER_FAILURES = 3
"""How often an observer of status changes may raise before it is muted."""

_logger = logging.getLogger("tapeline.plugins")


class PluginRegistry:
    """Finds plugins, loads them one by one, and keeps a record of each.

    Nothing is imported before it is asked for; a plugin that fails is recorded and
    touches no other one.

    Args:
        environ: in place of ``os.environ``; holds the allow list
            ``TAPELINE_PLUGINS`` and ``TAPELINE_DISABLE_PLUGINS``.
        plugins: name → module or object with hooks, given by code; each stands in
            for an installed plugin of that name and is not subject to *environ*.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        plugins: Mapping[str, object] | None = None,
    ) -> None:
        given = plugins or {}
        entries = [given_plugin(name, plugin) for name, plugin in given.items()]
        found = find_plugins(os.environ if environ is None else environ)
        entries += [
            installed_plugin(each) for each in found if each.record.name not in given
        ]
        self._entries = sorted(entries, key=lambda entry: entry.record.name)

    def records(self) -> tuple[PluginRecord, ...]:
        """A record of every plugin, by name; two of one name have one each."""
        return tuple(entry.record for entry in self._entries)

    def load(self, name: str) -> PluginRecord:
        """Import and check plugin *name*, unless that was done or is ruled out.

        Returns:
            its record, ``active`` or with the reason why it is not.

        Raises:
            UsageError: no such plugin is installed.
        """
        entry = self._find(name)
        if entry is None:
            names = {record.name for record in self.records()}
            raise UsageError(
                f"expected an installed plugin ({one_of(names)}), found {name!r}"
                f"{did_you_mean(name, names)}"
            )
        return entry.load()

    def load_all(self) -> tuple[PluginRecord, ...]:
        """Load every plugin that is not ruled out, and give all records."""
        for entry in self._entries:
            entry.load()
        return self.records()

    def exchange(self, name: str) -> ExchangeAdapter:
        """The exchange *name*, of the plugin named by its part before the first dot.

        Raises:
            UnknownExchange: no installed plugin offers it.
            PluginError: the plugin that should offer it is not active.
        """
        record = self._offering(name)
        for exchange in () if record is None else record.exchanges:
            if exchange.name == name:
                return exchange
        raise UnknownExchange(name, self.exchanges())

    def sink(self, name: str) -> SinkAdapter:
        """The sink *name*, of the plugin named by its part before the first dot.

        Raises:
            UnknownSink: no installed plugin offers it.
            PluginError: the plugin that should offer it is not active.
        """
        record = self._offering(name)
        for sink in () if record is None else record.sinks:
            if sink.name == name:
                return sink
        raise UnknownSink(name, self.sinks())

    def service(self, name: str) -> ServiceAdapter:
        """The service *name*, of the plugin named by its part before the first dot.

        Raises:
            UnknownService: no installed plugin offers it.
            PluginError: the plugin that should offer it is not active.
        """
        record = self._offering(name)
        for service in () if record is None else record.services:
            if service.name == name:
                return service
        raise UnknownService(name, self.services())

    def exchanges(self) -> dict[str, ExchangeAdapter]:
        """Name → exchange of every plugin that can be loaded; loads them all."""
        return {
            exchange.name: exchange
            for record in self.load_all()
            for exchange in record.exchanges
        }

    def first_exchanges(self) -> list[str]:
        """Names of ``exchanges()``, those that core suggests to begin with first."""
        return [
            exchange.name
            for record in begin_with(self.load_all())
            for exchange in record.exchanges
        ]

    def sinks(self) -> dict[str, SinkAdapter]:
        """Name → sink of every plugin that can be loaded; loads them all."""
        return {sink.name: sink for record in self.load_all() for sink in record.sinks}

    def services(self) -> dict[str, ServiceAdapter]:
        """Name → service of every plugin that can be loaded; loads them all."""
        return {
            service.name: service
            for record in self.load_all()
            for service in record.services
        }

    def default_sink(self) -> SinkAdapter | None:
        """The sink to use when none is named; None when none is installed.

        Raises:
            UsageError: several installed sinks want to be it.
        """
        defaults = {name: sink for name, sink in self.sinks().items() if sink.default}
        if len(defaults) > 1:
            raise UsageError(
                f"expected one default sink, found {' and '.join(sorted(defaults))}; "
                "name the sink to use in [sinks]"
            )
        return next(iter(defaults.values()), None)

    def open_reader(self, url: str) -> DatabaseReader:
        """Open the database at *url*, a path or an address, for reading.

        Raises:
            UsageError: no installed sink can read it.
            PluginError: a sink broke while it was asked.
        """
        broken = None
        for name, sink in self.sinks().items():
            try:
                reader = sink.open_reader(url)
            except TapelineError:
                # It is a database of this sink, and the sink says what is wrong.
                raise
            except Exception as error:  # loader: the next sink may still read it
                # Not its text: that may hold the address, with a password in it.
                broken = PluginError(
                    name.partition(".")[0],
                    PluginState.ACTIVE,
                    f"open_reader of sink {name!r} raised {type(error).__name__}",
                )
                broken.__cause__ = error
                continue
            if reader is not None:
                return reader
        raise broken or _no_sink(url, "read", self.sinks())

    def sink_for(self, url: str) -> tuple[SinkAdapter, Mapping[str, object]]:
        """The sink that stores at *url*, a path or an address, and its options there.

        Raises:
            UsageError: no installed sink stores there.
            PluginError: a sink broke while it was asked.
        """
        # A plain path belongs to the embedded database before anybody else.
        asked = sorted(self.sinks().items(), key=lambda each: not each[1].default)
        for name, sink in asked:
            ask = getattr(sink, "options_for", None)
            if not callable(ask):
                continue
            try:
                options = ask(url)
            except TapelineError:
                raise
            except Exception as error:  # loader: its text may hold the address
                raise PluginError(
                    name.partition(".")[0],
                    PluginState.ACTIVE,
                    f"options_for of sink {name!r} raised {type(error).__name__}",
                ) from error
            if options is not None:
                return sink, options
        raise _no_sink(url, "write", self.sinks())

    def session_wrappers(self) -> tuple[object, ...]:
        """Session wrappers of all active plugins, by plugin name."""
        return tuple(
            wrapper for entry in self._entries for wrapper in entry.record.wrappers
        )

    def notify_status(self, change: StatusChange) -> None:
        """Tell every observer of *change*; one that keeps raising is muted."""
        for entry in self._entries:
            if (
                entry.manager is not None
                and entry.observer_failures < MAX_OBSERVER_FAILURES
            ):
                _notify(entry, entry.manager, change)

    def _find(self, name: str) -> LoadedPlugin | None:
        """The entry called *name*; one of our own group before others."""
        same = [entry for entry in self._entries if entry.record.name == name]
        same.sort(key=lambda entry: entry.record.state is PluginState.INCOMPATIBLE)
        return same[0] if same else None

    def _offering(self, name: str) -> PluginRecord | None:
        """The active plugin that should offer *name*; None when not installed."""
        entry = self._find(name.partition(".")[0])
        if entry is None:
            return None
        record = entry.load()
        if record.state is not PluginState.ACTIVE:
            raise PluginError(record.name, record.state, record.reason)
        return record


def _notify(entry: LoadedPlugin, manager: HookManager, change: StatusChange) -> None:
    """Tell the observer of one plugin, if it has one, and count when it raises."""
    try:
        manager.hook.tapeline_status_changed(change=change)
    except (Exception, SystemExit) as error:  # loader: an observer only watches
        entry.observer_failures += 1
        muted = entry.observer_failures >= MAX_OBSERVER_FAILURES
        _logger.warning(
            "plugin %s raised %s when told of a status change%s",
            entry.record.name,
            sentence(error),
            f"; muted after {MAX_OBSERVER_FAILURES} failures" if muted else "",
        )


def _no_sink(url: str, verb: str, installed: Collection[str]) -> UsageError:
    """The error of a database that no installed sink can *verb*."""
    scheme, separator, _ = url.partition("://")
    # Only the scheme is shown: an address may hold a password.
    shown = f"an address {scheme}://…" if separator else repr(url)
    extra = extra_for(scheme) if separator else START_EXTRA
    known = "" if extra is None else f", e.g. {install_command(extra)}"
    return UsageError(
        f"expected a database that an installed sink can {verb}, found {shown}; "
        f"install a sink that {verb}s it{'' if extra in installed else known}"
    )
