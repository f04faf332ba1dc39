"""Sentences on stderr, one JSON document on stdout, and the exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn, TypeVar

import anyio
import msgspec
import typer

from tapeline.errors import ConfigError, PluginError, TapelineError, UsageError
from tapeline.logs import mask

DONE = 0
FAILED = 1
WRONG_USAGE = 2

Result = TypeVar("Result")


class Debug:
    """Whether tracebacks are wanted; set once by ``main``."""

    on = False


def say(text: str) -> None:
    """Print *text* for people."""
    typer.echo(text)


def warn(text: str) -> None:
    """Print *text* on stderr."""
    typer.echo(text, err=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print exactly one JSON document on stdout."""
    encoded = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    typer.echo(encoded.decode())


def exit_code(error: TapelineError) -> int:
    """2 for wrong usage or configuration, 1 for what failed at run time."""
    if isinstance(error, (ConfigError, UsageError, PluginError)):
        return WRONG_USAGE
    return FAILED


def fail(error: TapelineError) -> NoReturn:
    """End the command with the error's sentence and code; --debug adds where."""
    if Debug.on:
        warn(mask("".join(traceback.format_exception(error)).rstrip()))
    warn(f"tapeline: {error}")
    raise typer.Exit(exit_code(error))


def guarded(work: Callable[[], Result]) -> Result:
    """Run *work*; our errors become sentences, the rest a short one too."""
    try:
        return work()
    except TapelineError as error:
        fail(error)
    except BaseExceptionGroup as group:
        first = _first(group)
        if not isinstance(first, (TapelineError, OSError)):
            raise
        if isinstance(first, TapelineError):
            fail(first)
        _fail_os(first)
    except OSError as error:
        _fail_os(error)


def run_async(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run *work* on a loop of its own, guarded; uses uvloop where installed."""
    return guarded(lambda: anyio.run(work, backend_options=_backend_options()))


def _backend_options() -> dict[str, Any]:
    if "uvloop" in sys.modules:
        return {"use_uvloop": True}
    return {}


def _fail_os(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        # Who read our output has what it wanted, as ``head`` does: no sentence, and
        # nothing left to be flushed into the closed pipe.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (until the process ends)
        raise typer.Exit(FAILED)
    if Debug.on:
        warn(mask("".join(traceback.format_exception(error)).rstrip()))
    what = error.strerror or str(error)
    where = f" ({error.filename})" if error.filename else ""
    warn(f"tapeline: the system refused: {what}{where}")
    raise typer.Exit(FAILED)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
