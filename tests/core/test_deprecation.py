"""What will be removed is said once, in time, and with what to use instead."""

from __future__ import annotations

import logging
import pkgutil
import subprocess
import sys
import warnings

import attrs
import pluggy
import pytest

import tapeline
from tapeline.config import describe_options, structure_options
from tapeline.deprecation import Deprecation, deprecations
from tapeline.hookspecs import PROJECT, hookimpl, hookspec

OLD_KEY = Deprecation("old_key", "1.2", "1.3", "new_key")


@attrs.frozen
class Options:
    """Options of which one has another name now."""

    new_key: int = attrs.field(default=1, metadata={"description": "How many."})
    old_key: int = attrs.field(
        default=1, metadata={"description": "The same.", "deprecated": OLD_KEY}
    )


def old_call(notice: Deprecation) -> bool:
    """A public function that will go."""
    return notice.warn()


def test_the_warning_comes_once_and_blames_who_called() -> None:
    notice = Deprecation("acme.old_call", "1.2", "1.3", "acme.new_call")
    with pytest.warns(DeprecationWarning, match="use acme.new_call") as caught:
        assert old_call(notice)
    (warning,) = caught
    assert str(warning.message) == (
        "acme.old_call is deprecated since 1.2 and goes with 1.3; use acme.new_call"
    )
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not old_call(notice)


@pytest.mark.parametrize(
    ("since", "removal", "told"),
    [
        ("1.2", "1.2", "at least one minor version after 1.2"),
        ("1.2", "1.1", "at least one minor version after 1.2"),
        ("1.10", "1.9", "at least one minor version after 1.10"),
        ("1", "2", "since as MAJOR.MINOR"),
        ("1.2", "soon", "removal as MAJOR.MINOR"),
    ],
)
def test_nobody_is_left_without_a_minor_version_to_change_in(
    since: str, removal: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Deprecation("acme.thing", since, removal, "another")


def test_it_is_due_from_the_named_version_on() -> None:
    notice = Deprecation("acme.due", "0.9", "0.10", "another")
    assert [notice.is_due(v) for v in ("0.9.7", "0.10.0", "0.10", "1.0.0rc1")] == [
        False,
        True,
        True,
        True,
    ]


def test_a_key_that_will_go_works_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tapeline.config")
    with pytest.warns(DeprecationWarning, match="use new_key"):
        options, problems = structure_options(Options, {"old_key": 3}, "sinks.x", {})
    assert (options, problems) == (Options(old_key=3), [])
    assert structure_options(Options, {"old_key": 4}, "", {})[0] == Options(old_key=4)
    (record,) = caplog.records
    assert record.getMessage() == f"sinks.x.old_key: {OLD_KEY.sentence}"
    described = {key.key: key.description for key in describe_options(Options, "x")}
    assert described["old_key"] == "The same. Deprecated: goes with 1.3; use new_key."


def test_a_hook_that_will_go_warns_who_still_implements_it() -> None:
    notice = Deprecation("hook old_hook", "1.2", "1.3", "hook new_hook")

    class Specs:
        @hookspec(warn_on_impl=notice.warning())
        def old_hook(self) -> None: ...

    class Plugin:
        @hookimpl
        def old_hook(self) -> None: ...

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specs)
    with pytest.warns(DeprecationWarning, match="use hook new_hook"):
        manager.register(Plugin())


def test_nothing_that_was_promised_to_go_is_still_there() -> None:
    """In a fresh process, where no test has made notices of its own."""
    modules = [
        each.name
        for each in pkgutil.walk_packages(tapeline.__path__, "tapeline.")
        if not each.name.endswith("__main__")
    ]
    code = (
        "import importlib\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "from importlib.metadata import version\n"
        "from tapeline.deprecation import deprecations\n"
        "print([n.name for n in deprecations() if n.is_due(version('tapeline'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "[]\n"
    assert {OLD_KEY} <= set(deprecations())
