"""Binding a session: pluggy checks it once, a message then costs a plain call."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pluggy

from tapeline.clock import Now
from tapeline.errors import ContractError, did_you_mean, one_of
from tapeline.hookspecs import ExchangeSession, Parsed, SessionBase
from tapeline.model import (
    Action,
    Dial,
    Fetch,
    Recovery,
    Response,
    SessionHealth,
    Subscription,
    Tick,
)
from tapeline.plugins.implementations import (
    HookManager,
    call_problem,
    default_problem,
    hook_parameters,
    implementations,
    parameter_problem,
    unknown_hook,
)

MANDATORY_HOOKS = ("connect", "subscribe", "parse", "health")
"""What every session implements itself; the others have a default."""

SESSION_HOOKS = hook_parameters(ExchangeSession)
"""Session hook → its parameter names."""


@attrs.frozen(eq=False)
class BoundSession:
    """A session whose hooks are ready to be called, positionally.

    Each is the session's own bound method, or goes through pluggy where a session
    wrapper stands around that hook.
    """

    session: ExchangeSession
    connect: Callable[[Now, Response | None], Dial | Fetch]
    subscribe: Callable[[Sequence[Subscription], Now], Sequence[Action]]
    parse: Callable[[str | bytes, int], Parsed]
    health: Callable[[Now], SessionHealth]
    opened: Callable[[Now], Sequence[Action]]
    unsubscribe: Callable[[Sequence[Subscription], Now], Sequence[Action]]
    resync: Callable[[Subscription, Now], Sequence[Action]]
    respond: Callable[[Response, Now], Parsed]
    tick: Callable[[Now], Tick]
    closed: Callable[[int | None, str], Recovery]


_DEFAULTS = SessionBase()
_checked: weakref.WeakKeyDictionary[type, Mapping[str, str]] = (
    weakref.WeakKeyDictionary()
)


def bind_session(
    session: ExchangeSession, wrappers: Sequence[object] = ()
) -> BoundSession:
    """Register *session* in a manager of its own and bind its hooks.

    Called for every connection; a class is checked once.

    Args:
        wrappers: objects with pluggy wrappers of session hooks, outermost first.

    Raises:
        ContractError: a hook is missing, misspelt, or has other parameters than
            its specification; or a wrapper is none.
    """
    own = _checked.get(type(session))
    if own is None:
        own = _checked[type(session)] = _check_class(type(session))
    manager = HookManager(ExchangeSession)
    if wrappers and len(own) < len(SESSION_HOOKS):
        # Called last registered first: defaults stand below the session.
        _register(manager, _DEFAULTS, "session defaults")
    _register(manager, session, f"session {_label(session)}")
    wrapped = _register_wrappers(manager, wrappers)
    calls: dict[str, Any] = {}
    for name, parameters in SESSION_HOOKS.items():
        if name in wrapped:
            calls[name] = _through(getattr(manager.hook, name), parameters)
        elif name in own:
            calls[name] = getattr(session, own[name])
        else:
            calls[name] = getattr(_DEFAULTS, name)
    return BoundSession(session=session, **calls)


def check_wrapper(wrapper: object) -> frozenset[str]:
    """Check that *wrapper* has nothing but pluggy wrappers of session hooks.

    Returns:
        the hooks it stands around.

    Raises:
        ContractError: it has none, or a hook in it is misspelt, is not a wrapper,
            or takes something that its specification does not name.
    """
    found = implementations(wrapper)
    label = f"session wrapper {_label(wrapper)}"
    if not found:
        raise ContractError(
            f"{label}: expected methods marked @hookimpl(wrapper=True), named "
            f"{one_of(SESSION_HOOKS)}, found none"
        )
    for each in found:
        problem = unknown_hook(each, SESSION_HOOKS) or default_problem(each)
        if not problem and not each.wrapper:
            problem = (
                f"hook {each.hook!r} expects the mark @hookimpl(wrapper=True), "
                "found @hookimpl, which would take the session's place"
            )
        if problem:
            raise ContractError(f"{label}: {problem}")
    # What remains is what pluggy itself refuses, e.g. a name that is no parameter.
    _register(HookManager(ExchangeSession), wrapper, label)
    return frozenset(each.hook for each in found)


def _check_class(cls: type) -> dict[str, str]:
    """Hook → method of *cls*, when all of them keep the specification."""
    problems = []
    own: dict[str, str] = {}
    for found in implementations(cls):
        problem = (
            unknown_hook(found, SESSION_HOOKS)
            or (
                f"hook {found.hook!r} expects an implementation, found a wrapper"
                if found.wrapper
                else ""
            )
            or call_problem(found)
        )
        if not problem and found.hook in own:
            problem = (
                f"hook {found.hook!r} expects one method, found "
                f"{own[found.hook]!r} and {found.attribute!r}"
            )
        if not problem and found.hook in SESSION_HOOKS:
            own[found.hook] = found.attribute
            problem = parameter_problem(found, SESSION_HOOKS[found.hook])
        if problem:
            problems.append(problem)
    for hook, parameters in SESSION_HOOKS.items():
        if hook in own:
            continue
        shown = f"{hook}({', '.join(parameters)})"
        if hasattr(cls, hook):
            problems.append(f"hook {hook!r} expects the mark @hookimpl, found none")
        elif hook in MANDATORY_HOOKS:
            names = [name for name in dir(cls) if not name.startswith("__")]
            problems.append(
                f"hook {hook!r} expects a method {shown}, found none"
                f"{did_you_mean(hook, names)}"
            )
    if problems:
        raise ContractError(
            f"session {cls.__module__}.{cls.__qualname__}: {'; '.join(problems)}"
        )
    return own


def _register_wrappers(
    manager: HookManager, wrappers: Sequence[object]
) -> frozenset[str]:
    """Register *wrappers*, the first one outermost; the hooks they stand around."""
    wrapped: set[str] = set()
    for position, wrapper in reversed(list(enumerate(wrappers))):
        wrapped |= check_wrapper(wrapper)
        _register(manager, wrapper, f"session wrapper {position} {_label(wrapper)}")
    return frozenset(wrapped)


def _register(manager: HookManager, plugin: object, label: str) -> None:
    """Register *plugin* and refuse whatever pluggy does not know."""
    try:
        manager.register(plugin, label)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise ContractError(f"{label}: {error}") from error


def _through(hook: pluggy.HookCaller, names: tuple[str, ...]) -> Callable[..., object]:
    """A call of *hook* that takes its arguments by position."""

    def call(*arguments: object) -> object:
        return hook(**dict(zip(names, arguments, strict=True)))

    return call


def _label(thing: object) -> str:
    """The class of *thing*, for a sentence."""
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
