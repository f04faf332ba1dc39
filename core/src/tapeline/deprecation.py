"""What is public and will be removed: said once, with what to use instead."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

import attrs

_VERSION = re.compile(r"(\d+)\.(\d+)")


def _is_version(
    instance: object, attribute: attrs.Attribute[str], version: str
) -> None:
    if not _VERSION.fullmatch(version):
        raise ValueError(
            f"expected {attribute.name} as MAJOR.MINOR, found {version!r}; "
            "write e.g. '0.2'"
        )


@attrs.frozen
class Deprecation:
    """Notice that a public name, option or hook will go.

    Args:
        name: as users write it, e.g. ``tapeline.old_name`` or ``[runtime] old_key``.
        since: ``MAJOR.MINOR`` of the distribution that says so first.
        removal: ``MAJOR.MINOR`` from which on it is gone; at least one minor later.
        instead: what to use, in words.

    Raises:
        ValueError: a version is none, or nobody would have a minor to change in.
    """

    name: str
    since: str = attrs.field(validator=_is_version)
    removal: str = attrs.field(validator=_is_version)
    instead: str

    def __attrs_post_init__(self) -> None:
        if _numbers(self.removal) <= _numbers(self.since):
            raise ValueError(
                f"expected {self.name} to go at least one minor version after "
                f"{self.since}, found {self.removal}; name a later one"
            )
        _all[self.name] = self

    @property
    def sentence(self) -> str:
        """For people: what, since when, until when, what instead."""
        return (
            f"{self.name} is deprecated since {self.since} and goes with "
            f"{self.removal}; use {self.instead}"
        )

    def warning(self) -> DeprecationWarning:
        """The warning itself, e.g. for ``hookspec(warn_on_impl=…)``."""
        return DeprecationWarning(self.sentence)

    def warn(self, stacklevel: int = 2) -> bool:
        """Give the warning, the first time in this process.

        Args:
            stacklevel: as for ``warnings.warn``; 2 blames the caller of who calls.

        Returns:
            whether it was the first time.
        """
        if self.name in _said:
            return False
        _said.add(self.name)
        warnings.warn(self.warning(), stacklevel=stacklevel + 1)
        return True

    def is_due(self, version: str) -> bool:
        """Whether a distribution of *version* should not have it any more."""
        found = _VERSION.match(version)
        return found is not None and _numbers(found[0]) >= _numbers(self.removal)


_all: dict[str, Deprecation] = {}
_said: set[str] = set()


def deprecations() -> Iterator[Deprecation]:
    """Every notice in what is imported, by name."""
    yield from (_all[name] for name in sorted(_all))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
