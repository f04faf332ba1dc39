"""``tapeline record``: what the venues of a configuration really send, to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
import attrs
import typer

from tapeline.cli.output import guarded, run_async, say
from tapeline.cli.run import (
    end_after,
    load_to_run,
    start_logging,
    wait_for_signal,
)
from tapeline.collectors.configured import build_manager
from tapeline.config import TapelineConfig
from tapeline.errors import RecordingError
from tapeline.plugins import PluginRegistry
from tapeline.runtime import Recorder, RecorderSettings, system_seams, use_seams

_MIB = 2**20


def record(
    config: Annotated[Path, typer.Argument(help="The configuration file.")],
    out: Annotated[Path, typer.Option(help="Folder of the recordings.")],
    duration: Annotated[
        float | None,
        typer.Option(help="Stop after so many seconds; for ever by default.", min=0.1),
    ] = None,
    max_file_mib: Annotated[
        float, typer.Option(help="Begin a new file at this size, compressed.", min=0.01)
    ] = 64.0,
    max_file_s: Annotated[
        float, typer.Option(help="Begin a new file at this age.", min=1)
    ] = 3600.0,
    max_total_mib: Annotated[
        float, typer.Option(help="Remove the oldest files beyond this.", min=0.1)
    ] = 10_240.0,
    max_age_s: Annotated[
        float | None, typer.Option(help="Remove files older than this.", min=1)
    ] = None,
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="Also record what sockets of an account receive: balances and such.",
        ),
    ] = False,
) -> None:
    """Record the frames and REST answers of all collectors; nothing is stored."""
    registry = PluginRegistry()
    loaded = guarded(lambda: load_to_run(config, registry))
    settings = RecorderSettings(
        max_file_bytes=int(max_file_mib * _MIB),
        max_file_s=max_file_s,
        max_total_bytes=int(max_total_mib * _MIB),
        max_age_s=max_age_s,
        private=private,
    )
    run_async(lambda: _record(loaded, registry, out, settings, duration))


async def _record(
    config: TapelineConfig,
    registry: PluginRegistry,
    out: Path,
    settings: RecorderSettings,
    duration: float | None,
) -> None:
    start_logging(config)
    proxy = config.runtime.proxy
    seams = system_seams(proxy.reveal() if proxy is not None else None)
    recorder = Recorder(out, seams.clock, seams.executor, settings)
    with use_seams(recorder.seams(seams)):
        # Without sinks nothing is stored, so recording needs no data folder.
        without = attrs.evolve(config, sinks={})
        manager = build_manager(without, registry, embedded=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        await manager.start()
        say(f"recording to {out}; stop with Ctrl-C")
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(wait_for_signal, waiting.cancel_scope)
            if duration is not None:
                waiting.start_soon(end_after, duration, waiting.cancel_scope)
        with anyio.CancelScope(shield=True):
            # Bounded by the manager's own deadlines and one local write.
            await manager.stop()
            await recorder.aclose()
    say(f"{recorder.lines:,} lines in {recorder.files} files, {recorder.dropped} lost")
    if recorder.problem:
        raise RecordingError(str(out), None, recorder.problem)
