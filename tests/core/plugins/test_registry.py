"""The registry loads what is asked for and keeps every failure to itself."""

from __future__ import annotations

import logging
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tapeline.errors import (
    DatabaseOperationError,
    PluginError,
    UnknownExchange,
    UnknownSink,
    UsageError,
)
from tapeline.hookspecs import AdapterBase, PluginInfo, hookimpl
from tapeline.model import StatusChange
from tapeline.plugins import PluginRegistry, PluginState

CHANGE = StatusChange("sink local", "ok", "failed", "the disk is full", 1)

ENVIRON = {"TAPELINE_PLUGINS": "none-of-the-installed"}


class Exchange(AdapterBase):
    """An exchange with the shape of one."""

    config = dict
    capabilities: Any = None

    def __init__(self, name: str) -> None:
        self.name = name

    def instruments(self, config: Any, market: str) -> Any: ...

    def read_instruments(self, response: Any) -> Any: ...

    def route(self, config: Any, instrument: Any, subscription: Any) -> Any: ...

    def session(self, config: Any, instruments: Any, route: Any) -> Any: ...

    def classify(self, response: Any) -> Any: ...


class Sink:
    """A sink whose databases are addresses of one scheme."""

    config: Any = dict
    promise = "durable"
    accepts: Sequence[str] | None = None

    def __init__(self, name: str, scheme: str = "", default: bool = False) -> None:
        self.name = name
        self.scheme = scheme
        self.default = default

    def sink(self, config: Any, context: Any) -> Any: ...

    def open_reader(self, url: str) -> Any:
        if self.scheme and url.startswith(self.scheme):
            return f"reader of {self.name}"
        return None


class Plugin:
    """A plugin given as an object."""

    def __init__(
        self,
        name: str,
        exchanges: Sequence[object] = (),
        sinks: Sequence[object] = (),
        wrappers: Sequence[object] = (),
    ) -> None:
        self.name = name
        self.exchanges = exchanges
        self.sinks = sinks
        self.wrappers = wrappers
        self.told: list[StatusChange] = []

    @property
    def costly(self) -> object:
        raise AssertionError("evaluated")

    @hookimpl
    def tapeline_plugin_info(self) -> PluginInfo:
        return PluginInfo(self.name, (1, 0), f"plugin {self.name}")

    @hookimpl
    def tapeline_exchanges(self) -> Sequence[object]:
        return self.exchanges

    @hookimpl
    def tapeline_sinks(self) -> Sequence[object]:
        return self.sinks

    @hookimpl
    def tapeline_session_wrappers(self) -> Sequence[object]:
        return self.wrappers

    @hookimpl
    def tapeline_status_changed(self, change: StatusChange) -> None:
        self.told.append(change)


class Tracer:
    """A session wrapper."""

    @hookimpl(wrapper=True)
    def health(self) -> Any:
        return (yield)


def _registry(*plugins: Any) -> PluginRegistry:
    return PluginRegistry(ENVIRON, {plugin.name: plugin for plugin in plugins})


def _acme() -> Plugin:
    return Plugin(
        "acme",
        [Exchange("acme"), Exchange("acme.futures")],
        [Sink("acme", "acme://", default=True), Sink("acme.cold", "cold://")],
        [Tracer()],
    )


def test_a_plugin_given_by_code_is_loaded_when_asked_for() -> None:
    registry = _registry(_acme())
    before, *_ = [r for r in registry.records() if r.name == "acme"]
    assert before.state is PluginState.UNUSED
    assert registry.exchange("acme.futures").name == "acme.futures"
    assert registry.sink("acme.cold").name == "acme.cold"
    record = registry.load("acme")
    assert record.state is PluginState.ACTIVE
    assert record.distribution is None
    assert record.as_dict() == {
        "name": "acme",
        "distribution": None,
        "version": None,
        "api": "1.0",
        "state": "active",
        "reason": "",
        "exchanges": ["acme", "acme.futures"],
        "sinks": ["acme", "acme.cold"],
        "services": [],
        "hooks": [
            "tapeline_plugin_info",
            "tapeline_exchanges",
            "tapeline_sinks",
            "tapeline_session_wrappers",
            "tapeline_status_changed",
        ],
        "summary": "plugin acme",
    }


def test_a_module_can_be_given_as_a_plugin() -> None:
    module = types.ModuleType("acme_plugin")
    module.tapeline_plugin_info = hookimpl(  # type: ignore[attr-defined]
        lambda: PluginInfo("acme", (1, 0), "")
    )
    record = PluginRegistry(ENVIRON, {"acme": module}).load("acme")
    assert record.state is PluginState.ACTIVE, record.reason
    assert record.module == "acme_plugin"


def test_a_plugin_is_loaded_once() -> None:
    plugin = _acme()
    registry = _registry(plugin)
    first = registry.load("acme")
    plugin.exchanges = ()
    assert registry.load("acme") is first
    assert registry.exchange("acme") is first.exchanges[0]


