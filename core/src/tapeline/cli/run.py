"""``tapeline run``: the service in the foreground."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Annotated

import anyio
import anyio.abc
import typer

from tapeline.cli.output import FAILED, guarded, run_async, say, warn
from tapeline.cli.reporting import Reporter
from tapeline.cli.systemd import SystemdNotifier
from tapeline.collectors import CollectorManager
from tapeline.collectors.configured import build_manager
from tapeline.collectors.reloading import apply_config
from tapeline.config import TapelineConfig, load_config
from tapeline.errors import ConfigError, TapelineError
from tapeline.logs import configure_logging
from tapeline.plugins import PluginRegistry
from tapeline.runtime import current_seams, system_seams, use_seams

logger = logging.getLogger("tapeline.run")


def run(
    config: Annotated[Path, typer.Argument(help="The configuration file.")],
    duration: Annotated[
        float | None,
        typer.Option(help="Stop after so many seconds; for ever by default.", min=0.1),
    ] = None,
) -> None:
    """Collect until SIGINT or SIGTERM, then flush and end with 0.

    SIGHUP reads the file again and changes what differs in it.
    """
    registry = PluginRegistry()
    loaded = guarded(lambda: load_to_run(config, registry))
    failed = run_async(lambda: _run(loaded, registry, duration))
    if failed:
        warn(f"tapeline: {failed}")
        raise typer.Exit(FAILED)


def load_to_run(path: Path, registry: PluginRegistry) -> TapelineConfig:
    """The configuration in *path*, with something to do in it.

    Raises:
        ConfigError: it cannot be used, or no collector in it is enabled.
    """
    config = load_config(path, registry, os.environ)
    if not any(section.enabled for section in config.collectors.values()):
        names = ", ".join(config.collectors)
        found = f"found only disabled ones ({names})" if names else "found none"
        advice = "set 'enabled = true'" if names else "write a [collectors.NAME] table"
        sentence = f"expected a collector that is enabled, {found}; {advice}"
        raise ConfigError([("collectors", sentence)], str(path))
    return config


def start_logging(config: TapelineConfig) -> None:
    """Log to the files that *config* names, and to the console."""
    runtime = config.runtime
    configure_logging(
        runtime.log_level,
        log_dir=runtime.log_dir,
        json=runtime.log_json,
        console=True,
        max_bytes=runtime.log_max_bytes,
        kept=runtime.log_files,
    )


async def _run(
    config: TapelineConfig, registry: PluginRegistry, duration: float | None
) -> str | None:
    """Collect; the sentence about what failed, None when nothing did."""
    start_logging(config)
    proxy = config.runtime.proxy
    with use_seams(system_seams(proxy.reveal() if proxy is not None else None)):
        manager = build_manager(config, registry)
    notifier = SystemdNotifier()
    if notifier.active:
        manager.beaten = notifier.beaten
    reporter: Reporter | None = None
    reason: list[str] = []
    async with anyio.create_task_group() as tasks:
        # From the beginning: a start may wait for a sink.
        tasks.start_soon(wait_for_signal, tasks.cancel_scope)
        await manager.start()
        reporter = Reporter(manager, logger)
        names = ", ".join(manager.list_collectors())
        say(f"collecting: {names}; stop with Ctrl-C")
        notifier.ready(f"collecting: {names}")
        tasks.start_soon(reporter.run)
        tasks.start_soon(_reload_on_hangup, manager, registry, config, notifier)
        if duration is not None:
            tasks.start_soon(end_after, duration, tasks.cancel_scope)
        engine = manager.engine
        if engine is not None:
            # For as long as the service runs; signals and --duration cancel it.
            await engine.wait()
            reason.append(f"the engine stopped: {engine.last_error}")
            tasks.cancel_scope.cancel()
    if reporter is None:
        with anyio.CancelScope(shield=True):
            # Bounded by the manager's own deadlines.
            await manager.stop()
        logger.info("stopped while it started")
        return None
    logger.info("%s", reporter.line())
    logger.info("stopping")
    notifier.stopping()
    await _stop(manager, reporter)
    logger.info("%s", reporter.last_line())
    return reason[0] if reason else None


async def _stop(manager: CollectorManager, reporter: Reporter) -> None:
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reporter.run_stop)
            # Bounded by the manager's own deadlines.
            await manager.stop()
            tasks.cancel_scope.cancel()


async def _reload_on_hangup(
    manager: CollectorManager,
    registry: PluginRegistry,
    config: TapelineConfig,
    notifier: SystemdNotifier,
) -> None:
    """Read the configuration again at each SIGHUP; a bad one changes nothing."""
    hangup = getattr(signal, "SIGHUP", None)
    path = config.source_path
    if hangup is None or path is None:
        return
    with anyio.open_signal_receiver(hangup) as signals:
        async for _ in signals:
            notifier.reloading(current_seams().clock.monotonic_ns())
            try:
                new = load_to_run(path, registry)
                told = await apply_config(manager, registry, config, new)
            except TapelineError as error:
                logger.error("the configuration was not read again: %s", error)
            else:
                config = new
                for sentence in told:
                    logger.info("read again: %s", sentence)
            notifier.ready(f"collecting: {', '.join(manager.list_collectors())}")


async def wait_for_signal(scope: anyio.CancelScope) -> None:
    """Cancel *scope* at the first SIGINT or SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def end_after(seconds: float, scope: anyio.CancelScope) -> None:
    """Cancel *scope* after *seconds*."""
    await anyio.sleep(seconds)
    scope.cancel()
