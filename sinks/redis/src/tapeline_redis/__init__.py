"""Redis sinks for Tapeline: live pub/sub, and durable streams."""

from tapeline_redis.adapter import RedisAdapter, RedisStreamsAdapter
from tapeline_redis.config import RedisConfig, RedisStreamsConfig
from tapeline_redis.documents import document, place
from tapeline_redis.sink import RedisSink
from tapeline_redis.streams import RedisStreamsSink

__all__ = [
    "RedisAdapter",
    "RedisConfig",
    "RedisSink",
    "RedisStreamsAdapter",
    "RedisStreamsConfig",
    "RedisStreamsSink",
    "document",
    "place",
]
