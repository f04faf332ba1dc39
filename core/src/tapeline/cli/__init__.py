"""The ``tapeline`` command."""

from tapeline.cli.app import app, main

__all__ = ["app", "main"]
