"""The names that follow from the name of a plugin."""

from __future__ import annotations

import importlib.util
import re
from importlib import metadata

import attrs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tapeline.errors import UsageError
from tapeline.hookspecs import PROJECT
from tapeline.plugins import PluginRegistry

MOST_LETTERS = 20
"""With longer names, lines of the generated code would not fit."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@attrs.frozen
class ScaffoldName:
    """How a plugin is called, wherever it has a name.

    Args:
        name: of the plugin, its entry point and what it offers, e.g. ``big_venue``.
    """

    name: str

    @property
    def distribution(self) -> str:
        """``tapeline-big-venue``."""
        return f"tapeline-{self.dashed}"

    @property
    def dashed(self) -> str:
        """``big-venue``."""
        return self.name.replace("_", "-")

    @property
    def package(self) -> str:
        """``tapeline_big_venue``."""
        return f"tapeline_{self.name}"

    @property
    def classes(self) -> str:
        """``BigVenue``: what the names of its classes begin with."""
        return "".join(word.capitalize() for word in self.name.split("_"))


def read_name(text: str) -> ScaffoldName:
    """The names that follow from *text*.

    Raises:
        UsageError: it is no name for a package, is too long, or is taken.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(
            "expected a name of small letters, digits and single underscores that "
            f"begins with a letter, found {text!r}{_suggestion(text)}"
        )
    if len(text) > MOST_LETTERS:
        raise UsageError(
            f"expected a name of at most {MOST_LETTERS} letters, found {text!r} with "
            f"{len(text)}; choose a shorter one"
        )
    found = ScaffoldName(text)
    if found.distribution in _own_distributions():
        raise UsageError(
            f"expected a name that no plugin of tapeline itself has, found {text!r}; "
            "installed, one would replace the other; choose another one"
        )
    for record in PluginRegistry(environ={}).records():
        if record.name == text:
            raise UsageError(
                f"expected a name that no installed plugin has, found {text!r}, which "
                f"{record.distribution} has; choose another one, or uninstall that"
            )
    if importlib.util.find_spec(found.package) is not None:
        raise UsageError(
            f"expected a name whose package is not installed, found {text!r}, and "
            f"{found.package} is; choose another one, or uninstall that"
        )
    return found


def _own_distributions() -> frozenset[str]:
    """What core's extras install."""
    try:
        requires = metadata.requires(PROJECT) or ()
    except metadata.PackageNotFoundError:
        return frozenset()
    return frozenset(canonicalize_name(Requirement(line).name) for line in requires)


def _suggestion(text: str) -> str:
    words = re.findall(r"[a-z0-9]+", text.lower()) if text.isascii() else []
    better = "_".join(words).lstrip("0123456789_")
    return f"; {better!r} would do" if _NAME.fullmatch(better) else ""
