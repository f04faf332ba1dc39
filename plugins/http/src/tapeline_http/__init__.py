"""HTTP service for Tapeline: health, metrics, status and control."""

from tapeline_http.app import build_app
from tapeline_http.config import HttpConfig
from tapeline_http.metrics import render_metrics
from tapeline_http.plugin import HttpAdapter, WebhookAdapter
from tapeline_http.webhook import WebhookConfig

__all__ = [
    "HttpAdapter",
    "HttpConfig",
    "WebhookAdapter",
    "WebhookConfig",
    "build_app",
    "render_metrics",
]
