"""Logging: silent as a library, files and console when asked, secrets masked.

Everything that Tapeline logs of itself goes to loggers under ``tapeline``;
``get_logger`` makes loggers for users, under their own names.
"""

from __future__ import annotations

import logging
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import attrs

from tapeline.clock import Clock
from tapeline.log_output import (
    Console,
    JsonFormatter,
    LogFile,
    SecretFilter,
    TextFormatter,
)
from tapeline.model.secrets import mask, register_secret

__all__ = [
    "ConditionalLogger",
    "JsonFormatter",
    "LogFile",
    "PartLogger",
    "RateLimitedLog",
    "SecretFilter",
    "TextFormatter",
    "add_log_file",
    "close_logging",
    "configure_logging",
    "get_logger",
    "mask",
    "read_flag",
    "register_secret",
]

ROOT: Final = "tapeline"
DEFAULT_LOG_DIR: Final = Path("logs")
MAX_FILE_BYTES: Final = 10 * 1024 * 1024
KEPT_FILES: Final = 5

logging.getLogger(ROOT).addHandler(logging.NullHandler())


def read_flag(text: str) -> bool | None:
    """True or False as operators write it; None when it is neither."""
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    return False if word in ("", "0", "false", "no", "off") else None


@attrs.define
class _State:
    """What ``get_logger`` and ``configure_logging`` set up in this process."""

    log_dir: Path = DEFAULT_LOG_DIR
    json: bool = False
    max_bytes: int = MAX_FILE_BYTES
    kept: int = KEPT_FILES
    files: dict[Path, LogFile] = attrs.field(factory=dict)
    loggers: dict[str, list[logging.Handler]] = attrs.field(factory=dict)


_state = _State()


def get_logger(
    name: str,
    verbose: bool | None = None,
    log_errors_only: bool = False,
    *,
    log_dir: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
) -> logging.Logger:
    """A logger called *name* that writes ``<log_dir>/<name>.log``.

    Calling it again with the same name sets the same logger up anew. Nothing is
    passed on to the root logger, so an application's own set-up prints no line twice.

    Args:
        verbose: True logs every detail, on the console too; False keeps the
            console quiet; None asks ``VERBOSE_LOGGING`` and ``LOG_TO_CONSOLE``.
        log_errors_only: nothing below ERROR.
        log_dir: folder of the file; ``./logs``, or what the service was configured
            with.
        environ: in place of ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    if verbose is None:
        detailed = bool(read_flag(environ.get("VERBOSE_LOGGING", "")))
        console = detailed or bool(read_flag(environ.get("LOG_TO_CONSOLE", "")))
    else:
        detailed = console = verbose
    level = logging.DEBUG if detailed else logging.INFO
    logger = logging.getLogger(name)
    folder = _state.log_dir if log_dir is None else Path(log_dir)
    _attach(logger, folder / f"{_file_name(name)}.log", console=console)
    logger.setLevel(logging.ERROR if log_errors_only else level)
    return logger


def configure_logging(
    level: str = "info",
    *,
    log_dir: Path | str = DEFAULT_LOG_DIR,
    json: bool = False,
    console: bool | None = None,
    max_bytes: int = MAX_FILE_BYTES,
    kept: int = KEPT_FILES,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Set up the log of the service: ``<log_dir>/tapeline.log`` and the console.

    Safe to call again; the former set-up of the ``tapeline`` logger is replaced.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``; ``VERBOSE_LOGGING``
            makes it ``debug``.
        json: objects instead of text, for the loggers of ``get_logger`` as well.
        console: also write to standard error; None asks ``VERBOSE_LOGGING`` and
            ``LOG_TO_CONSOLE``.
        max_bytes, kept: of a log file, and how many older ones stay.
        environ: in place of ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    detailed = bool(read_flag(environ.get("VERBOSE_LOGGING", "")))
    if console is None:
        console = detailed or bool(read_flag(environ.get("LOG_TO_CONSOLE", "")))
    _state.log_dir, _state.json = Path(log_dir), json
    _state.max_bytes, _state.kept = max_bytes, kept
    logger = logging.getLogger(ROOT)
    _attach(logger, _state.log_dir / f"{ROOT}.log", console=console)
    logger.setLevel("DEBUG" if detailed else level.upper())


def add_log_file(name: str) -> logging.Logger:
    """A logger of the service that also has a file of its own, ``<log_dir>/NAME.log``.

    Its lines go to the console and the file of ``configure_logging`` as well.

    Args:
        name: below ``tapeline.``, e.g. ``tapeline.collector.majors``.
    """
    logger = logging.getLogger(name)
    _attach(logger, _state.log_dir / f"{_file_name(name)}.log", console=False)
    logger.propagate = True
    return logger


def close_logging() -> None:
    """Close all files and take all handlers off again; for tests and embedding."""
    for name, handlers in _state.loggers.items():
        logger = logging.getLogger(name)
        for handler in handlers:
            logger.removeHandler(handler)
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for file in _state.files.values():
        file.close()
    fresh = _State()
    for field in attrs.fields(_State):
        setattr(_state, field.name, getattr(fresh, field.name))


def _attach(logger: logging.Logger, path: Path, *, console: bool) -> None:
    for handler in _state.loggers.pop(logger.name, ()):
        logger.removeHandler(handler)
    file = _state.files.get(path.absolute())
    if file is None:
        file = LogFile(path.absolute(), _state.max_bytes, _state.kept)
        _state.files[path.absolute()] = file
    file.on_console = console
    handlers: list[logging.Handler] = [file]
    if console:
        handlers.append(Console())
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if _state.json else TextFormatter())
        if not handler.filters:
            handler.addFilter(SecretFilter())
        logger.addHandler(handler)
    logger.propagate = False
    _state.loggers[logger.name] = handlers


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".")[:100] or "log"


class ConditionalLogger:
    """A logger that may be missing: then every call does nothing.

    Args:
        logger: where messages go; None for silence.
        errors_only: nothing below ERROR passes.
    """

    __slots__ = ("_logger", "_rest")

    def __init__(
        self, logger: logging.Logger | None, errors_only: bool = False
    ) -> None:
        self._logger = logger
        self._rest = None if errors_only else logger

    def debug(self, message: str, *args: object) -> None:
        """Log a detail."""
        if self._rest is not None:
            self._rest.debug(message, *args, stacklevel=2)

    def info(self, message: str, *args: object) -> None:
        """Log a step of the story."""
        if self._rest is not None:
            self._rest.info(message, *args, stacklevel=2)

    def warning(self, message: str, *args: object) -> None:
        """Log something that recovers by itself."""
        if self._rest is not None:
            self._rest.warning(message, *args, stacklevel=2)

    def error(self, message: str, *args: object, exc_info: bool = False) -> None:
        """Log a failure, with the current exception when *exc_info*."""
        if self._logger is not None:
            self._logger.error(message, *args, exc_info=exc_info, stacklevel=2)

    def critical(self, message: str, *args: object, exc_info: bool = False) -> None:
        """Log a failure that needs a person."""
        if self._logger is not None:
            self._logger.critical(message, *args, exc_info=exc_info, stacklevel=2)


class PartLogger(logging.Logger):
    """What a part of a collector logs: its own name, the collector's logger.

    Args:
        name: of the part, as in its lines.
        target: where lines go; None for silence.
        errors_only: nothing below ERROR passes.
    """

    def __init__(
        self, name: str, target: logging.Logger | None, errors_only: bool = False
    ) -> None:
        super().__init__(name, logging.ERROR if errors_only else logging.NOTSET)
        self._target = target

    def isEnabledFor(self, level: int) -> bool:
        """Whether a line of *level* passes here and at the collector's logger."""
        target = self._target
        return target is not None and level >= self.level and target.isEnabledFor(level)

    def callHandlers(self, record: logging.LogRecord) -> None:
        """Give *record* to the collector's logger."""
        if self._target is not None:
            self._target.handle(record)


