"""``manage.py collect``: collects until it is stopped, or for some seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tapeline import CollectorManager, DataType
from tapeline_okx import create_okx_collector
from tapeline_sqlite import SqliteConfig


class Command(BaseCommand):
    """Trades of some symbols into a database."""

    help = "Collect trades of OKX."

    def add_arguments(self, parser: CommandParser) -> None:
        """What may be said on the command line."""
        parser.add_argument("symbols", nargs="+")
        parser.add_argument("--database", type=Path, default=Path("market.db"))
        parser.add_argument("--seconds", type=float)
        parser.add_argument("--ws-url")
        parser.add_argument("--rest-url")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the collection on a loop of its own."""
        anyio.run(self.collect, options)

    async def collect(self, options: dict[str, Any]) -> None:
        """Collect, and say what there is at the end.

        Raises:
            CommandError: a collector did not start.
        """
        params = {key: options[key] for key in ("ws_url", "rest_url") if options[key]}
        manager = CollectorManager("django", sinks=[SqliteConfig(options["database"])])
        for symbol in options["symbols"]:
            manager.add_collector(
                create_okx_collector(symbol, [DataType.TRADE], custom_params=params)
            )
        if not await manager.start():
            raise CommandError(f"did not start: {manager.get_failed_collectors()}")
        try:
            if options["seconds"] is None:
                # Until Ctrl-C.
                await anyio.sleep_forever()
            await anyio.sleep(options["seconds"])
        finally:
            received = manager.get_status()["statistics"]["messages_received"]
            with anyio.CancelScope(shield=True):
                # Bounded by the manager's own deadlines.
                await manager.stop()
            self.stdout.write(f"{received} messages received")
