"""From the text of the configuration to the function itself."""

from __future__ import annotations

import importlib
import types
from collections.abc import Awaitable, Callable

from tapeline.errors import SinkError, did_you_mean
from tapeline.model import MarketDataPoint

Callback = Callable[[MarketDataPoint], Awaitable[object] | object]
"""What is called per event; what it returns is awaited when it can be."""


def resolve(target: str) -> Callback:
    """The function that *target* names.

    Raises:
        SinkError: its module cannot be imported, or it holds no such function.
    """
    module_name, colon, attribute_path = target.partition(":")
    if not colon:
        module_name, _, attribute_path = target.rpartition(".")
    found: object = _import(module_name, target)
    for name in attribute_path.split("."):
        if not hasattr(found, name):
            raise SinkError(
                f"expected callback {target!r} to name a function, found nothing "
                f"called {name!r} in {_name_of(found)}{did_you_mean(name, dir(found))}"
            )
        found = getattr(found, name)
    if not callable(found):
        raise SinkError(
            f"expected callback {target!r} to name a function, found "
            f"{type(found).__name__}, which cannot be called; name a function"
        )
    return found


def _import(module_name: str, target: str) -> types.ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise SinkError(
                f"expected callback {target!r} to name a function, found no module "
                f"{error.name!r}; check the name, and that its folder is on the "
                "module path (PYTHONPATH)"
            ) from error
        raise SinkError(
            f"expected module {module_name!r} of callback {target!r} to import, "
            f"found no module {error.name!r}, which it needs; install it"
        ) from error
    # Supervised: a user's module may raise anything, or exit, while it is imported.
    except (Exception, SystemExit) as error:
        raise SinkError(
            f"expected module {module_name!r} of callback {target!r} to import, found "
            f"{type(error).__name__}: {error}"
        ) from error


def _name_of(found: object) -> str:
    name = getattr(found, "__name__", type(found).__name__)
    return f"module {name!r}" if isinstance(found, types.ModuleType) else repr(name)
