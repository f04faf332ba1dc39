"""The receive loop of one socket: read, stamp, parse, append."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio.lowlevel

from tapeline.clock import Clock
from tapeline.errors import TransportError
from tapeline.hookspecs import Parsed
from tapeline.model import Subscription
from tapeline.seams import Socket
from tapeline.transport.counters import Counters
from tapeline.transport.inbox import FrameLost, Inbox, Sourced
from tapeline.transport.streams import Stream, StreamTable

_YIELD_MASK = 0xFF
_MAX_KNOWN_IDS = 65_536

Control = Mapping[type, Callable[[Any], None]]
"""Type of a reply or action → what to do with it; everything else is an event."""


class Receiver:
    """Turns frames into items of the inbox.

    Args:
        parse: of the session.
        control: handlers by exact type.
        first_data: called with a stream that is not flowing when data of it comes;
            tells whether that data is passed on.
        max_errors_in_a_row: failures of *parse* after which the loop gives up.
        number: of the connection.
    """

    def __init__(
        self,
        clock: Clock,
        inbox: Inbox,
        table: StreamTable,
        counters: Counters,
        parse: Callable[[str | bytes, int], Parsed],
        control: Control,
        first_data: Callable[[Stream], bool],
        max_errors_in_a_row: int,
        number: int,
    ) -> None:
        self.heard_ns = clock.monotonic_ns()
        self.data_ns: int | None = None
        self.blocked = False
        self._clock = clock
        self._inbox = inbox
        self._table = table
        self._counters = counters
        self._parse = parse
        self._control = control
        self._first_data = first_data
        self._max_errors_in_a_row = max_errors_in_a_row
        self._number = number
        self._by_id: dict[int, Stream] = {}
        self._known: list[Subscription] = []

    async def run(self, socket: Socket) -> None:
        """Receive until the socket ends or the task is cancelled.

        Raises:
            SocketClosed: the socket ended.
            TransportError: *parse* failed too often in a row.
        """
        # hot path
        receive = socket.receive
        parse = self._parse
        take = self.take
        wall_ns = self._clock.wall_ns
        monotonic_ns = self._clock.monotonic_ns
        counters = self._counters
        inbox = self._inbox
        errors = 0
        while True:
            frame = await receive()
            received_ns = wall_ns()
            self.heard_ns = heard_ns = monotonic_ns()
            counters.frames += 1
            counters.bytes += len(frame)
            try:
                items = parse(frame, received_ns)
            except Exception as error:  # a bug of the adapter: count it and go on
                errors += 1
                self._note_error(frame, received_ns, errors, error)
                continue
            errors = 0
            if items:
                take(items, received_ns, heard_ns)
                if inbox.full:
                    await self._wait_for_room()
            if not counters.frames & _YIELD_MASK:
                # A socket with much in store must not keep others from running.
                await anyio.lowlevel.checkpoint()

    def take(self, items: Parsed, received_ns: int, heard_ns: int) -> None:
        """Append events to the inbox and act on everything else, in order."""
        # hot path
        control = self._control
        by_id = self._by_id
        append = self._inbox.items.append
        last: object = None
        stream: Stream | None = None
        for item in items:
            handler = control.get(type(item))
            if handler is not None:
                handler(item)
                continue
            try:
                subscription = item.stream  # type: ignore[union-attr]
            except AttributeError:
                append(item)  # type: ignore[arg-type]
                continue
            if subscription is not last:
                last = subscription
                stream = by_id.get(id(subscription)) or self._find(subscription)
                if stream is not None:
                    stream.last_message_ns = heard_ns
            if stream is None:
                append(item)  # type: ignore[arg-type]
            elif stream.flowing or self._first_data(stream):
                if stream.shared:
                    append(Sourced(item, self._number))  # type: ignore[arg-type]
                else:
                    append(item)  # type: ignore[arg-type]
                stream.events += 1
            else:
                self._counters.unwanted += 1
        self.data_ns = heard_ns if last is not None else self.data_ns
        self._inbox.wake()

    def _find(self, subscription: Subscription) -> Stream | None:
        """The stream of *subscription*; its object is known from now on.

        None for streams that were never asked for here: they are passed on as
        they are, for instance parts of a channel about all symbols.
        """
        stream = self._table.get(subscription)
        if stream is not None:
            if len(self._known) >= _MAX_KNOWN_IDS:
                self._by_id.clear()
                self._known.clear()
            # Kept alive here, so that no other object can get the same id.
            self._known.append(subscription)
            self._by_id[id(subscription)] = stream
        return stream

    def _note_error(
        self, frame: str | bytes, received_ns: int, errors: int, error: Exception
    ) -> None:
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        self._counters.parse_errors += 1
        self._counters.note_malformed(
            f"parse raised {type(error).__name__}", text, received_ns
        )
        self._inbox.put(FrameLost(self._number, received_ns))
        if errors >= self._max_errors_in_a_row:
            raise TransportError(
                f"expected parse to take what the venue sends, found {errors} errors "
                f"in a row, the last a {type(error).__name__}; report it to the "
                "adapter's authors"
            ) from error

    async def _wait_for_room(self) -> None:
        # As long as the pipeline needs: it is ours, and never waits for a socket.
        self.blocked = True
        try:
            await self._inbox.room()
        finally:
            self.blocked = False
            self.heard_ns = self._clock.monotonic_ns()
