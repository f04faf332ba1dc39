"""REST requests and answers as data; only core sends them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Request:
    """An HTTP request that an adapter wants to be sent.

    Args:
        method: ``GET`` or ``POST``.
        url: complete, with its query string.
        headers: added by ``sign`` at send time where the venue wants a key.
        private: True when ``sign`` must be called just before it is sent.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    private: bool = False


@attrs.frozen
class Response:
    """The venue's answer; *headers* have lower-case names.

    Args:
        request: as the adapter made it, before it was signed.
        tag: of the ``Fetch`` that asked, unchanged.
    """

    request: Request
    status: int
    headers: Mapping[str, str]
    body: bytes
    received_ns: int
    tag: str = ""
