"""A manager as services see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tapeline.model import Health, StatusChange

if TYPE_CHECKING:
    from tapeline.collectors.manager import CollectorManager


class ManagerControl:
    """``tapeline.hookspecs.Control`` over a ``CollectorManager``."""

    def __init__(self, manager: CollectorManager) -> None:
        self._manager = manager

    def status(self) -> Mapping[str, Any]:
        """What ``CollectorManager.get_status()`` gives; JSON-ready."""
        return self._manager.get_status()

    def health(self) -> Health:
        """Whether what is wanted is being delivered, as of now."""
        return self._manager.health()

    def add_observer(self, observer: Callable[[StatusChange], None]) -> None:
        """Tell *observer* of every change of state; it must return quickly."""
        self._manager.add_observer(observer)

    async def restart(self, name: str) -> bool:
        """Restart collector *name*; False when unknown, disabled or not started."""
        return await self._manager.restart_collector(name)

    async def enable(self, name: str) -> bool:
        """Let collector *name* run; False when there is none of that name."""
        return self._manager.enable_collector(name)

    async def disable(self, name: str) -> bool:
        """Stop collector *name* and keep it; False when there is none."""
        return self._manager.disable_collector(name)
