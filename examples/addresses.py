"""Where the examples collect from: the real OKX, or a simulated one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def parser(description: str) -> argparse.ArgumentParser:
    """Options that all examples have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--ws-url", help="of a simulator, e.g. ws://127.0.0.1:8800")
    made.add_argument("--rest-url", help="of a simulator, e.g. http://127.0.0.1:8800")
    made.add_argument("--seconds", type=float, default=10.0, help="how long to collect")
    return made


def custom_params(options: argparse.Namespace) -> dict[str, Any]:
    """What a collector needs to find the exchange; nothing for the real one."""
    if not options.ws_url:
        return {}
    return {"ws_url": options.ws_url, "rest_url": options.rest_url}


def parse(description: str, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options in *words*, or of the command line."""
    return parser(description).parse_args(words)
