"""Addresses of databases: what they may look like, and what of them is secret."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from tapeline.model import Secret
from tapeline.model.secrets import register_secret

_SCHEMES = ("postgresql", "postgres")


def is_ours(url: str) -> bool:
    """Whether *url* names a PostgreSQL database."""
    return url.partition("://")[0] in _SCHEMES and "://" in url


def address_problem(dsn: Secret) -> str:
    """A sentence on what is wrong with *dsn*, which it does not show; or empty."""
    text = dsn.reveal()
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        shown = f"an address {scheme}://…" if separator else "a text without one"
        return (
            "expected an address postgresql://user:password@host:port/database, "
            f"found {shown}"
        )
    try:
        place = urlsplit(text).netloc.rpartition("@")[2]
    except ValueError:
        return (
            "expected an address postgresql://user:password@host:port/database, "
            "found one that cannot be taken apart; write special characters as %XX"
        )
    for host in filter(None, place.split(",")):
        _, colon, port = host.rpartition("]")[2].partition(":")
        if colon and not (port.isascii() and port.isdigit() and int(port) < 65_536):
            # Not shown: after a slash in a password it would be a part of that.
            return (
                "expected a port from 0 to 65535 in the address, found something else; "
                "write special characters as %XX"
            )
    return ""


def hide(dsn: Secret) -> None:
    """Keep *dsn* and the password in it out of every log and error."""
    register_secret(dsn)
    for password in _passwords(dsn.reveal()):
        register_secret(password)
        register_secret(unquote(password))


def shown_address(dsn: Secret) -> str:
    """Where *dsn* leads, without who logs in."""
    parts = urlsplit(dsn.reveal())
    place = parts.netloc.rpartition("@")[2]
    host = place or next(iter(parse_qs(parts.query).get("host", ())), "")
    return f"postgresql://{host}/{parts.path.lstrip('/')}"


def with_driver(dsn: Secret, driver: str = "asyncpg") -> str:
    """*dsn* as SQLAlchemy spells it."""
    _, _, rest = dsn.reveal().partition("://")
    return f"postgresql+{driver}://{rest}"


def _passwords(text: str) -> list[str]:
    parts = urlsplit(text)
    login, found, _ = parts.netloc.rpartition("@")
    _, colon, password = login.partition(":")
    given = [password] if found and colon and password else []
    return given + parse_qs(parts.query).get("password", [])
