"""Callbacks sink for Tapeline."""

from tapeline_callbacks.adapter import CallbacksAdapter
from tapeline_callbacks.config import CallbacksConfig
from tapeline_callbacks.sink import CallbacksSink

__all__ = ["CallbacksAdapter", "CallbacksConfig", "CallbacksSink"]
