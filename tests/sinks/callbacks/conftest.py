"""Functions to call, in modules that exist only during a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tapeline.hookspecs import SinkContext
from tapeline_callbacks import CallbacksConfig, CallbacksSink


@attrs.define
class ManualClock:
    """A monotonic clock that a test moves."""

    now_ns: int = 0

    def wall_ns(self) -> int:
        """The same as the monotonic time."""
        return self.now_ns

    def monotonic_ns(self) -> int:
        """What the test set."""
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.now_ns += int(seconds * 10**9)


@pytest.fixture
def clock() -> ManualClock:
    """The clock of a test."""
    return ManualClock()


@pytest.fixture
def write_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, str], None]]:
    """Writes a module that can be imported until the test ends."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def write(name: str, text: str) -> None:
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        names.append(name.partition(".")[0])

    yield write
    for loaded in list(sys.modules):
        if loaded.partition(".")[0] in names:
            del sys.modules[loaded]


@pytest.fixture
def make_sink(context: SinkContext, clock: ManualClock) -> Callable[..., CallbacksSink]:
    """Makes sinks with the test's clock."""

    def make(target: str, **filters: tuple[str, ...]) -> CallbacksSink:
        config = CallbacksConfig(target, **filters)
        return CallbacksSink(config, attrs.evolve(context, clock=clock))

    return make
