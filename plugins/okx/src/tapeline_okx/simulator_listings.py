"""The ``instruments`` channel of the simulator: a list first, then what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tapeline.testing.simulator import SimConnection, SimulatorBase
from tapeline_okx.simulator_wire import OkxInstrument, json_text


class Listings:
    """Who listens to which type of instruments."""

    def __init__(
        self, venue: SimulatorBase, instruments: Mapping[str, OkxInstrument]
    ) -> None:
        self._venue = venue
        self._instruments = instruments
        self._types: dict[int, set[str]] = {}

    def add(self, connection: SimConnection, kind: str, now_ns: int) -> None:
        """A subscription, which gets the whole list when it is new."""
        types = self._types.setdefault(connection.id, set())
        if kind in types:
            return
        types.add(kind)
        rows = [
            instrument.row()
            for instrument in self._instruments.values()
            if instrument.listed and instrument.inst_type == kind
        ]
        self._push(connection, kind, rows, now_ns)

    def remove(self, connection: SimConnection, kind: str) -> None:
        """End one subscription; safe when there is none."""
        self._types.get(connection.id, set()).discard(kind)

    def forget(self, connection: SimConnection) -> None:
        """End all subscriptions of a connection that is gone."""
        self._types.pop(connection.id, None)

    def change(
        self, instrument: OkxInstrument, state: str, listed: bool, now_ns: int
    ) -> None:
        """Something becomes of *instrument*, and its listeners hear of it."""
        instrument.state = state
        instrument.listed = listed
        rows = [instrument.row()]
        for number, types in sorted(self._types.items()):
            if instrument.inst_type in types:
                connection = self._venue.connections[number]
                self._push(connection, instrument.inst_type, rows, now_ns)

    def _push(
        self,
        connection: SimConnection,
        kind: str,
        rows: Sequence[Mapping[str, object]],
        now_ns: int,
    ) -> None:
        arg = {"channel": "instruments", "instType": kind}
        frame = json_text({"arg": arg, "data": rows})
        self._venue.push(connection, "instruments", "", frame, now_ns)
