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
from tapeline_http.webhook import WebhookConfig, WebhookService


class HttpAdapter:
    """Makes HTTP services."""

    name = "http"
    config = HttpConfig

    def service(
        self, config: HttpConfig, control: Control, context: ServiceContext
    ) -> HttpService:
        """A server that is not listening yet."""
        return HttpService(config, control, context)


class WebhookAdapter:
    """Makes senders of alerts."""

    name = "http.webhook"
    config = WebhookConfig

    def service(
        self, config: WebhookConfig, control: Control, context: ServiceContext
    ) -> WebhookService:
        """A sender that hears nothing yet."""
        return WebhookService(config, control, context)


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
    """The HTTP service, and alerts."""
    return (HttpAdapter(), WebhookAdapter())
