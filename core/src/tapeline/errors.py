"""Everything that Tapeline raises on purpose.

TapelineError
├── ConfigError                 configuration; holds every problem at once
├── UsageError                  wrong arguments of a command
│   ├── UnknownTimeframe
│   ├── UnknownExchange
│   ├── UnknownSymbol
│   ├── UnknownSink
│   └── UnknownService
├── PluginError                 a plugin that is used is not active
├── ContractError               an adapter or sink breaks the contract
├── DataValidationError         data of a venue that cannot be true; skipped
├── TransportError
│   ├── SocketClosed            the socket ended, with code and reason
│   ├── HandshakeRefused        the venue answered the upgrade with a status
│   └── RequestFailed           a REST request got no usable answer
├── JournalError
│   ├── JournalLocked           another process has this data folder
│   └── JournalFull             the disk or the quota is spent
├── SinkError
│   ├── SinkUnavailable         transport of a sink; retried for ever
│   ├── SinkReplaced            its database has less than it had; opened anew
│   └── SinkRejected            data that a sink cannot take
├── DatabaseOperationError      an operation on a database failed
└── RecordingError              a recording cannot be read
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Sequence


class RecoveryAction(enum.Enum):
    """What the runtime does after an error, decided by data."""

    IGNORE = "ignore"
    """Counted and skipped; the stream goes on."""
    RESYNC = "resync"
    """The stream starts afresh."""
    REDIAL = "redial"
    """The connection, or the sink, is tried again."""
    STOP = "stop"
    """Trying again does not help."""


class TapelineError(Exception):
    """Root of all errors of this package."""

    recovery: RecoveryAction = RecoveryAction.STOP


START_EXTRA = "start"
"""The extra of core with all that a first collection needs."""


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``"; did you mean 'x'?"`` when one of *known* is close, else ``""``.

    Args:
        cutoff: how close, from 0 (anything) to 1 (equal).
    """
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


def _symbol_meant(symbol: str, known: Iterable[str]) -> str:
    """The hint for a symbol; an equal quote alone makes no likeness."""
    base = symbol.partition("-")[0]
    alike = [
        other
        for other in known
        if "-" not in symbol
        or difflib.SequenceMatcher(None, base, other.partition("-")[0]).ratio() >= 0.6
    ]
    return did_you_mean(symbol, alike, cutoff=0.75)


def _plugin_meant(name: str, known: Iterable[str]) -> str:
    """The close name, or else which plugin to install."""
    package = f"tapeline-{name.partition('.')[0]}"
    install = f"; install its plugin, e.g. 'pip install {package}'"
    return did_you_mean(name, known) or install


def one_of(known: Iterable[str]) -> str:
    """The names in *known* for a sentence: ``a, b or c``; ``none`` when empty."""
    names = sorted(known)
    if not names:
        return "none"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def install_command(extra: str = START_EXTRA) -> str:
    """The command that installs what core lists under *extra*, for a sentence."""
    return f"pip install 'tapeline[{extra}]'"


class ConfigError(TapelineError):
    """Configuration that cannot be used; *problems* are ``(key path, sentence)``."""

    def __init__(self, problems: Sequence[tuple[str, str]], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.source}: " if self.source else ""
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        lines = [f"{head}{count} {noun} in the configuration"]
        lines += [
            f"  {path}: {text}" if path else f"  {text}" for path, text in self.problems
        ]
        return "\n".join(lines)


class UsageError(TapelineError):
    """A command or call was given something it cannot use."""


class UnknownTimeframe(UsageError):
    """A timeframe that is not one of the eleven."""

    def __init__(self, timeframe: str, known: Sequence[str]) -> None:
        self.timeframe = timeframe
        super().__init__(
            f"expected a timeframe out of {' '.join(known)}, found {timeframe!r}"
            f"{did_you_mean(timeframe, known)}"
        )


class UnknownExchange(UsageError):
    """An exchange that no installed plugin offers."""

    def __init__(self, exchange: str, known: Iterable[str]) -> None:
        self.exchange = exchange
        known = tuple(known)
        super().__init__(
            f"expected an installed exchange ({one_of(known)}), found {exchange!r}"
            f"{_plugin_meant(exchange, known)}"
        )


