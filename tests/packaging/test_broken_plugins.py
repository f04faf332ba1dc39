"""Broken plugins, installed from wheels, are named and touch no other plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

GOOD = """
from tapeline.hookspecs import SessionBase
from tapeline.model import Capabilities, Outcome


class Exchange(AdapterBase):
    config = dict
    capabilities = None

    def __init__(self, name):
        self.name = name

    def instruments(self, config, market): ...
    def read_instruments(self, response): ...
    def route(self, config, instrument, subscription): ...
    def session(self, config, instruments, route): ...
    def classify(self, response): ...


class Sink:
    name = "good.files"
    config = dict
    promise = "durable"
    accepts = None
    default = False

    def sink(self, config, context): ...
    def open_reader(self, url): ...


@hookimpl
def tapeline_exchanges():
    return (Exchange("good"), Exchange("good.futures"))


@hookimpl
def tapeline_sinks():
    return [Sink()]
"""

TWICE = GOOD.replace('Exchange("good.futures")', 'Exchange("good")')

MISSING_METHOD = GOOD.replace("def session(", "def sesion(")

FOREIGN_NAME = """
class Exchange:
    name = "good"


@hookimpl
def tapeline_exchanges():
    return (Exchange(),)
"""

# name → what differs from a good plugin, state, what the reason says
BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "raises": (
        {"head": "raise RuntimeError('no such luck')"},
        "import-failed",
        "importing acme_raises_plugin raised RuntimeError: no such luck",
    ),
    "syntax": (
        {"head": "def broken(:"},
        "import-failed",
        "importing acme_syntax_plugin raised SyntaxError",
    ),
    "needs-module": (
        {"head": "import a_module_that_nobody_has"},
        "import-failed",
        "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    ),
    "exits": (
        {"head": "import sys; sys.exit(3)"},
        "import-failed",
        "importing acme_exits_plugin called sys.exit(3)",
    ),
    "exits-late": (
        {"body": "@hookimpl\ndef tapeline_sinks():\n    raise SystemExit(4)\n"},
        "invalid",
        "hook 'tapeline_sinks' raised SystemExit: 4",
    ),
    "misspelt": (
        {"body": "@hookimpl\ndef tapeline_exchange():\n    return ()\n"},
        "invalid",
        "'tapeline_exchange' is not a hook of this core; did you mean",
    ),
    "misspelt-unmarked": (
        {"body": "def tapeline_sink():\n    return ()\n"},
        "invalid",
        "'tapeline_sink' is not a hook of this core; did you mean 'tapeline_sinks'?",
    ),
    "unmarked": (
        {"body": "def tapeline_sinks():\n    return ()\n"},
        "invalid",
        "hook 'tapeline_sinks' expects the mark @hookimpl, found none",
    ),
    "no-info": (
        {"info": "pass"},
        "invalid",
        "hook 'tapeline_plugin_info' is missing, every plugin must implement it",
    ),
    "misspelt-info": (
        {"info": "@hookimpl\ndef tapeline_plugin_infos():\n    ...\n"},
        "invalid",
        "did you mean 'tapeline_plugin_info'?",
    ),
    "other-name": (
        {
            "info": "@hookimpl\ndef tapeline_plugin_info():\n"
            "    return PluginInfo('somebody', (1, 0), '')\n"
        },
        "invalid",
        "expected PluginInfo.name 'other-name', found 'somebody'",
    ),
    "wrong-argument": (
        {"body": "@hookimpl\ndef tapeline_status_changed(status): ...\n"},
        "invalid",
        "hook 'tapeline_status_changed' expects parameters (change), found (status)",
    ),
    "left-out-argument": (
        {"body": "@hookimpl\ndef tapeline_status_changed(): ...\n"},
        "invalid",
        "hook 'tapeline_status_changed' expects parameters (change), found ()",
    ),
    "default-argument": (
        {"body": "@hookimpl\ndef tapeline_status_changed(change=None): ...\n"},
        "invalid",
        "hook 'tapeline_status_changed' expects parameters without defaults",
    ),
    "async-hook": (
        {"body": "@hookimpl\nasync def tapeline_sinks():\n    return ()\n"},
        "invalid",
        "hook 'tapeline_sinks' expects a plain function, found an async one",
    ),
    "hook-raises": (
        {"body": "@hookimpl\ndef tapeline_sinks():\n    return 1 / 0\n"},
        "invalid",
        "hook 'tapeline_sinks' raised ZeroDivisionError: division by zero",
    ),
    "returns-nothing": (
        {"body": "@hookimpl\ndef tapeline_sinks():\n    ()\n"},
        "invalid",
        "hook 'tapeline_sinks' expects a sequence to return, found None",
    ),
    "too-new": (
        {"api": (1, 99), "body": "@hookimpl\ndef tapeline_later(): ...\n"},
        "incompatible",
        "needs plugin API 1.99, this core speaks 1.0; upgrade tapeline",
    ),
    "other-major": (
        {"api": (0, 1)},
        "incompatible",
        "needs plugin API 0.1, this core speaks 1.0; upgrade the plugin",
    ),
    "other-group": (
        {"group": "tapeline.plugins.v2"},
        "incompatible",
        "acme-other-group 1.2.3 expects a core that reads tapeline.plugins.v2",
    ),
    "needs-later-core": (
        {"requires": ["tapeline>=99"]},
        "incompatible",
        "acme-needs-later-core 1.2.3 requires tapeline>=99, found tapeline ",
    ),
    "needs-other": (
        {"requires": ["tapeline", "acme-nowhere>=2"]},
        "incompatible",
        "acme-needs-other 1.2.3 requires acme-nowhere>=2, found none",
    ),
    "twice": (
        {"body": TWICE.replace('"good', '"twice')},
        "invalid",
        "exchange 'twice' is offered twice",
    ),
    "short": (
        {"body": MISSING_METHOD.replace('"good', '"short')},
        "invalid",
        "a method session(config, instruments, route), found none; did you mean 'sesi",
    ),
    "foreign": (
        {"body": FOREIGN_NAME},
        "invalid",
        "expected exchange names 'foreign' or 'foreign.…', found 'good'",
    ),
    "bad.name": (
        {},
        "invalid",
        "expected a plugin name of letters, digits, '-' and '_', found 'bad.name'",
    ),
}

LOAD_ALL = """
import json, sys
from tapeline.plugins import PluginRegistry
registry = PluginRegistry()
before = [str(record.state) for record in registry.records()]
registry.load_all()
print(json.dumps({
    "before": before,
    "records": [record.as_dict() for record in registry.records()],
    "tracebacks": {r.name: r.traceback for r in registry.records()},
    "modules": [name for name in sys.modules if name.startswith("acme")],
    "exchanges": sorted(registry.exchanges()),
    "sinks": sorted(registry.sinks()),
}))
"""


@pytest.fixture(scope="session")
def site(wheel: Any, install: Callable[..., Any]) -> Any:
    """One good plugin among all the broken ones."""
    optional = ["tapeline>=0.1", "acme-nowhere>=2; extra == 'more'"]
    specs = [wheel("good", GOOD, requires=optional)]
    for name, (differs, _, _) in BROKEN.items():
        specs.append(
            wheel(name, distribution=f"acme-{name.replace('.', '-')}", **differs)
        )
    specs += [wheel("dup", distribution=name) for name in ("alpha-dup", "beta-dup")]
    return install(specs)


@pytest.fixture(scope="session")
def loaded(site: Any) -> Any:
    """What loading everything gave."""
    return site.run(LOAD_ALL)


def _records(loaded: Any, name: str) -> list[dict[str, Any]]:
    return [record for record in loaded["records"] if record["name"] == name]


def test_the_good_plugin_is_active_among_all_the_broken_ones(loaded: Any) -> None:
    """Its record tells everything that ``tapeline plugins --json`` shows."""
    expected = {
        "name": "good",
        "distribution": "acme-good",
        "version": "1.2.3",
        "api": "1.0",
        "state": "active",
        "reason": "",
        "exchanges": ["good", "good.futures"],
        "sinks": ["good.files"],
        "services": [],
        "hooks": ["tapeline_plugin_info", "tapeline_exchanges", "tapeline_sinks"],
        "summary": "a test plugin",
    }
    assert [expected] == _records(loaded, "good")
    assert {"good", "good.futures"} <= set(loaded["exchanges"])
    assert "good.files" in loaded["sinks"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_its_state_and_reason(
    loaded: Any, name: str
) -> None:
    _, state, reason = BROKEN[name]
    (record,) = _records(loaded, name)
    assert state == record["state"], record["reason"]
    assert reason in record["reason"]
    assert record["distribution"] == f"acme-{name.replace('.', '-')}"
    assert not record["exchanges"]
    assert not record["sinks"]


def test_two_distributions_with_one_plugin_name_are_both_invalid(loaded: Any) -> None:
    records = _records(loaded, "dup")
    assert {r["distribution"] for r in records} == {"alpha-dup", "beta-dup"}
    for record in records:
        assert record["state"] == "invalid"
        assert "alpha-dup 1.2.3 and beta-dup 1.2.3" in record["reason"]


def test_what_a_plugin_raised_is_kept_as_a_traceback(loaded: Any) -> None:
    assert "no such luck" in loaded["tracebacks"]["raises"]
    assert "return 1 / 0" in loaded["tracebacks"]["hook-raises"]
    assert loaded["tracebacks"]["good"] == ""


@pytest.mark.parametrize(
    "name", ["needs-later-core", "needs-other", "other-group", "bad.name"]
)
def test_a_plugin_that_metadata_rules_out_is_never_imported(
    loaded: Any, name: str
) -> None:
    module = f"acme_{name.replace('-', '_').replace('.', '_')}_plugin"
    assert module not in loaded["modules"]
    assert "acme_good_plugin" in loaded["modules"]


def test_nothing_is_imported_by_looking_only(loaded: Any) -> None:
    assert set(loaded["before"]) == {"unused", "incompatible", "invalid"}


def test_using_one_plugin_imports_no_other(site: Any) -> None:
    result = site.run(
        """
