"""Opens and closes the connection of one collector, within deadlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import anyio

from tapeline.collectors.six_methods import SixMethods
from tapeline.collectors.vitals import Vitals, sentence_of
from tapeline.errors import RecoveryAction, TapelineError
from tapeline.logs import ConditionalLogger


class Remember(Protocol):
    """Counts and logs what went wrong."""

    def __call__(self, text: str, error: BaseException | None = None) -> None:
        """*text* for people, and the error where there was one."""


class Connecting:
    """Calls a collector's own methods; whatever they raise stays here.

    Args:
        vitals: told since when there is a connection.
        remember: told why there is none.

    Attributes:
        final_error: why another try is of no use; empty when it may be.
    """

    def __init__(
        self,
        methods: SixMethods,
        vitals: Vitals,
        remember: Remember,
        log: ConditionalLogger,
    ) -> None:
        self.final_error = ""
        self._methods = methods
        self._vitals = vitals
        self._remember = remember
        self._log = log
        self._scope: anyio.CancelScope | None = None
        self._wanted = True

    async def open(
        self, symbols: Sequence[str], data_types: Sequence[Any], timeout_s: float
    ) -> bool:
        """Connect and subscribe; False when that failed."""
        opened = False
        self.final_error = ""
        self._wanted = True
        try:
            with anyio.move_on_after(timeout_s) as self._scope:
                opened = await self._connect(list(symbols), list(data_types))
            if self._scope.cancelled_caught and self._wanted:
                self._remember(f"connecting took more than {timeout_s:.0f} s")
        except Exception as error:  # a supervisor: a subclass may raise anything
            self._remember(sentence_of(error), error)
            if (
                isinstance(error, TapelineError)
                and error.recovery is RecoveryAction.STOP
            ):
                self.final_error = str(error)
        finally:
            self._scope = None
        return opened

    def cut(self) -> None:
        """The connection that is being opened is not wanted any more."""
        self._wanted = False
        if self._scope is not None:
            self._scope.cancel()

    async def close(self, timeout_s: float) -> None:
        """Disconnect; a failure is logged and no more."""
        try:
            with anyio.move_on_after(timeout_s) as scope:
                await self._methods.disconnect()
            if scope.cancelled_caught:
                self._log.warning(f"disconnect took more than {timeout_s:.0f} s")
        except Exception as error:  # a supervisor: closing must not stop the stop
            self._log.warning(f"disconnect failed: {error}")
        self._vitals.connected_ns = None

    async def _connect(self, symbols: list[str], data_types: list[Any]) -> bool:
        if not await self._methods.connect():
            self._remember("connect() returned False")
            return False
        self._vitals.connected_ns = self._vitals.clock.monotonic_ns()
        if not await self._methods.subscribe_to_data(symbols, data_types):
            self._remember("subscribe_to_data() returned False")
            return False
        return True
