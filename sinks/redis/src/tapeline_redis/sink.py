"""The pub/sub sink: each event once to its channel, to whoever listens now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from redis.exceptions import RedisError

from tapeline.clock import Now
from tapeline.hookspecs import SinkContext
from tapeline.model import Batch, SinkHealth
from tapeline_redis.config import RedisConfig
from tapeline_redis.connection import Command, Line, address_of
from tapeline_redis.documents import REFUSALS, document, joined, place
from tapeline_redis.failures import failure

_CALLS = 1_000


class RedisSink:
    """Publishes events as JSON, at most once each; see ``hookspecs.Sink``."""

    def __init__(self, config: RedisConfig, context: SinkContext) -> None:
        url = config.url.reveal()
        self._prefix = config.prefix
        self._context = context
        self._address = address_of(url)
        self._line = Line(url, config.timeout_s, context.name)
        self._was_open = False
        self._counters: Counter[str] = Counter()
        self._issue = ""

    async def open(self, journal_id: str) -> int | None:
        """See whether Redis is there; None, because nothing is kept.

        Raises:
            SinkUnavailable: it is not there; to be tried again.
            SinkError: it does not let us in; final.
        """
        await self._call([("PING",)])
        self._was_open = True
        return None

    async def write(self, batch: Batch) -> None:
        """Publish the records of *batch*, in order.

        Raises:
            SinkUnavailable: some may have been published, the others are lost.
        """
        commands = self._commands(batch)
        for start in range(0, len(commands), _CALLS):
            chunk = commands[start : start + _CALLS]
            heard = await self._call(chunk)
            self._counters["published"] += len(chunk)
            self._counters["deliveries"] += sum(heard)
        self._issue = ""

    async def close(self) -> None:
        """Drop the connection; safe twice, safe unopened."""
        await self._line.close()

    def health(self, now: Now) -> SinkHealth:
        """Messages published, and the last failure until something is published."""
        issues = (self._issue,) if self._issue else ()
        return SinkHealth(not issues, issues, dict(self._counters))

    def _commands(self, batch: Batch) -> Sequence[Command]:
        prefix = self._prefix
        commands: list[Command] = []
        for part in batch.parts:
            for record in part.records:
                try:
                    data = document(record)
                    channel = joined(prefix, place(record))
                except REFUSALS as error:
                    self._refuse(record, error)
                else:
                    commands.append(("PUBLISH", channel, data))
        return commands

    def _refuse(self, record: object, error: Exception) -> None:
        kind = type(record).__name__
        if not self._counters["refused"]:
            self._context.logger.warning(
                "a %s holds what no JSON can hold (%s); such records are counted and "
                "left out",
                kind,
                error,
            )
        self._counters["refused"] += 1

    async def _call(self, commands: Sequence[Command]) -> list[int]:
        try:
            replies = await self._line.call(*commands)
        except (RedisError, OSError) as error:
            self._counters["failures"] += 1
            told = failure(error, self._address, was_open=self._was_open)
            self._issue = str(told)
            raise told from error
        return [reply if isinstance(reply, int) else 0 for reply in replies]
