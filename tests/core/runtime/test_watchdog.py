"""A blocked loop is noticed from outside, and who blocks it is named."""

from __future__ import annotations

import importlib.util
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from tapeline import TapelineError
from tapeline.clock import SystemClock
from tapeline.runtime import Watchdog, WatchdogSettings, find_blocker

pytestmark = pytest.mark.anyio

CLOSE = WatchdogSettings(look_s=0.02, told_s=0.1, dump_s=0.3)
SLEEPER = """
import time

def busy(seconds):
    time.sleep(seconds)
"""


def _module(folder: Path, name: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(SLEEPER, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def watch() -> Iterator[Callable[..., Watchdog]]:
    """Watch the running loop until the test has ended."""
    dogs: list[Watchdog] = []

    def begin(**options: object) -> Watchdog:
        dog = Watchdog(SystemClock(), CLOSE, **options)  # type: ignore[arg-type]
        dog.start()
        dogs.append(dog)
        return dog

    yield begin
    for dog in dogs:
        dog.stop()


async def test_a_loop_that_turns_is_left_alone(watch: Callable[..., Watchdog]) -> None:
    dog = watch()
    await anyio.sleep(0.3)
    assert dog.blocked == 0
    assert dog.blocker is None
    assert 0 < dog.lag_s < 0.1


async def test_a_blocked_loop_is_told_of_with_the_function_that_blocks(
    watch: Callable[..., Watchdog], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    busy = _module(tmp_path, "my_alerts").busy
    dog = watch()
    await anyio.sleep(0.1)
    busy(0.5)
    await anyio.sleep(0.1)

    assert dog.blocked == 1
    assert dog.blocker is not None
    assert dog.blocker.component == "my_alerts"
    assert dog.blocker.where.endswith("my_alerts.py:5 in busy")
    assert dog.lag_s >= 0.4
    told = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1
    assert "blocked for" in told[0].getMessage()
    dumped = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(dumped) == 1
    assert "thread MainThread" in dumped[0].getMessage()


async def test_a_plugin_is_named_as_one(
    watch: Callable[..., Watchdog], tmp_path: Path
) -> None:
    busy = _module(tmp_path, "tapeline_acme").busy
    dog = watch()
    await anyio.sleep(0.1)
    busy(0.3)
    assert dog.blocker is not None
    assert dog.blocker.component == "plugin tapeline_acme"


async def test_the_worst_lag_is_forgotten_after_the_window() -> None:
    settings = WatchdogSettings(look_s=0.02, told_s=5.0, window_s=0.3)
    dog = Watchdog(SystemClock(), settings)
    dog.start()
    try:
        await anyio.sleep(0.1)
        time.sleep(0.2)  # noqa: ASYNC251 - blocking is the point
        await anyio.sleep(0.1)
        worst_s = dog.lag_s
        await anyio.sleep(0.5)
        later_s = dog.lag_s
    finally:
        dog.stop()
    assert worst_s >= 0.15
    assert later_s < worst_s


async def test_a_service_manager_hears_how_long_the_loop_has_stood() -> None:
    heard: list[float] = []
    dog = Watchdog(SystemClock(), CLOSE, heard.append)
    dog.start()
    try:
        await anyio.sleep(0.2)
        time.sleep(0.3)  # noqa: ASYNC251 - blocking is the point
        await anyio.sleep(0.1)
    finally:
        dog.stop()
    assert heard[0] == 0.0
    assert max(heard) >= 0.2


async def test_it_starts_once_and_stops_twice() -> None:
    dog = Watchdog(SystemClock(), CLOSE)
    dog.start()
    with pytest.raises(TapelineError, match="at rest"):
        dog.start()
    dog.stop()
    dog.stop()
    dog.start()
    dog.stop()


def test_core_itself_is_named_when_nobody_else_is_on_the_way() -> None:
    blocker = find_blocker(sys._getframe())
    assert blocker.where.endswith(
        "in test_core_itself_is_named_when_nobody_else_is_on_the_way"
    )
