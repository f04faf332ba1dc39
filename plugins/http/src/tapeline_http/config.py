"""What an operator may say about the HTTP service."""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, le, optional

from tapeline import Secret

MIN_TOKEN = 16


def _is_long(
    instance: object, attribute: attrs.Attribute[Secret], value: Secret
) -> None:
    if len(value.reveal()) < MIN_TOKEN:
        raise ValueError(
            f"expected a token of at least {MIN_TOKEN} characters, found a shorter "
            "one; make one with: python -c 'import secrets; "
            "print(secrets.token_urlsafe())'"
        )


@attrs.frozen
class HttpConfig:
    """Where the service listens, and who may change something."""

    host: str = attrs.field(
        default="127.0.0.1",
        metadata={
            "description": "Address to listen on; the default is reached from this "
            "machine only."
        },
    )
    port: int = attrs.field(
        default=8765,
        validator=and_(ge(0), le(65_535)),
        metadata={"description": "Port to listen on; 0 takes a free one."},
    )
    token: Secret | None = attrs.field(
        default=None,
        validator=optional(_is_long),
        metadata={
            "description": "What a client must show to restart, enable or disable a "
            "collector; best 'env:TAPELINE_TOKEN'. Without it nobody may."
        },
    )