def test_an_unknown_exchange_or_sink_is_named_with_a_suggestion() -> None:
    registry = _registry(_acme(), Plugin("other"))
    with pytest.raises(UnknownExchange, match="did you mean 'acme'"):
        registry.exchange("acne")
    with pytest.raises(UnknownExchange, match=r"did you mean 'acme\.futures'"):
        registry.exchange("acme.future")
    with pytest.raises(UnknownExchange, match="found 'other'"):
        registry.exchange("other")
    with pytest.raises(UnknownSink, match="did you mean 'acme'"):
        registry.sink("acmee")
    with pytest.raises(UsageError, match="expected an installed plugin"):
        registry.load("nobody")


def test_a_plugin_that_is_not_active_is_not_used() -> None:
    broken = Plugin("broken", [Exchange("somebody-else")])
    registry = _registry(broken, _acme())
    with pytest.raises(PluginError, match="plugin 'broken' is invalid: expected excha"):
        registry.exchange("broken.spot")
    with pytest.raises(PluginError, match="plugin 'broken' is invalid"):
        registry.sink("broken")
    assert set(registry.exchanges()) == {"acme", "acme.futures"}
    assert set(registry.sinks()) == {"acme", "acme.cold"}


def test_a_class_is_no_plugin() -> None:
    record = PluginRegistry(ENVIRON, {"acme": Plugin}).load("acme")
    assert record.state is PluginState.INVALID
    assert "found the class" in record.reason


def test_the_default_sink_is_the_one_that_says_so() -> None:
    sink = _registry(_acme(), Plugin("other", sinks=[Sink("other")])).default_sink()
    assert sink is not None
    assert sink.name == "acme"
    assert _registry(Plugin("other")).default_sink() is None
    two = _registry(_acme(), Plugin("other", sinks=[Sink("other", default=True)]))
    with pytest.raises(UsageError, match="found acme and other; name the sink"):
        two.default_sink()


def test_the_sink_that_knows_an_address_opens_it() -> None:
    registry = _registry(_acme(), Plugin("other", sinks=[Sink("other", "other://")]))
    opened: list[Any] = [registry.open_reader("cold://x")]
    opened.append(registry.open_reader("other://x"))
    assert opened == ["reader of acme.cold", "reader of other"]


@pytest.mark.parametrize(
    ("url", "extra"),
    [
        ("data/market.db", "start"),
        ("sqlite:///market.db", "sqlite"),
        ("postgresql+asyncpg://me:secret@host/db", "postgres"),
        ("redis://:secret@host", "redis"),
    ],
)
def test_an_unreadable_database_says_what_to_install(url: str, extra: str) -> None:
    """Without showing an address, which may hold a password."""
    with pytest.raises(UsageError) as caught:
        _registry(_acme()).open_reader(url)
    assert f"pip install 'tapeline[{extra}]'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_address_that_no_extra_is_for_says_what_kind_of_sink_to_install() -> None:
    with pytest.raises(UsageError, match=r"mongodb://…; install a sink that reads it$"):
        _registry(_acme()).open_reader("mongodb://me:secret@host")


def test_the_sink_that_stores_at_an_address_gives_its_options() -> None:
    class Storing(Sink):
        def options_for(self, url: str) -> Any:
            return {"place": url} if url.startswith(self.scheme) else None

    registry = _registry(
        Plugin("aaa", sinks=[Storing("aaa", "")]),
        Plugin("bbb", sinks=[Storing("bbb", "", default=True)]),
        Plugin("ccc", sinks=[Sink("ccc", "other://")]),
    )
    sink, options = registry.sink_for("data/market.db")
    assert (sink.name, options) == ("bbb", {"place": "data/market.db"})
    with pytest.raises(UsageError, match=r"sink can write, found an address ccc://…"):
        _registry(Plugin("ccc", sinks=[Sink("ccc", "ccc://")])).sink_for("ccc://pw@x")


def test_a_sink_that_breaks_on_an_address_to_store_at_is_named() -> None:
    class Broken(Sink):
        def options_for(self, url: str) -> Any:
            raise RuntimeError(f"cannot use {url}")

    broken = _registry(Plugin("aaa", sinks=[Broken("aaa")]))
    with pytest.raises(PluginError, match="'aaa' raised RuntimeError") as caught:
        broken.sink_for("x://me:secret@host")
    assert "secret" not in str(caught.value)


def test_a_sink_that_breaks_on_an_address_leaves_it_to_the_next() -> None:
    class Broken(Sink):
        def open_reader(self, url: str) -> Any:
            raise RuntimeError(f"cannot read {url}")

    broken = Plugin("aaa", sinks=[Broken("aaa")])
    opened: Any = _registry(broken, _acme()).open_reader("acme://x")
    assert opened == "reader of acme"
    with pytest.raises(PluginError, match="'aaa' raised RuntimeError") as caught:
        _registry(broken).open_reader("x://me:secret@host")
    assert "secret" not in str(caught.value)


