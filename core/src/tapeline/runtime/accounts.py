"""Balances of several accounts of one exchange must not be taken for one another."""

from __future__ import annotations

from collections.abc import Iterable

from tapeline.errors import UsageError
from tapeline.model import DataType
from tapeline.runtime.settings import FeedSettings


def check_accounts(settings: FeedSettings, others: Iterable[FeedSettings]) -> None:
    """See that *settings* names its account apart from those of *others*.

    Collectors with the same options collect the same account and may share its name.

    Raises:
        UsageError: another collector uses the name with other options.
    """
    if DataType.BALANCE not in settings.data_types:
        return
    for other in others:
        if (
            DataType.BALANCE in other.data_types
            and other.adapter.name == settings.adapter.name
            and other.account == settings.account
            and other.config != settings.config
        ):
            named = repr(settings.account) if settings.account else "none"
            raise UsageError(
                f"expected collector {settings.name!r} to name its account of "
                f"{settings.adapter.name} apart from that of collector "
                f"{other.name!r}, found {named} for both; set account"
            )