import json, sys
from tapeline.plugins import PluginRegistry
registry = PluginRegistry()
name = registry.exchange("good.futures").name
print(json.dumps({
    "name": name,
    "modules": [m for m in sys.modules if m.startswith(("acme", "alpha", "beta"))],
    "states": {r.name: str(r.state) for r in registry.records()},
}))
"""
    )
    assert result["name"] == "good.futures"
    assert result["modules"] == ["acme_good_plugin"]
    assert result["states"]["good"] == "active"
    assert result["states"]["raises"] == "unused"


def test_using_a_broken_plugin_gives_one_sentence(site: Any) -> None:
    result = site.run(
        """
import json
from tapeline.errors import PluginError
from tapeline.plugins import PluginRegistry
registry = PluginRegistry()
said = []
for name in ("raises", "dup.spot", "exits", "other-group"):
    try:
        registry.exchange(name)
    except PluginError as error:
        said.append(str(error))
print(json.dumps(said))
"""
    )
    raises, duplicate, exits, other = result
    assert raises == (
        "plugin 'raises' is import-failed: importing acme_raises_plugin raised "
        "RuntimeError: no such luck"
    )
    assert duplicate == (
        "plugin 'dup' is invalid: expected one distribution with a plugin named "
        "'dup', found alpha-dup 1.2.3 and beta-dup 1.2.3; uninstall all but one"
    )
    assert exits == (
        "plugin 'exits' is import-failed: importing acme_exits_plugin called "
        "sys.exit(3)"
    )
    assert other == (
        "plugin 'other-group' is incompatible: acme-other-group 1.2.3 expects a core "
        "that reads tapeline.plugins.v2, this one reads tapeline.plugins.v1; "
        "install versions that belong together"
    )


def test_the_environment_allows_and_disables_plugins(site: Any) -> None:
    code = """
