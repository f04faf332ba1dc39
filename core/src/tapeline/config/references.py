"""Texts that stand elsewhere: ``env:NAME`` and ``file:/path``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tapeline.config.problems import found
from tapeline.model.secrets import MASK

ENV: Final = "env:"
FILE: Final = "file:"
MAX_FILE_BYTES: Final = 65_536


class ResolvedText(str):
    """A text read through a reference: usable as any text, masked in reprs.

    An options class that keeps a password should declare ``Secret``; this guards
    those that declare ``str``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK

    def __copy__(self) -> ResolvedText:
        return self

    def __deepcopy__(self, memo: object) -> ResolvedText:
        return self

    def __reduce__(self) -> str:
        raise TypeError("a text from env: or file: cannot be pickled")


class UnresolvedReference(ValueError):
    """A reference that leads nowhere; its text is a sentence for the operator."""


def is_reference(text: str) -> bool:
    """True when *text* says where the text stands instead of being it."""
    return text.startswith((ENV, FILE))


def resolve(reference: str, environ: Mapping[str, str]) -> ResolvedText:
    """The text that *reference* leads to, without the line end of a file.

    Raises:
        UnresolvedReference: the variable or the file gives no text.
    """
    if reference.startswith(ENV):
        return _from_environment(reference.removeprefix(ENV), environ)
    return _from_file(reference.removeprefix(FILE))


def _from_environment(name: str, environ: Mapping[str, str]) -> ResolvedText:
    if not name:
        raise UnresolvedReference(
            "expected the name of an environment variable after 'env:', found nothing"
        )
    text = environ.get(name)
    if text is None:
        raise UnresolvedReference(
            f"expected environment variable {found(name)} to be set, found it unset; "
            "set it before the start"
        )
    if not text:
        raise UnresolvedReference(
            f"expected a text in environment variable {found(name)}, found it empty"
        )
    return ResolvedText(text)


def _from_file(name: str) -> ResolvedText:
    if not name:
        raise UnresolvedReference("expected a path after 'file:', found nothing")
    expected = f"expected a readable file {found(name)}"
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UnresolvedReference(
            f"{expected}, found no such file; make it or correct the path"
        ) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UnresolvedReference(
            f"{expected}, found that it cannot be read ({reason})"
        ) from None
    except ValueError:
        raise UnresolvedReference(
            f"{expected}, found a path that no file can have"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise UnresolvedReference(
            f"{expected} of at most {MAX_FILE_BYTES} bytes, found a larger one"
        )
    try:
        text = content.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise UnresolvedReference(
            f"{expected} with UTF-8 text, found other bytes"
        ) from None
    if not text:
        raise UnresolvedReference(f"{expected} with a text, found it empty")
    return ResolvedText(text)
