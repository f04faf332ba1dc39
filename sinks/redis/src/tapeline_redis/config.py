"""What an operator may say about the Redis sinks."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from tapeline.model.secrets import Secret, register_secret
from tapeline_redis.connection import connection_options

_PREFIX = re.compile(r"[^\s*?\[\]\\]+")


def _is_url(instance: object, attribute: attrs.Attribute[Secret], url: Secret) -> None:
    password = connection_options(url.reveal()).get("password")
    if isinstance(password, str):
        # Drivers tell of single parts of an address, so the whole is not enough.
        register_secret(password)


def _is_prefix(instance: object, attribute: attrs.Attribute[str], prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(
            "expected a prefix without spaces, brackets and wildcards, found "
            f"{prefix!r}; write e.g. 'tapeline'"
        )


def _is_positive(
    instance: object, attribute: attrs.Attribute[float], value: float
) -> None:
    if not value > 0:
        raise ValueError(f"expected a number of seconds above 0, found {value!r}")


def _is_count(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"expected a number of entries from 0 on, found {value}")


def _secret(url: Secret | str) -> Secret:
    return url if isinstance(url, Secret) else Secret(url)


_URL: Mapping[str, str] = {
    "description": "Address, e.g. 'env:TAPELINE_REDIS_URL' or "
    "'redis://user:password@host:6379/0'; rediss:// for TLS, unix:///path for a "
    "socket file."
}
_TIMEOUT: Mapping[str, str] = {
    "description": "Seconds for connecting, and for the answer to one call; the "
    "connection is thrown away after them."
}


@attrs.frozen
class RedisConfig:
    """Events to Redis channels, live."""

    url: Secret = attrs.field(converter=_secret, validator=_is_url, metadata=_URL)
    prefix: str = attrs.field(
        default="tapeline",
        validator=_is_prefix,
        metadata={"description": "First part of every channel."},
    )
    timeout_s: float = attrs.field(
        default=5.0, validator=_is_positive, metadata=_TIMEOUT
    )


@attrs.frozen
class RedisStreamsConfig:
    """Records to Redis streams, durably."""

    url: Secret = attrs.field(converter=_secret, validator=_is_url, metadata=_URL)
    prefix: str = attrs.field(
        default="tapeline",
        validator=_is_prefix,
        metadata={
            "description": "First part of every key. Each collector that writes to "
            "the same Redis needs its own; with a cluster it holds a hash tag, e.g. "
            "'{tapeline}'."
        },
    )
    max_entries: int = attrs.field(
        default=1_000_000,
        validator=_is_count,
        metadata={
            "description": "About how many entries each stream keeps; older ones are "
            "removed as new ones come. 0 keeps all, for as long as memory lasts."
        },
    )
    timeout_s: float = attrs.field(
        default=5.0, validator=_is_positive, metadata=_TIMEOUT
    )
