"""Uses only what was built: ``python tests/packaging/installed.py FOLDER``.

*FOLDER* holds a wheel of every distribution. They go into an environment of their own,
the other requirements from wherever pip is set up to find them. Then: every plugin is
active, the demo accounts for every trade, a plugin that is taken away is gone and no
other one notices, and put back it is there again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATTERNS = ("core/pyproject.toml", "plugins/*/pyproject.toml", "sinks/*/pyproject.toml")
DEADLINE_S = 300
CONFIG = """\
[collectors.majors]
exchange = "{name}"
symbols = ["BTC-USDT"]
"""


class Environment:
    """A virtual environment with nothing in it but pip."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
        self.folder = folder

    def run(self, program: str, *words: str, expected: int = 0) -> str:
        """What *program* of this environment prints, stdout first."""
        done = subprocess.run(
            [str(self.programs / program), *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        shown = f"{program} {' '.join(words)}"
        expect(shown, expected, done.returncode, done.stdout + done.stderr)
        say(f"ok: {shown[:100]}")
        return done.stdout + (done.stderr if expected else "")

    def pip(self, *words: str) -> None:
        """Run pip quietly."""
        self.run("python", "-m", "pip", *words, "--quiet")

    def states(self) -> dict[str, str]:
        """Plugin → state, as ``tapeline plugins`` lists them."""
        listed = json.loads(self.run("tapeline", "plugins", "--json"))
        return {each["name"]: each["state"] for each in listed["plugins"]}


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def expect(what: str, expected: object, found: object, more: str = "") -> None:
    """End with 1 unless *found* is what was *expected*."""
    if found != expected:
        sys.exit(f"{what}: expected {expected!r}, found {found!r}\n{more}")


def projects() -> list[dict[str, Any]]:
    """The ``[project]`` tables of all members."""
    return [
        tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        for pattern in PATTERNS
        for path in sorted(ROOT.glob(pattern))
    ]


def main(arguments: Sequence[str]) -> None:
    """Install from the folder and try."""
    if len(arguments) != 1:
        sys.exit("expected the folder with the wheels as the only argument")
    folder = str(Path(arguments[0]).resolve())
    ours = projects()
    needs = {
        line
        for project in ours
        for line in project["dependencies"]
        if not line.startswith("tapeline")
    }
    names = {
        name
        for project in ours
        for name in project.get("entry-points", {}).get("tapeline.plugins.v1", ())
    }
    only_built = ("install", "--no-index", "--find-links", folder)
    with tempfile.TemporaryDirectory() as place:
        environment = Environment(Path(place) / "environment")
        environment.pip("install", *sorted(needs))
        environment.pip(*only_built, "tapeline[all]")
        environment.run("python", "-m", "pip", "check")
        check(environment, names)
        check_without(environment, names, "okx", only_built)


def check(environment: Environment, names: set[str]) -> None:
    """Every plugin is active, and the demo uses them."""
    expect("plugins", dict.fromkeys(names, "active"), environment.states())
    shown = environment.run("tapeline", "demo", "--duration", "3", "--json")
    summary = json.loads(shown)
    expect("the demo's verdict", True, summary["ok"], shown)
    expect("exchanges of the demo", {"okx", "binance"}, set(summary["exchanges"]))


def check_without(
    environment: Environment, names: set[str], name: str, install: Sequence[str]
) -> None:
    """Plugin *name* is taken away and put back."""
    config = environment.folder / "tapeline.toml"
    config.write_text(CONFIG.format(name=name), encoding="utf-8")
    environment.run("tapeline", "check", str(config))
    environment.pip("uninstall", "--yes", f"tapeline-{name}")
    others = dict.fromkeys(names - {name}, "active")
    expect(f"plugins without {name}", others, environment.states())
    told = environment.run("tapeline", "check", str(config), expected=2)
    expect("the package is named", True, f"pip install tapeline-{name}" in told, told)
    expect("no traceback", False, "Traceback" in told, told)
    environment.pip(*install, f"tapeline-{name}")
    expect("all plugins again", dict.fromkeys(names, "active"), environment.states())
    environment.run("tapeline", "check", str(config))


if __name__ == "__main__":
    main(sys.argv[1:])
