"""HTTP service for Tapeline: health, metrics, status and control."""

from tapeline_http.app import build_app
from tapeline_http.config import HttpConfig
from tapeline_http.metrics import render_metrics
from tapeline_http.plugin import HttpAdapter

__all__ = ["HttpAdapter", "HttpConfig", "build_app", "render_metrics"]
