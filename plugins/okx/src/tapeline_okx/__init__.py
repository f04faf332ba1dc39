"""OKX for Tapeline."""

from typing import TYPE_CHECKING, Any

from tapeline_okx.adapter import OkxAdapter
from tapeline_okx.config import OkxConfig

if TYPE_CHECKING:
    from tapeline_okx.collector import OKXCollector, create_okx_collector

__all__ = [
    "OKXCollector",
    "OkxAdapter",
    "OkxConfig",
    "create_okx_collector",
]


def __getattr__(name: str) -> Any:
    # The collectors need the whole runtime; the plugin itself does not.
    if name in ("OKXCollector", "create_okx_collector"):
        from tapeline_okx import collector

        return getattr(collector, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
