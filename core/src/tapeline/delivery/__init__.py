"""Delivery: one runner per durable sink, and live output from memory."""

from tapeline.delivery.consumers import LiveConsumer, callback_name, is_async
from tapeline.delivery.dead_letters import DeadLetter
from tapeline.delivery.live import LiveFanOut
from tapeline.delivery.queues import DropOldest
from tapeline.delivery.runner import SinkRunner
from tapeline.delivery.settings import LiveSettings, RunnerSettings
from tapeline.delivery.source import BatchSource

__all__ = [
    "BatchSource",
    "DeadLetter",
    "DropOldest",
    "LiveConsumer",
    "LiveFanOut",
    "LiveSettings",
    "RunnerSettings",
    "SinkRunner",
    "callback_name",
    "is_async",
]
