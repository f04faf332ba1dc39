"""A session's hooks are checked by pluggy's rules and bound to plain calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pluggy
import pytest

from tapeline.clock import Now
from tapeline.errors import ContractError
from tapeline.hookspecs import (
    PROJECT,
    ExchangeSession,
    Parsed,
    SessionBase,
    hookimpl,
)
from tapeline.model import (
    Action,
    Dial,
    Fetch,
    Malformed,
    Recovery,
    Response,
    SessionHealth,
    Subscription,
    Tick,
)
from tapeline.plugins import bind_session, check_wrapper
from tapeline.plugins.binding import MANDATORY_HOOKS, SESSION_HOOKS

NOW = Now(1, 2, 3)

CALLS: dict[str, tuple[Any, ...]] = {
    "connect": (NOW, None),
    "subscribe": ((), NOW),
    "parse": ("frame", 5),
    "health": (NOW,),
    "opened": (NOW,),
    "unsubscribe": ((), NOW),
    "resync": (None, NOW),
    "respond": (None, NOW),
    "tick": (NOW,),
    "closed": (1000, "bye"),
}


class Session(SessionBase):
    """The least that an adapter writes."""

    @hookimpl
    def connect(self, now: Now, prior: Response | None) -> Dial | Fetch:
        return Dial("ws://localhost")

    @hookimpl
    def subscribe(self, wanted: Sequence[Subscription], now: Now) -> Sequence[Action]:
        return ()

    @hookimpl
    def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
        return [Malformed(f"at {received_ns}", str(frame))]

    @hookimpl
    def health(self, now: Now) -> SessionHealth:
        return SessionHealth(issues=[str(now.wall_ns)])


class Marker:
    """A wrapper of each hook that notes what goes in and hands out another result."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl(wrapper=True)
    def connect(self, now: Now, prior: Response | None) -> Generator[None, Any, Any]:
        return self._mark("connect", (yield))

    @hookimpl(wrapper=True)
    def subscribe(
        self, wanted: Sequence[Subscription], now: Now
    ) -> Generator[None, Any, Any]:
        return self._mark("subscribe", (yield))

    @hookimpl(wrapper=True)
    def parse(self, frame: str | bytes, received_ns: int) -> Generator[None, Any, Any]:
        return self._mark(f"parse {frame!r} {received_ns}", (yield))

    @hookimpl(wrapper=True)
    def health(self, now: Now) -> Generator[None, Any, Any]:
        return self._mark("health", (yield))

    def _mark(self, what: str, result: Any) -> Any:
        self.seen.append(what)
        return ("wrapped", result)


