"""Cases about the installed distribution of a plugin."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import attrs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tapeline.hookspecs import API_VERSION, ENTRY_POINT_GROUP, PROJECT
from tapeline.plugins import PluginRegistry
from tapeline.plugins.records import PluginRecord, PluginState
from tapeline.testing.conformance.cases import Tier, case
from tapeline.testing.conformance.subjects import ExchangeUnderTest, SinkUnderTest
from tapeline.testing.conformance.verdicts import NotShown, RuleBroken

UnderTest = ExchangeUnderTest | SinkUnderTest

_IMPORT_DEADLINE_S = 60.0
_LIMITS_HEADING = re.compile(r"^#+ .*\blimits?\b.*$", re.IGNORECASE | re.MULTILINE)
_LEAST_WORDS = 10

_WATCHED_IMPORT = """
import sys
seen = []
def look(event, args):
    if event == "open":
        path, mode, flags = args
        if isinstance(mode, str) and set(mode) & set("wax+"):
            seen.append(f"writes {path}")
    elif event.startswith(FORBIDDEN):
        seen.append(event)
FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
    "os.mkdir", "os.remove", "os.rename", "sqlite3.connect", "urllib.", "ftplib.",
    "http.", "smtplib.", "tempfile.", "_thread.start_new_thread", "time.sleep",
)
ALLOWED = {"socket.gethostname"}
import importlib
sys.addaudithook(look)
importlib.import_module(sys.argv[1])
print("\\n".join(one for one in seen if one not in ALLOWED))
"""


@case("PK-ENTRY-001", "the plugin is found by its entry point, and loads")
def entry_point(subject: UnderTest) -> None:
    """An entry point of group ``tapeline.plugins.v1`` whose name is the plugin's own;
    core's loader makes it ``active``, and what it offers begins with that name.
    """
    record = _record(subject)
    if record.group != ENTRY_POINT_GROUP:
        raise RuleBroken(f"its entry point is of group {record.group!r}")
    if record.info is None or record.info.name != record.name:
        raise RuleBroken(f"its PluginInfo names {record.info!r}, not {record.name!r}")
    names = [each.name for each in record.exchanges]
    for name in (*names, *(each.name for each in record.sinks)):
        if name.partition(".")[0] != record.name:
            raise RuleBroken(f"it offers {name!r}, which is not named for it")


@case("PK-API-001", "the API that it was written against is declared, and exists")
def api(subject: UnderTest) -> None:
    """``PluginInfo.api`` is ``(major, minor)``, of this major, not of the future."""
    record = _record(subject)
    declared: Any = None if record.info is None else record.info.api
    if not (
        isinstance(declared, tuple)
        and len(declared) == 2
        and all(type(part) is int for part in declared)
    ):
        raise RuleBroken(f"it declares the API {declared!r}")
    if declared[0] != API_VERSION[0] or declared > API_VERSION:
        raise RuleBroken(f"it declares the API {declared}, core has {API_VERSION}")


@case("PK-BOUNDS-001", "its requirement on tapeline has a lower and an upper bound")
def bounds(subject: UnderTest) -> None:
    """A plugin without an upper bound breaks on the day of the next major; one
    without a lower bound is installed beside a core that it cannot use.
    """
    requires = _distribution(subject).requires or []
    ours = [
        found
        for found in map(Requirement, requires)
        if canonicalize_name(found.name) == PROJECT and not found.marker
    ]
    if not ours:
        raise RuleBroken(f"it does not require {PROJECT} at all")
    operators = {each.operator for found in ours for each in found.specifier}
    if operators & {"==", "==="}:
        raise RuleBroken(f"it pins {ours[0]}; give a range")
    if not operators & {">=", ">", "~="} or not operators & {"<", "<=", "~="}:
        raise RuleBroken(f"it requires {ours[0]}, which is not bounded on both sides")


@case("PK-TYPED-001", "its package has py.typed")
def typed(subject: UnderTest) -> None:
    """Without that file the annotations of its package count for nobody: a type checker
    takes everything in it for ``Any``.
    """
    package = importlib.import_module(_record(subject).module.partition(".")[0])
    folders = [Path(folder) for folder in getattr(package, "__path__", ())]
    if not any((folder / "py.typed").is_file() for folder in folders):
        raise RuleBroken(f"package {package.__name__} has no file py.typed")


@case("PK-IMPORT-001", "importing it does no I/O")
def imports(subject: UnderTest) -> None:
    """The module of the entry point is imported in a fresh interpreter whose audit
    events are watched: no socket, no process, no thread, no file is written.
    """
    module = _record(subject).module
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCHED_IMPORT, module],
        capture_output=True,
        text=True,
        timeout=_IMPORT_DEADLINE_S,
        check=False,
    )
    if done.returncode:
        raise RuleBroken(f"it cannot be imported: {done.stderr.strip()[-300:]}")
    seen = [line for line in done.stdout.splitlines() if line]
    if seen:
        raise RuleBroken(f"importing {module} does {', '.join(dict.fromkeys(seen))}")


@case("PK-CONFIG-001", "its options have defaults or say what they are")
def config(subject: UnderTest) -> None:
    """The options are a frozen attrs class: compared by value, safe to share. Every
    option has a description, from which the reference is made.
    """
    options = subject.adapter.config
    if not attrs.has(options):
        raise RuleBroken(f"the options {options.__name__} are no attrs class")
    if "__setattr__" not in vars(options):
        raise RuleBroken(f"the options {options.__name__} are not frozen")
    for field in attrs.fields(options):
        if field.init and not field.metadata.get("description"):
            raise RuleBroken(f"option {field.name!r} has no description")


@case("PK-DOCS-001", "its README has a section on its limits", tier=Tier.GOLD)
def documented_limits(subject: UnderTest) -> None:
    """What it does not do, how far back it can fill, what the venue or the database
    imposes: a heading with the word *limits* and some sentences below it.
    """
    text = readme(_distribution(subject))
    heading = _LIMITS_HEADING.search(text)
    if heading is None:
        raise RuleBroken("its README has no heading with the word 'limits'")
    below = re.split(r"^#+ ", text[heading.end() :], maxsplit=1, flags=re.MULTILINE)
    if len(below[0].split()) < _LEAST_WORDS:
        raise RuleBroken(f"the section {heading[0]!r} says nothing")


def readme(distribution: importlib.metadata.Distribution) -> str:
    """The README of *distribution*; of its source tree when it is editable."""
    text = distribution.read_text("direct_url.json")
    origin = json.loads(text) if text else {}
    if origin.get("dir_info", {}).get("editable"):
        folder = Path(url2pathname(urlsplit(origin["url"]).path))
        for name in ("README.md", "README.rst", "README"):
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8")
    # What stands below the headers is the description, too.
    found = distribution.metadata.get_all("Description") or [""]
    return str(found[0])


def _record(subject: UnderTest) -> PluginRecord:
    if not subject.plugin:
        raise NotShown("the name of the installed plugin; give the subject its plugin")
    registry = PluginRegistry(environ={})
    names = {record.name for record in registry.records()}
    if subject.plugin not in names:
        raise RuleBroken(
            f"no installed plugin is called {subject.plugin!r}; its distribution needs "
            f'an entry point in the group "{ENTRY_POINT_GROUP}"'
        )
    record = registry.load(subject.plugin)
    if record.state is not PluginState.ACTIVE:
        raise RuleBroken(f"it is {record.state}: {record.reason}")
    return record


def _distribution(subject: UnderTest) -> importlib.metadata.Distribution:
    record = _record(subject)
    assert record.distribution is not None
    return importlib.metadata.distribution(record.distribution)
