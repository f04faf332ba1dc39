"""What the log says of a sink: that it went away, and that it is back."""

from __future__ import annotations

import logging


class SinkReports:
    """Says each change once, to the logger ``tapeline.sink.NAME``."""

    def __init__(self, sink: str) -> None:
        self._logger = logging.getLogger(f"tapeline.sink.{sink}")
        self._away = False

    def away(self, reason: str, consequence: str) -> None:
        """It is unavailable; said again only after it was back."""
        if not self._away:
            self._away = True
            self._logger.warning("unavailable: %s; %s", reason, consequence)

    def back(self) -> None:
        """It works; said only after it was away."""
        if self._away:
            self._away = False
            self._logger.info("available again")

    def failed(self, reason: str) -> None:
        """It is of no use any more."""
        self._logger.error("failed, and is not tried again: %s", reason)
