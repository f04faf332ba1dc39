"""A case of the conformance kits: one rule, checked on one plugin."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from tapeline.hookspecs import API_VERSION

DOCS_PAGE = "docs/conformance.md"
"""Where every case has its section."""

Subject = TypeVar("Subject")


class Tier(str, enum.Enum):
    """What a certificate may say, worst first; each includes those before it."""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"

    def __str__(self) -> str:
        return self.value


@attrs.frozen(eq=False)
class Case:
    """One rule and the function that checks it.

    Args:
        id: stable for ever; a rule that changes its meaning gets a new one.
        rule: a sentence, what a plugin must do.
        tier: the lowest tier that needs it.
        since: ``(major, minor)`` of the API from which on it is binding.
        about: why, and what is done to find out.
        check: raises ``RuleBroken``, ``NotShown`` or ``NotApplicable``.
    """

    id: str
    rule: str
    tier: Tier
    since: tuple[int, int]
    about: str
    check: Callable[[Any], None]

    @property
    def anchor(self) -> str:
        """Of its section in the documentation."""
        return self.id.lower()

    @property
    def docs(self) -> str:
        """Page and section."""
        return f"{DOCS_PAGE}#{self.anchor}"

    def is_binding(self, api: tuple[int, int]) -> bool:
        """Whether a plugin written against *api* must pass it."""
        return self.since <= api


_known: dict[str, Case] = {}


def case(
    id: str,
    rule: str,
    *,
    tier: Tier = Tier.BRONZE,
    since: tuple[int, int] = (1, 0),
) -> Callable[[Callable[[Subject], None]], Case]:
    """Make a ``Case`` of the function below; its docstring is ``about``.

    Raises:
        ValueError: the id is taken, or *since* is an API that does not exist yet.
    """

    def make(check: Callable[[Subject], None]) -> Case:
        if id in _known:
            raise ValueError(f"expected ids of cases to differ, found {id} twice")
        if since > API_VERSION:
            raise ValueError(f"expected a case of an API up to {API_VERSION}: {id}")
        about = " ".join((check.__doc__ or "").split())
        made = _known[id] = Case(id, rule, tier, since, about, check)
        return made

    return make
