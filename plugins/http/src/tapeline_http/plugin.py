"""What the plugin offers."""

from __future__ import annotations

from collections.abc import Sequence

from tapeline.hookspecs import (
    Control,
    PluginInfo,
    ServiceAdapter,
    ServiceContext,
    hookimpl,
)
from tapeline_http.config import HttpConfig
from tapeline_http.server import HttpService


class HttpAdapter:
    """Makes HTTP services."""

    name = "http"
    config = HttpConfig

    def service(
        self, config: HttpConfig, control: Control, context: ServiceContext
    ) -> HttpService:
        """A server that is not listening yet."""
        return HttpService(config, control, context)


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who the plugin is."""
    return PluginInfo(
        name="http",
        api=(1, 0),
        summary="Health, Prometheus metrics, status and control over HTTP.",
    )


@hookimpl
def tapeline_services() -> Sequence[ServiceAdapter]:
    """The HTTP service."""
    return (HttpAdapter(),)
