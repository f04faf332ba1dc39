"""The handshake: an imported plugin is checked, then its hooks are called alone.

Whatever goes wrong ends as a ``PluginError`` with a state and a sentence; nothing
that a plugin does here can reach another one.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TypeVar, cast

import attrs
import pluggy

from tapeline.errors import ContractError, PluginError
from tapeline.hookspecs import (
    API_VERSION,
    ExchangeAdapter,
    PluginInfo,
    PluginSpecs,
    ServiceAdapter,
    SinkAdapter,
)
from tapeline.plugins.binding import check_wrapper
from tapeline.plugins.implementations import (
    HookManager,
    Implementation,
    call_problem,
    hook_parameters,
    implementations,
    parameter_problem,
    unknown_hook,
)
from tapeline.plugins.offers import offers_problem
from tapeline.plugins.records import PluginState

PLUGIN_HOOKS = hook_parameters(PluginSpecs)
"""Registration hook → its parameter names."""

_INFO = "tapeline_plugin_info"
_Offer = TypeVar("_Offer")


@attrs.frozen
class Contribution:
    """What a plugin that passed the handshake brings."""

    info: PluginInfo
    hooks: tuple[str, ...]
    exchanges: tuple[ExchangeAdapter, ...]
    sinks: tuple[SinkAdapter, ...]
    services: tuple[ServiceAdapter, ...]
    wrappers: tuple[object, ...]
    manager: HookManager = attrs.field(repr=False)


def shake_hands(name: str, plugin: object) -> Contribution:
    """Check *plugin* and collect what it contributes.

    Args:
        name: that it must have.
        plugin: a module, or an object with its hooks as methods.

    Raises:
        PluginError: it cannot be used; ``__cause__`` is what it raised, if so.
    """
    if isinstance(plugin, type):
        raise _invalid(
            name, f"expected a module or an object, found the class {plugin!r}"
        )
    found = implementations(plugin, prefix="tapeline_")
    # Who it is comes first: a plugin for a later core may well have hooks that
    # look wrong here.
    info = _read_info(name, plugin, found)
    for each in found:
        problem = _problem(each)
        if problem:
            raise _invalid(name, problem)
    manager = HookManager(PluginSpecs)
    try:
        manager.register(plugin, name)
        manager.check_pending()
        exchanges: tuple[ExchangeAdapter, ...] = _collect(
            name, manager, "tapeline_exchanges"
        )
        sinks: tuple[SinkAdapter, ...] = _collect(name, manager, "tapeline_sinks")
        services: tuple[ServiceAdapter, ...] = _collect(
            name, manager, "tapeline_services"
        )
        wrappers: tuple[object, ...] = _collect(
            name, manager, "tapeline_session_wrappers"
        )
        _check_offers(name, exchanges, sinks, services, wrappers)
    except BaseException as error:
        manager.unregister(plugin, name)
        if isinstance(error, pluggy.PluginValidationError):
            raise _invalid(name, str(error)) from error
        raise
    implemented = {each.hook for each in found}
    return Contribution(
        info=info,
        hooks=tuple(hook for hook in PLUGIN_HOOKS if hook in implemented),
        exchanges=exchanges,
        sinks=sinks,
        services=services,
        wrappers=wrappers,
        manager=manager,
    )


def sentence(error: BaseException) -> str:
    """Class and text of *error* on one line, even when its text cannot be had."""
    return traceback.format_exception_only(error)[-1].strip()


def _problem(found: Implementation) -> str:
    """A sentence on what is wrong with one implementation; else empty."""
    problem = unknown_hook(found, PLUGIN_HOOKS)
    if problem or found.hook not in PLUGIN_HOOKS:
        return problem
    if found.options is None:
        return f"hook {found.hook!r} expects the mark @hookimpl, found none"
    if found.wrapper:
        return f"hook {found.hook!r} expects an implementation, found a wrapper"
    return call_problem(found) or parameter_problem(found, PLUGIN_HOOKS[found.hook])


def _read_info(
    name: str, plugin: object, found: Sequence[Implementation]
) -> PluginInfo:
    """Ask *plugin* who it is, and compare with its name and our API."""
    mine = [each for each in found if each.hook == _INFO]
    if not mine:
        # A misspelt one says more than a missing one.
        misspelt = [text for each in found if (text := _problem(each))]
        missing = f"hook {_INFO!r} is missing, every plugin must implement it"
        raise _invalid(name, "; ".join([missing, *misspelt]))
    for each in mine:
        if problem := _problem(each):
            raise _invalid(name, problem)
    manager = HookManager(PluginSpecs, frozenset(each.attribute for each in mine))
    manager.register(plugin, name)
    info = _call(name, manager, _INFO)
    if not isinstance(info, PluginInfo):
        raise _invalid(name, f"hook {_INFO!r} expects a PluginInfo, found {info!r}")
    if info.name != name:
        raise _invalid(name, f"expected PluginInfo.name {name!r}, found {info.name!r}")
    if not isinstance(info.summary, str):
        raise _invalid(
            name, f"expected PluginInfo.summary as text, found {info.summary!r}"
        )
    _check_api(name, info.api)
    return info


def _check_api(name: str, api: object) -> None:
    """Same major, and a minor that this core knows."""
    if not (
        isinstance(api, tuple)
        and len(api) == 2
        and all(type(number) is int and number >= 0 for number in api)
    ):
        raise _invalid(name, f"expected PluginInfo.api (major, minor), found {api!r}")
    if api[0] != API_VERSION[0] or api[1] > API_VERSION[1]:
        advice = "upgrade tapeline" if api > API_VERSION else "upgrade the plugin"
        raise PluginError(
            name,
            PluginState.INCOMPATIBLE,
            f"needs plugin API {api[0]}.{api[1]}, this core speaks "
            f"{API_VERSION[0]}.{API_VERSION[1]}; {advice}",
        )


def _collect(name: str, manager: HookManager, hook: str) -> tuple[_Offer, ...]:
    """What *hook* of the one registered plugin returns."""
    caller: pluggy.HookCaller = getattr(manager.hook, hook)
    if not caller.get_hookimpls():
        return ()
    collected: list[_Offer] = []
    # pluggy drops an answer of None.
    answers = cast("list[object]", _call(name, manager, hook)) or [None]
    for answer in answers:
        if isinstance(answer, str) or not isinstance(answer, Sequence):
            raise _invalid(
                name, f"hook {hook!r} expects a sequence to return, found {answer!r}"
            )
        collected.extend(answer)
    return tuple(collected)


def _call(name: str, manager: HookManager, hook: str) -> object:
    """Call *hook*, which takes no arguments, of the one registered plugin."""
    try:
        return getattr(manager.hook, hook)()
    except (Exception, SystemExit) as error:  # loader: a plugin may do anything
        raise _invalid(name, f"hook {hook!r} raised {sentence(error)}") from error


def _check_offers(
    name: str,
    exchanges: Sequence[object],
    sinks: Sequence[object],
    services: Sequence[object],
    wrappers: Sequence[object],
) -> None:
    """Everything offered must have the shape that core will use."""
    try:
        problem = (
            offers_problem("exchange", name, exchanges)
            or offers_problem("sink", name, sinks)
            or offers_problem("service", name, services)
        )
        for wrapper in wrappers:
            check_wrapper(wrapper)
    except ContractError as error:
        raise _invalid(name, str(error)) from error
    except (Exception, SystemExit) as error:  # loader: a property may do anything
        raise _invalid(
            name, f"what it offers raised {sentence(error)} while checked"
        ) from error
    if problem:
        raise _invalid(name, problem)


def _invalid(name: str, reason: str) -> PluginError:
    """The error of a plugin that breaks the contract."""
    return PluginError(name, PluginState.INVALID, reason)