import json
from tapeline.plugins import PluginRegistry
registry = PluginRegistry()
records = registry.load_all()
print(json.dumps({r.name: [str(r.state), r.reason] for r in records}))
"""
    allowed = site.run(code, TAPELINE_PLUGINS="good, misspelt")
    assert allowed["good"][0] == "active"
    assert allowed["misspelt"][0] == "invalid"
    assert allowed["raises"] == [
        "disabled",
        "not named in TAPELINE_PLUGINS (good, misspelt)",
    ]
    disabled = site.run(
        code, TAPELINE_PLUGINS="good,dup", TAPELINE_DISABLE_PLUGINS="good"
    )
    assert disabled["good"] == ["disabled", "named in TAPELINE_DISABLE_PLUGINS"]
    assert disabled["dup"][0] == "invalid"


def test_one_wheel_may_serve_two_major_versions(wheel: Any, install: Any) -> None:
    """Only the entry of this core's group counts then."""
    spec = wheel("good", GOOD)
    module = spec.module
    both = type(spec)(
        distribution=spec.distribution,
        module=module,
        source=spec.source,
        groups={
            "tapeline.plugins.v2": {"good": "acme_good_later"},
            "tapeline.plugins.v1": {"good": module},
        },
    )
    loaded = install([both]).run(LOAD_ALL)
    assert [record["state"] for record in _records(loaded, "good")] == ["active"]


