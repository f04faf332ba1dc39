"""Addresses as they may be shown: without user, query and fragment."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown_url(url: str) -> str:
    """*url* without anything that can hold a secret.

    User information, query and fragment are cut off: keys and signatures live there.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return "an unreadable address"
    return f"{parts.scheme}://{host}{port}{parts.path}"