class UnknownSymbol(UsageError):
    """A symbol that the exchange does not list."""

    def __init__(
        self, exchange: str, market: str, symbol: str, known: Iterable[str] = ()
    ) -> None:
        self.exchange = exchange
        self.market = market
        self.symbol = symbol
        super().__init__(
            f"expected a {market} symbol that {exchange} lists, found {symbol!r}"
            f"{_symbol_meant(symbol, known)}"
        )


class UnknownSink(UsageError):
    """A sink that no installed plugin offers."""

    def __init__(self, sink: str, known: Iterable[str]) -> None:
        self.sink = sink
        known = tuple(known)
        super().__init__(
            f"expected an installed sink ({one_of(known)}), found {sink!r}"
            f"{_plugin_meant(sink, known)}"
        )


class UnknownService(UsageError):
    """A service that no installed plugin offers."""

    def __init__(self, service: str, known: Iterable[str]) -> None:
        self.service = service
        known = tuple(known)
        super().__init__(
            f"expected an installed service ({one_of(known)}), found {service!r}"
            f"{_plugin_meant(service, known)}"
        )


class PluginError(TapelineError):
    """A plugin that the configuration uses is not active."""

    def __init__(self, plugin: str, state: str, reason: str) -> None:
        self.plugin = plugin
        self.state = state
        self.reason = reason
        super().__init__(f"plugin {plugin!r} is {state}: {reason}")


class ContractError(TapelineError):
    """An adapter, session or sink does not keep the contract."""


class DataValidationError(TapelineError):
    """Data of a venue that cannot be true; it is counted and skipped."""

    recovery = RecoveryAction.IGNORE

    def __init__(self, text: str, violations: Sequence[str] = ()) -> None:
        self.violations = tuple(violations)
        super().__init__(text)


class TransportError(TapelineError):
    """The way to a venue is broken; it is dialed again."""

    recovery = RecoveryAction.REDIAL


class SocketClosed(TransportError):
    """The socket ended; *code* is None when there was no close frame."""

    def __init__(self, code: int | None, reason: str) -> None:
        self.code = code
        self.reason = reason
        shown = "no close frame" if code is None else f"close code {code}"
        super().__init__(f"socket closed, {shown}{': ' if reason else ''}{reason}")


class HandshakeRefused(TransportError):
    """The venue answered the WebSocket upgrade with an HTTP status."""

    def __init__(self, status: int, body: str, retry_after_s: float | None) -> None:
        self.status = status
        self.body = body[:200]
        self.retry_after_s = retry_after_s
        super().__init__(f"expected a WebSocket handshake, found HTTP {status}")


class RequestFailed(TransportError):
    """A REST request that got no usable answer."""


class JournalError(TapelineError):
    """The journal cannot do what was asked."""


class JournalLocked(JournalError):
    """Another process works on this data folder."""

    def __init__(self, path: str, owner: str) -> None:
        self.path = path
        self.owner = owner
        super().__init__(
            f"expected a data folder of our own, found {path} in use by {owner}; "
            "stop that process or choose another data_dir"
        )


class JournalFull(JournalError):
    """Disk or quota is spent."""


class SinkError(TapelineError):
    """A sink could not store a batch."""


class SinkUnavailable(SinkError):
    """The sink's transport failed; the batch is tried again for ever."""

    recovery = RecoveryAction.REDIAL


class SinkReplaced(SinkError):
    """The sink's database has less than was written to it: it is opened anew.

    What the journal still has comes again; what it has not is recorded as gaps.
    """

    recovery = RecoveryAction.RESYNC


class SinkRejected(SinkError):
    """The sink cannot take this data; trying again does not help.

    Args:
        records: ``(position, ordinal)`` of each record it refuses; empty when it
            cannot tell.
    """

    def __init__(self, text: str, records: Sequence[tuple[int, int]] = ()) -> None:
        self.records = tuple(records)
        super().__init__(text)


class DatabaseOperationError(TapelineError):
    """An operation on a database failed.

    Args:
        operation: what was tried, e.g. ``upsert``.
        table: the table it was about.
        cause: what the driver said.
    """

    def __init__(self, operation: str, table: str, cause: object) -> None:
        self.operation = operation
        self.table = table
        self.cause = cause
        super().__init__(f"{operation} on table {table!r} failed: {cause}")


class RecordingError(TapelineError):
    """A recording cannot be read."""

    def __init__(self, path: str, line: int | None, text: str) -> None:
        self.path = path
        self.line = line
        where = path if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {text}")