def test_unreadable_metadata_hides_nobody_else(wheel: Any, install: Any) -> None:
    place = install([wheel("good", GOOD)])
    broken = place.folder / "acme_torn-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-torn\n")
    (broken / "entry_points.txt").write_text("[tapeline.plugins.v1]\nnonsense\n")
    nameless = place.folder / "acme_nameless-1.0.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text("[tapeline.plugins.v1]\nlost = os\n")
    latin = place.folder / "acme_latin-1.0.dist-info"
    latin.mkdir()
    (latin / "entry_points.txt").write_bytes(b"[tapeline.plugins.v1]\n\xff\xfe = x\n")
    loaded = place.run(LOAD_ALL)
    assert [record["state"] for record in _records(loaded, "good")] == ["active"]
    (torn,) = _records(loaded, "acme-torn")
    assert torn["state"] == "invalid"
    assert "the metadata of acme-torn of unknown version cannot be" in torn["reason"]
    (lost,) = _records(loaded, "lost")
    assert lost["distribution"] == "unnamed"
    assert lost["state"] == "invalid"


def test_the_first_copy_on_the_path_is_the_one_that_counts(
    wheel: Any, install: Any
) -> None:
    """As it is the one that is imported; an older copy behind it is no duplicate."""
    first, second = (install([wheel("good", GOOD)]) for _ in range(2))
    loaded = first.run(
        f"import sys; sys.path.append({str(second.folder)!r})" + LOAD_ALL
    )
    assert [record["state"] for record in _records(loaded, "good")] == ["active"]


def test_a_requirement_that_cannot_be_read_rules_the_plugin_out(
    wheel: Any, install: Any
) -> None:
    place = install([wheel("good", GOOD), wheel("torn")])
    metadata = place.folder / "acme_torn-1.2.3.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: no requirement !\n")
    loaded = place.run(LOAD_ALL)
    assert [record["state"] for record in _records(loaded, "good")] == ["active"]
    (torn,) = _records(loaded, "torn")
    assert torn["state"] == "incompatible"
    assert "found 'no requirement !', which cannot be read" in torn["reason"]