class Warns(Protocol):
    """What ``RateLimitedLog`` writes to: a logger, or a ``ConditionalLogger``."""

    def warning(self, message: str, *args: object) -> None:
        """Log *message*."""


class RateLimitedLog:
    """Warnings that may repeat: one in a while for each key, with a count.

    Args:
        log: where they go.
        clock: tells when a key may speak again.
        every_s: least seconds between two lines of one key.
        max_keys: keys remembered; beyond it the oldest is forgotten.
    """

    def __init__(
        self,
        log: Warns | logging.Logger,
        clock: Clock,
        every_s: float = 60.0,
        max_keys: int = 1000,
    ) -> None:
        self._log = log
        self._clock = clock
        self._every_ns = round(every_s * 10**9)
        self._max_keys = max_keys
        self._spoken: OrderedDict[str, int] = OrderedDict()
        self._held: dict[str, int] = {}

    def warning(self, key: str, message: str, *args: object) -> None:
        """Log *message*, or only count it while *key* spoke a short time ago."""
        now_ns = self._clock.monotonic_ns()
        spoken_ns = self._spoken.get(key)
        if spoken_ns is not None and now_ns - spoken_ns < self._every_ns:
            self._held[key] = self._held.get(key, 0) + 1
            return
        self._spoken[key] = now_ns
        self._spoken.move_to_end(key)
        held = self._held.pop(key, 0)
        if held:
            text = message % args if args else message
            self._log.warning("%s (and %d more of these before)", text, held)
        else:
            self._log.warning(message, *args)
        if len(self._spoken) > self._max_keys:
            oldest, _ = self._spoken.popitem(last=False)
            self._tell_held(oldest)

    def flush(self) -> None:
        """Log how many were held back and not told yet; on stopping."""
        for key in list(self._held):
            self._tell_held(key)

    def _tell_held(self, key: str) -> None:
        held = self._held.pop(key, 0)
        if held:
            self._log.warning("%s: %d more of these", key, held)
