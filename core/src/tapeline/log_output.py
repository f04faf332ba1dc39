"""How and where a log line is written: masking, formats, files, the console."""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tapeline.model.secrets import mask

RETRY_S: Final = 60.0
"""How long lines go to the console before a broken file is tried again."""

_STANDARD: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class SecretFilter(logging.Filter):
    """Masks registered secrets in the message and the traceback of a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; *record* is changed in place where it holds a secret."""
        try:
            message = record.getMessage()
        except Exception as error:  # logging must not raise into its caller
            # The handler would print the arguments, and with them a secret.
            text = record.msg if isinstance(record.msg, str) else "log message"
            message = f"{text} (its arguments do not fit: {type(error).__name__})"
            record.msg, record.args = message, ()
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = mask(record.exc_text)
        if record.stack_info:
            record.stack_info = mask(record.stack_info)
        return True


class TextFormatter(logging.Formatter):
    """One line a record, UTC; further lines of a message are indented."""

    def format(self, record: logging.LogRecord) -> str:
        """``2026-01-01T00:00:00.000Z INFO    name: message``, then a traceback."""
        # An exchange's text must not be able to forge a line of its own.
        text = mask(record.getMessage()).splitlines()
        message = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", "\n    ".join(text))
        lines = [f"{_utc(record)} {record.levelname:<7} {record.name}: {message}"]
        lines += _traces(self, record)
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what is extra."""

    def format(self, record: logging.LogRecord) -> str:
        """The object as text; values that JSON does not know become text."""
        shown: dict[str, object] = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        traces = _traces(self, record)
        if traces:
            shown["exception"] = "\n".join(traces)
        for key, value in vars(record).items():
            if key not in _STANDARD and key not in shown:
                shown[key] = value if _is_plain(value) else mask(str(value))
        return json.dumps(shown)


class LogFile(logging.handlers.RotatingFileHandler):
    """A rotated file that is made at the first line.

    When it cannot be written, lines go to the console, after one warning, and the
    file is tried again from time to time.

    Args:
        path: of the file; its folder is made with it.
        max_bytes: size at which it is rotated.
        kept: older files that are kept.
    """

    def __init__(self, path: Path, max_bytes: int, kept: int) -> None:
        super().__init__(
            path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8", delay=True
        )
        self.errors = "backslashreplace"
        self.path = path
        self.on_console = False
        self._broken_since_s: float | None = None
        self._warned = False

    def _open(self):  # type: ignore[no-untyped-def]  # as the parent, by Python version
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record* to the file, or to the console while that fails."""
        since = self._broken_since_s
        if since is not None and 0 <= record.created - since < RETRY_S:
            self._to_console(self.format(record))
            return
        self._broken_since_s = None
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Called inside the except block of a failed write."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self._broken_since_s = record.created
        if not self._warned:
            self._warned = True
            reason = (error.strerror or type(error).__name__).lower()
            self._to_console(
                f"expected to write the log file {self.path}, found: {reason}; "
                "logging to the console instead",
                always=True,
            )
        self._to_console(self.format(record))

    def _to_console(self, line: str, *, always: bool = False) -> None:
        if (always or not self.on_console) and sys.stderr is not None:
            sys.stderr.write(line + "\n")


class Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error as it is at the time of a line, not of the set-up."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self):  # type: ignore[no-untyped-def]
        return sys.stderr


def _utc(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _traces(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    traces = []
    if record.exc_text:
        traces.append(mask(record.exc_text))
    elif record.exc_info:
        traces.append(mask(formatter.formatException(record.exc_info)))
    if record.stack_info:
        traces.append(mask(formatter.formatStack(record.stack_info)))
    return traces


def _is_plain(value: object) -> bool:
    return value is None or type(value) in (bool, int, float)
