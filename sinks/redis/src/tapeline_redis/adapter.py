"""How core makes Redis sinks."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import DatabaseReader, Sink, SinkContext
from tapeline_redis.config import RedisConfig, RedisStreamsConfig
from tapeline_redis.sink import RedisSink
from tapeline_redis.streams import RedisStreamsSink


class RedisAdapter:
    """Events to channels, at most once."""

    name: str = "redis"
    config: type[RedisConfig] = RedisConfig
    promise: str = "live"
    accepts: Sequence[str] | None = None
    default: bool = False

    def sink(self, config: RedisConfig, context: SinkContext) -> Sink:
        """A new sink; opens nothing yet."""
        return RedisSink(config, context)

    def open_reader(self, url: str) -> DatabaseReader | None:
        """Nothing is kept, so there is nothing to read."""
        return None


class RedisStreamsAdapter:
    """Records to streams, exactly once."""

    name: str = "redis.streams"
    config: type[RedisStreamsConfig] = RedisStreamsConfig
    promise: str = "durable"
    accepts: Sequence[str] | None = None
    default: bool = False

    def sink(self, config: RedisStreamsConfig, context: SinkContext) -> Sink:
        """A new sink; opens nothing yet."""
        return RedisStreamsSink(config, context)

    def open_reader(self, url: str) -> DatabaseReader | None:
        """Streams are read by their consumers, not by tapeline."""
        return None
