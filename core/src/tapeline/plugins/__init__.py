"""Plugins: finding, checking and isolating them, and binding their sessions."""

from __future__ import annotations

from tapeline.plugins.binding import BoundSession, bind_session, check_wrapper
from tapeline.plugins.records import PluginRecord, PluginState
from tapeline.plugins.registry import PluginRegistry

__all__ = [
    "BoundSession",
    "PluginRecord",
    "PluginRegistry",
    "PluginState",
    "bind_session",
    "check_wrapper",
]