def test_the_session_hooks_are_pluggy_hook_specifications() -> None:
    """connect, subscribe, parse and health, each answering for one session."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(ExchangeSession)
    for name in ("connect", "subscribe", "parse", "health"):
        hook: pluggy.HookCaller = getattr(manager.hook, name)
        assert hook.has_spec()
        assert hook.spec is not None
        assert hook.spec.opts["firstresult"]
        assert tuple(hook.spec.argnames) == SESSION_HOOKS[name]
    assert MANDATORY_HOOKS == ("connect", "subscribe", "parse", "health")
    assert set(SESSION_HOOKS) == set(CALLS)


@pytest.mark.parametrize("name", MANDATORY_HOOKS)
def test_a_wrapper_intercepts_each_mandatory_hook(name: str) -> None:
    session, marker = Session(), Marker()
    plain = getattr(session, name)(*CALLS[name])
    bound = bind_session(session, [marker])
    assert getattr(bound, name)(*CALLS[name]) == ("wrapped", plain)
    assert marker.seen == ["parse 'frame' 5" if name == "parse" else name]


@pytest.mark.parametrize("name", SESSION_HOOKS)
def test_without_a_wrapper_the_plain_bound_method_is_bound(name: str) -> None:
    session = Session()
    bound = bind_session(session)
    assert getattr(bound, name) == getattr(session, name)
    assert inspect.ismethod(getattr(bound, name))
    assert bound.session is session


def test_a_wrapper_of_one_hook_leaves_the_others_plain() -> None:
    class Slow:
        @hookimpl(wrapper=True)
        def health(self, now: Now) -> Generator[None, Any, Any]:
            return (yield)

    session = Session()
    bound = bind_session(session, [Slow()])
    assert bound.parse == session.parse
    assert not inspect.ismethod(bound.health)
    assert bound.health(NOW) == session.health(NOW)


def test_wrappers_stand_around_each_other_first_one_outermost() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl(wrapper=True)
        def tick(self) -> Generator[None, Any, Any]:
            return (self.name, (yield))

    bound: Any = bind_session(Session(), [Named("outer"), Named("inner")])
    assert bound.tick(NOW) == ("outer", ("inner", Tick()))


def test_what_a_wrapper_raises_reaches_the_caller() -> None:
    """So a fault injector can be written."""

    class Faulty:
        @hookimpl(wrapper=True)
        def parse(self, frame: str | bytes) -> Generator[None, Any, Any]:
            yield
            raise RuntimeError("injected")

    bound = bind_session(Session(), [Faulty()])
    with pytest.raises(RuntimeError, match="injected"):
        bound.parse("frame", 5)


def test_each_connection_binds_a_session_of_its_own() -> None:
    first, second, marker = Session(), Session(), Marker()
    assert bind_session(first).parse == first.parse
    assert bind_session(second).parse == second.parse
    assert bind_session(first).parse == first.parse
    for _ in range(2):
        assert bind_session(second, [marker]).session is second


def test_a_hook_left_out_gets_its_default() -> None:
    """A session need not be a ``SessionBase``, wrapped or not."""

    class Lean:
        connect = Session.connect
        subscribe = Session.subscribe
        parse = Session.parse
        health = Session.health

    class Around:
        @hookimpl(wrapper=True)
        def closed(self) -> Generator[None, Any, Any]:
            return [(yield)]

    lean: Any = Lean()
    assert bind_session(lean).closed(1000, "") is Recovery.RETRY
    bound: Any = bind_session(lean, [Around()])
    assert bound.closed(1000, "") == [Recovery.RETRY]
    assert bound.tick(NOW) == Tick()


def test_binding_never_evaluates_a_property_of_the_session() -> None:
    class Rich(Session):
        @property
        def costly(self) -> int:
            raise AssertionError("evaluated")

    assert bind_session(Rich()).health(NOW).ok
    assert bind_session(Rich(), [Marker()]).session is not None


def _without(name: str) -> type:
    """``Session`` without method *name*."""
    methods = {n: v for n, v in vars(Session).items() if not n.startswith("__")}
    del methods[name]
    return type("Partial", (SessionBase,), methods)


def _with(name: str, method: Callable[..., object]) -> type:
    """``Session`` with another method *name*."""
    return type("Other", (Session,), {name: method})


@pytest.mark.parametrize("name", MANDATORY_HOOKS)
def test_a_missing_mandatory_hook_is_refused(name: str) -> None:
    expected = rf"hook '{name}' expects a method {name}\(.*\), found none"
    with pytest.raises(ContractError, match=expected):
        bind_session(_without(name)())


def test_a_misspelt_hook_is_refused_with_a_suggestion() -> None:
    class Misspelt(Session):
        @hookimpl
        def unsubscibe(self, unwanted: object, now: Now) -> Sequence[Action]:
            return ()

    with pytest.raises(ContractError, match="did you mean 'unsubscribe'"):
        bind_session(Misspelt())


def test_a_misspelt_mandatory_hook_without_mark_is_suggested() -> None:
    cls = _without("parse")
    cls.prase = lambda self, frame, received_ns: ()  # type: ignore[attr-defined]
    with pytest.raises(ContractError, match=r"hook 'parse' .*; did you mean 'prase'"):
        bind_session(cls())


def test_a_hook_without_mark_is_refused() -> None:
    def tick(self: object, now: Now) -> Tick:
        return Tick()

    expected = "hook 'tick' expects the mark @hookimpl, found none"
    with pytest.raises(ContractError, match=expected):
        bind_session(_with("tick", tick)())


def _shortened(self, now): ...  # type: ignore[no-untyped-def]
def _renamed(self, now, before): ...  # type: ignore[no-untyped-def]
def _swapped(self, prior, now): ...  # type: ignore[no-untyped-def]
def _longer(self, now, prior, more): ...  # type: ignore[no-untyped-def]
def _defaulted(self, now, prior=None): ...  # type: ignore[no-untyped-def]
def _keyword(self, now, *, prior): ...  # type: ignore[no-untyped-def]
def _collecting(self, *args): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("method", "found"),
    [
        (_shortened, r"found \(now\)"),
        (_renamed, r"found \(now, before\)"),
        (_swapped, r"found \(prior, now\)"),
        (_longer, r"found \(now, prior, more\)"),
        (_defaulted, "without defaults, found one for 'prior'"),
        (_keyword, r"found \(now, prior\)"),
        (_collecting, r"found \(\*args\)"),
    ],
)
def test_other_parameters_than_the_specification_are_refused(
    method: Callable[..., object], found: str
) -> None:
    """pluggy alone takes some of these and calls them wrongly."""
    with pytest.raises(ContractError, match=f"hook 'connect' expects .*{found}"):
        bind_session(_with("connect", hookimpl(method))())


def test_an_asynchronous_or_generator_hook_is_refused() -> None:
    async def waits(self: object, now: Now) -> Tick:
        return Tick()

    def yields(self: object, now: Now) -> Generator[Tick]:
        yield Tick()

    with pytest.raises(ContractError, match="found an async one"):
        bind_session(_with("tick", hookimpl(waits))())
    with pytest.raises(ContractError, match="found a generator"):
        bind_session(_with("tick", hookimpl(yields))())


def test_all_problems_of_a_session_are_told_at_once() -> None:
    cls = _with("tick", hookimpl(_shortened))
    cls.closed = hookimpl(_shortened)  # type: ignore[attr-defined]
    cls.connect = hookimpl(_swapped)  # type: ignore[attr-defined]
    with pytest.raises(ContractError) as caught:
        bind_session(cls())
    assert "'connect'" in str(caught.value)
    assert "'closed'" in str(caught.value)
    assert "'tick'" not in str(caught.value)


def test_two_methods_for_one_hook_are_refused() -> None:
    @hookimpl(specname="tick")
    def second(self: object, now: Now) -> Tick:
        return Tick()

    with pytest.raises(ContractError, match="hook 'tick' expects one method"):
        bind_session(_with("second", second)())


def test_a_wrapper_that_would_take_the_sessions_place_is_refused() -> None:
    class Impostor:
        @hookimpl
        def parse(self, frame: str | bytes, received_ns: int) -> Parsed:
            return ()

    with pytest.raises(ContractError, match="would take the session's place"):
        bind_session(Session(), [Impostor()])


def test_a_wrapper_that_wraps_nothing_known_is_refused() -> None:
    class Misspelt:
        @hookimpl(wrapper=True)
        def prase(self) -> Generator[None, Any, Any]:
            return (yield)

    class Foreign:
        @hookimpl(wrapper=True)
        def parse(self, text: str) -> Generator[None, Any, Any]:
            return (yield)

    with pytest.raises(ContractError, match="did you mean 'parse'"):
        check_wrapper(Misspelt())
    with pytest.raises(ContractError, match="found none"):
        check_wrapper(object())
    with pytest.raises(ContractError, match="Foreign"):
        check_wrapper(Foreign())
    assert check_wrapper(Marker()) == set(MANDATORY_HOOKS)


def test_a_call_through_pluggy_wants_every_argument() -> None:
    bound: Any = bind_session(Session(), [Marker()])
    with pytest.raises(ValueError, match="shorter"):
        bound.parse("frame")
