"""Which functions of an object implement hooks, found without running any code.

pluggy 1.6 evaluates the properties of an object while it looks for hooks, takes
fewer arguments than the spec names, and keeps the default of an argument that has
one. So marks and parameters are read here, statically, the same for all versions.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs
import pluggy

from tapeline.errors import did_you_mean
from tapeline.hookspecs import PROJECT

_MARK = f"{PROJECT}_impl"


@attrs.frozen
class Implementation:
    """A function that is, by its mark or its name, meant to implement a hook.

    Args:
        attribute: its name on the object.
        hook: the hook it is for.
        parameters: without ``self``.
        options: of its ``@hookimpl`` mark; None when it has no mark.
    """

    attribute: str
    hook: str
    function: Callable[..., object] = attrs.field(repr=False)
    parameters: tuple[inspect.Parameter, ...]
    options: Mapping[str, Any] | None

    @property
    def wrapper(self) -> bool:
        """Is it marked as a pluggy wrapper, in the old or the new style?"""
        options = self.options or {}
        return bool(options.get("wrapper") or options.get("hookwrapper"))

    @property
    def optional(self) -> bool:
        """May the hook be unknown to this version of core?"""
        return bool((self.options or {}).get("optionalhook"))


class HookManager(pluggy.PluginManager):
    """A small manager of one plugin or one session; it never scans for others.

    Args:
        specs: the class that holds the hook specifications.
        only: the hooks to register; None for all that are marked.
    """

    def __init__(self, specs: type, only: frozenset[str] | None = None) -> None:
        super().__init__(PROJECT)
        self._only = only
        self.add_hookspecs(specs)

    def parse_hookimpl_opts(
        self, plugin: object, name: str
    ) -> pluggy.HookimplOpts | None:
        """Options of the mark on attribute *name*, without evaluating anything."""
        if self._only is not None and name not in self._only:
            return None
        function = _function(_holder(plugin), name)
        options = getattr(function, _MARK, None)
        if not isinstance(options, dict):
            return None
        # A copy, because pluggy completes it in place.
        return cast(pluggy.HookimplOpts, dict(options))


def implementations(plugin: object, prefix: str = "") -> tuple[Implementation, ...]:
    """All marked functions of *plugin*, in the order of their names.

    Args:
        plugin: a module, an object or a class.
        prefix: functions whose name starts with it count without a mark, too.
    """
    holder = _holder(plugin)
    found = []
    for name in dir(holder):
        function = _function(holder, name)
        if function is None:
            continue
        options = getattr(function, _MARK, None)
        if not isinstance(options, dict):
            if not prefix or not name.startswith(prefix):
                continue
            options = None
        parameters = tuple(inspect.signature(function).parameters.values())
        if isinstance(holder, type) and not isinstance(
            inspect.getattr_static(holder, name), staticmethod
        ):
            parameters = parameters[1:]
        hook = (options or {}).get("specname") or name
        found.append(Implementation(name, hook, function, parameters, options))
    return tuple(found)


def hook_parameters(specs: type) -> dict[str, tuple[str, ...]]:
    """Hook name → parameter names of every hook specification in *specs*."""
    return {
        name: tuple(inspect.signature(function).parameters)[1:]
        for name, function in vars(specs).items()
        if hasattr(function, f"{PROJECT}_spec")
    }


def unknown_hook(found: Implementation, specs: Mapping[str, tuple[str, ...]]) -> str:
    """A sentence that *found* is no hook of *specs*; empty when it is one."""
    if found.hook in specs or found.optional:
        return ""
    return (
        f"{found.attribute!r} is not a hook of this core"
        f"{did_you_mean(found.hook, specs)}"
    )


def parameter_problem(found: Implementation, expected: tuple[str, ...]) -> str:
    """A sentence on what is wrong with the parameters of *found*; else empty."""
    names = tuple(parameter.name for parameter in found.parameters)
    plain = all(
        parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        for parameter in found.parameters
    )
    if names != expected or not plain:
        shown = ", ".join(str(_bare(parameter)) for parameter in found.parameters)
        return (
            f"hook {found.hook!r} expects parameters ({', '.join(expected)}), "
            f"found ({shown})"
        )
    return default_problem(found)


def default_problem(found: Implementation) -> str:
    """A sentence on parameters of *found* that have a default; else empty."""
    for parameter in found.parameters:
        if parameter.default is not inspect.Parameter.empty:
            return (
                f"hook {found.hook!r} expects parameters without defaults, found "
                f"one for {parameter.name!r}; remove it"
            )
    return ""


def call_problem(found: Implementation) -> str:
    """A sentence on *found* being async or a generator; empty for a function."""
    function = inspect.unwrap(found.function)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"hook {found.hook!r} expects a plain function, found an async one"
    if inspect.isgeneratorfunction(function):
        return (
            f"hook {found.hook!r} expects a plain function that returns, "
            "found a generator"
        )
    return ""


def _bare(parameter: inspect.Parameter) -> inspect.Parameter:
    """*parameter* as a sentence shows it."""
    return parameter.replace(annotation=inspect.Parameter.empty)


def _holder(plugin: object) -> object:
    """Where the functions of *plugin* are written: its class unless a module."""
    if isinstance(plugin, (types.ModuleType, type)):
        return plugin
    return type(plugin)


def _function(holder: object, name: str) -> Callable[..., object] | None:
    """The function behind attribute *name*; None when it is anything else."""
    static = inspect.getattr_static(holder, name, None)
    if isinstance(static, (staticmethod, classmethod)):
        static = static.__func__
    return static if inspect.isfunction(static) else None
