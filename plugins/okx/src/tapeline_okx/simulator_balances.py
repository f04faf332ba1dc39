"""The ``account`` channel of the simulator: snapshots in pages, then changes."""

from __future__ import annotations

from collections.abc import Mapping

from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_okx.simulator_account import SimAccount
from tapeline_okx.simulator_wire import json_text

SNAPSHOT_EVERY = 6


class AccountTopic:
    """Who listens to the account, and the timer that moves its balances.

    Args:
        interval_ns: between two changes while somebody listens.
    """

    def __init__(
        self, venue: SimulatorBase, account: SimAccount, interval_ns: int
    ) -> None:
        self._venue = venue
        self._account = account
        self._interval_ns = max(1, interval_ns)
        self._listeners: dict[
            tuple[int, str], tuple[SimConnection, Mapping[str, str]]
        ] = {}
        self._moving = False
        self._moves = 0

    @property
    def count(self) -> int:
        """Number of subscriptions."""
        return len(self._listeners)

    def add(
        self, connection: SimConnection, arg: Mapping[str, str], now_ns: int
    ) -> None:
        """A new subscription, which gets a snapshot first."""
        self._listeners[connection.id, json_text(arg)] = (connection, arg)
        self._push_snapshot(connection, arg, now_ns)
        if not self._moving:
            self._moving = True
            self._venue.timers.at(now_ns + self._interval_ns, self._move)

    def remove(self, connection: SimConnection, arg: Mapping[str, str]) -> None:
        """End one subscription; safe when there is none."""
        self._listeners.pop((connection.id, json_text(arg)), None)

    def forget(self, connection: SimConnection) -> None:
        """End all subscriptions of a connection that is gone."""
        for key in [key for key in self._listeners if key[0] == connection.id]:
            del self._listeners[key]

    def _push_snapshot(
        self, connection: SimConnection, arg: Mapping[str, str], now_ns: int
    ) -> None:
        wanted = [arg["ccy"]] if arg.get("ccy") else []
        for page in self._account.pages(wanted, _echo(arg), now_ns):
            self._venue.push(connection, "account", "", json_text(page), now_ns)

    def _move(self, now_ns: int) -> None:
        self._moving = bool(self._listeners)
        if not self._moving:
            return
        self._moves += 1
        changed = self._account.move()
        for connection, arg in list(self._listeners.values()):
            if arg.get("ccy") in (None, "", changed):
                page = self._account.update(changed, _echo(arg), now_ns)
                self._venue.push(connection, "account", "", json_text(page), now_ns)
            # Event-only subscribers asked for `updateInterval` 0.
            if self._moves % SNAPSHOT_EVERY == 0 and "extraParams" not in arg:
                self._push_snapshot(connection, arg, now_ns)
        self._venue.timers.at(now_ns + self._interval_ns, self._move)


def _echo(arg: Mapping[str, str]) -> Mapping[str, str]:
    return {name: arg[name] for name in ("channel", "ccy") if name in arg}