def test_a_sink_that_knows_the_database_but_cannot_read_it_says_so() -> None:
    class Corrupt(Sink):
        def open_reader(self, url: str) -> Any:
            raise DatabaseOperationError("open", "trades", "file is not a database")

    with pytest.raises(DatabaseOperationError, match="not a database"):
        _registry(Plugin("aaa", sinks=[Corrupt("aaa")]), _acme()).open_reader("x")


def test_session_wrappers_come_from_active_plugins_only() -> None:
    registry = _registry(_acme())
    assert registry.session_wrappers() == ()
    registry.load("acme")
    (wrapper,) = registry.session_wrappers()
    assert isinstance(wrapper, Tracer)
    record = _registry(Plugin("odd", wrappers=[object()])).load("odd")
    assert record.state is PluginState.INVALID
    assert "session wrapper builtins.object" in record.reason


def test_an_observer_that_keeps_raising_is_muted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Grumpy(Plugin):
        calls = 0

        @hookimpl
        def tapeline_status_changed(self, change: StatusChange) -> None:
            self.calls += 1
            raise RuntimeError("leave me alone")

    grumpy, acme, unused = Grumpy("grumpy"), _acme(), Plugin("unused")
    registry = _registry(grumpy, acme, unused)
    registry.load("grumpy")
    registry.load("acme")
    with caplog.at_level(logging.WARNING, "tapeline.plugins"):
        for _ in range(5):
            registry.notify_status(CHANGE)
    assert grumpy.calls == 3
    assert acme.told == [CHANGE] * 5
    assert unused.told == []
    assert len(caplog.records) == 3
    assert "plugin grumpy raised RuntimeError" in caplog.messages[0]
    assert caplog.messages[2].endswith("muted after 3 failures")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"promise": "maybe"}, "expects a promise out of durable live, found 'maybe'"),
        ({"accepts": "trade"}, "expects a sequence of data types or None in accepts"),
        ({"config": {}}, "expects a class as config, found {}"),
        ({"name": 7}, "expected sink objects with a name, found 7"),
        ({"name": "acme."}, "expected sink names 'acme' or 'acme.…', found 'acme.'"),
        ({"sink": None}, "expects a method sink(config, context), found none"),
        ({"sink": lambda config: None}, "expects a method sink(config, context)"),
        ({"open_reader": lambda *urls: None}, ""),
    ],
)
def test_an_offered_sink_must_have_the_shape_of_one(
    values: dict[str, Any], reason: str
) -> None:
    sink = Sink("acme")
    for name, value in values.items():
        setattr(sink, name, value)
    record = _registry(Plugin("acme", sinks=[sink])).load("acme")
    assert reason in record.reason
    assert (record.state is PluginState.ACTIVE) == (not reason)


def test_what_is_offered_may_raise_while_it_is_checked() -> None:
    class Hostile(Sink):
        @property
        def accepts(self) -> Any:  # type: ignore[override]
            raise SystemExit(1)

    record = _registry(Plugin("acme", sinks=[Hostile("acme")])).load("acme")
    assert record.state is PluginState.INVALID
    assert "what it offers raised SystemExit: 1 while checked" in record.reason
    assert "SystemExit" in record.traceback


def test_even_what_cannot_be_shown_is_isolated() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    class Odd(Plugin):
        @hookimpl
        def tapeline_plugin_info(self) -> Any:
            return Unspeakable()

    record = _registry(Odd("odd")).load("odd")
    assert record.state is PluginState.INVALID
    assert "checking it raised RuntimeError: no words" in record.reason


@pytest.mark.parametrize("api", [(1,), "1.0", (1, -1), (True, 0), None, [1, 0]])
def test_an_api_that_is_no_version_is_invalid(api: Any) -> None:
    class Odd(Plugin):
        @hookimpl
        def tapeline_plugin_info(self) -> PluginInfo:
            return PluginInfo("odd", api, "")

    record = _registry(Odd("odd")).load("odd")
    assert record.state is PluginState.INVALID
    assert "expected PluginInfo.api (major, minor)" in record.reason


def test_a_hook_for_a_later_core_may_be_marked_optional() -> None:
    class Early(Plugin):
        @hookimpl(optionalhook=True)
        def tapeline_not_yet(self, anything: object) -> None: ...

    record = _registry(Early("early")).load("early")
    assert record.state is PluginState.ACTIVE, record.reason


def test_interrupting_a_load_is_not_swallowed() -> None:
    class Interrupted(Plugin):
        @hookimpl
        def tapeline_sinks(self) -> Sequence[object]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _registry(Interrupted("acme")).load("acme")


def test_a_given_plugin_stands_in_for_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme_feeds-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-feeds\n")
    (info / "entry_points.txt").write_text("[tapeline.plugins.v1]\nacme = nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    (installed,) = [r for r in PluginRegistry({}).records() if r.name == "acme"]
    assert installed.origin == "acme-feeds of unknown version"
    registry = PluginRegistry({}, {"acme": _acme()})
    (given,) = [r for r in registry.records() if r.name == "acme"]
    assert given.distribution is None
    assert registry.load("acme").state is PluginState.ACTIVE
