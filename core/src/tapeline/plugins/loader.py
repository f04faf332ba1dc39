"""Loading one plugin: its requirements, its import, its handshake, its record."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import attrs

from tapeline.errors import PluginError
from tapeline.plugins.discovery import FoundPlugin, requirement_problem
from tapeline.plugins.handshake import Contribution, sentence, shake_hands
from tapeline.plugins.implementations import HookManager
from tapeline.plugins.records import PluginRecord, PluginState

_logger = logging.getLogger("tapeline.plugins")


@attrs.define
class LoadedPlugin:
    """A plugin on its way from ``unused`` to its final state.

    Args:
        record: what is known so far.
        obtain: gives the module or object with its hooks, importing it; None for
            one that is ruled out.
        problem: a sentence on what it requires and is not there, else empty.
        manager: where it is registered, once it is active.
        observer_failures: how often it raised when told of a status change.
    """

    record: PluginRecord
    obtain: Callable[[], object] | None = None
    problem: Callable[[], str] | None = None
    manager: HookManager | None = None
    observer_failures: int = 0

    def load(self) -> PluginRecord:
        """Load it, unless that was done or is ruled out; never raises for it."""
        if self.record.state is not PluginState.UNUSED:
            return self.record
        name = self.record.name
        try:
            contribution = self._shake_hands(self._import())
        except PluginError as error:
            self.record = attrs.evolve(
                self.record,
                state=PluginState(error.state),
                reason=error.reason,
                traceback=_traceback(error.__cause__),
            )
            _logger.warning("plugin %s is %s: %s", name, error.state, error.reason)
            return self.record
        self.manager = contribution.manager
        self.record = attrs.evolve(
            self.record,
            state=PluginState.ACTIVE,
            info=contribution.info,
            summary=contribution.info.summary or self.record.summary,
            hooks=contribution.hooks,
            exchanges=contribution.exchanges,
            sinks=contribution.sinks,
            services=contribution.services,
            wrappers=contribution.wrappers,
        )
        _logger.debug("plugin %s is active, from %s", name, self.record.origin)
        return self.record

    def _shake_hands(self, plugin: object) -> Contribution:
        """Check *plugin*; whatever it raises on the way becomes a ``PluginError``."""
        name = self.record.name
        try:
            return shake_hands(name, plugin)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:  # loader: even a repr may raise
            raise PluginError(
                name, PluginState.INVALID, f"checking it raised {sentence(error)}"
            ) from error

    def _import(self) -> object:
        """What holds its hooks, when all that it requires is there.

        Raises:
            PluginError: it is not there, or the import failed.
        """
        name, module = self.record.name, self.record.module
        problem = self.problem() if self.problem is not None else ""
        if problem:
            raise PluginError(name, PluginState.INCOMPATIBLE, problem)
        assert self.obtain is not None, "only what is ruled out has nothing to load"
        try:
            return self.obtain()
        except SystemExit as error:
            raise PluginError(
                name,
                PluginState.IMPORT_FAILED,
                f"importing {module} called sys.exit({error.code!r})",
            ) from error
        except Exception as error:  # loader: a plugin may raise anything
            raise PluginError(
                name,
                PluginState.IMPORT_FAILED,
                f"importing {module} raised {sentence(error)}",
            ) from error


def given_plugin(name: str, plugin: object) -> LoadedPlugin:
    """A plugin that was given by code: a module, or an object with hooks."""
    return LoadedPlugin(
        PluginRecord(
            name=name,
            distribution=None,
            version=None,
            group="",
            module=getattr(plugin, "__name__", type(plugin).__qualname__),
            state=PluginState.UNUSED,
        ),
        obtain=lambda: plugin,
    )


def installed_plugin(found: FoundPlugin) -> LoadedPlugin:
    """A plugin that was found in metadata."""
    if found.entry_point is None:
        return LoadedPlugin(found.record)
    return LoadedPlugin(
        found.record,
        obtain=found.entry_point.load,
        problem=lambda: requirement_problem(found),
    )


def _traceback(error: BaseException | None) -> str:
    """The traceback of *error* as text."""
    return "" if error is None else "".join(traceback.format_exception(error))
