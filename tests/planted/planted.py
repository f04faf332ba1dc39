"""Plants known bugs, one at a time, in copies of the tree: the suite must notice.

The list is ``bugs.toml`` beside this file. Nothing is ever planted in the tree that
the script lies in. A bug counts as caught when one of the tests that it names fails;
code that cannot be imported, or a fixture that breaks, proves nothing.

    python tests/planted/planted.py [NAME ...] [--jobs N] [--list FILE] [--fast]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import attrs

ROOT = Path(__file__).resolve().parents[2]
BUGS = Path(__file__).with_name("bugs.toml")

TEST_TIMEOUT_S = 120
"""Of one test; a bug that makes a test hang is caught by this."""

RUN_TIMEOUT_S = 420
"""Of one run of pytest; what hangs beyond it was not caught."""

CAUGHT = "caught"
SURVIVED = "SURVIVED"
NOT_RUN = "NOT RUN"

_COPIED = ("core", "plugins", "sinks", "tests", "docs", "pyproject.toml")
_LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", ".*", "*.db", "*.db-*", "node_modules", "dist", "build"
)
_CAUSES = 3


@attrs.frozen
class Bug:
    """One way to be wrong, and who has to notice.

    Args:
        says: what is wrong then, in one sentence.
        file: relative to the tree.
        find: text that occurs exactly once in *file*.
        replace: what stands there instead.
        tests: ids of pytest; at least one of them must fail.
        fast: planted by the default suite, too.
    """

    name: str
    says: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...] = attrs.field(converter=tuple)
    fast: bool = False

    def plant(self, root: Path) -> str:
        """Put the bug into the tree at *root*.

        Returns:
            the text of the file as it was.

        Raises:
            ValueError: its place is not there exactly once, or what results is no
                Python.
        """
        path = root / self.file
        right = path.read_text(encoding="utf-8")
        found = right.count(self.find)
        if found != 1:
            raise ValueError(
                f"expected the place of {self.name!r} once in {self.file}, found it "
                f"{found} times; bring tests/planted/{BUGS.name} up to date"
            )
        wrong = right.replace(self.find, self.replace)
        compile(wrong, self.file, "exec")
        path.write_text(wrong, encoding="utf-8")
        return right


@attrs.frozen
class Verdict:
    """What a run of pytest showed.

    Args:
        state: ``caught``, ``SURVIVED`` or ``NOT RUN``.
        why: the tests that failed, or what else happened.
    """

    state: str
    why: str


class Copy:
    """A tree of its own, whose sources are what pytest imports there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self.root.mkdir(parents=True)
        for name in _COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, ignore=_LEFT_OUT)
            else:
                shutil.copy2(source, self.root / name)
        paths = sorted(self.root.glob("*/src")) + sorted(self.root.glob("*/*/src"))
        self._env = {
            **os.environ,
            # Before whatever is installed, editable or not.
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._packages = sorted(
            init.parent.name for path in paths for init in path.glob("*/__init__.py")
        )
        self._check_imports()

    def run(self, tests: Iterable[str], *, stop: bool, jobs: int = 1) -> Verdict:
        """What pytest finds of *tests* here; *stop* at the first that fails."""
        report = self.root / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "--no-header"]
        command += ["-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT_S}"]
        # The signal leaves a report; a dead process would leave none.
        command += ["--timeout-method=signal", "--hypothesis-seed=1"]
        command += [f"--junitxml={report}", *(["-x"] if stop else ())]
        command += ["-n", str(jobs)] if jobs > 1 else []
        process = subprocess.Popen(
            [*command, *tests],
            cwd=self.root,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # With everything that the tests have started.
            os.killpg(process.pid, 9)
            process.communicate()
            return Verdict(NOT_RUN, f"no end within {RUN_TIMEOUT_S} s")
        if process.returncode == 0:
            return Verdict(SURVIVED, "all its tests pass")
        failed, broken = _read(report)
        if process.returncode == 1 and failed:
            return Verdict(CAUGHT, _shortened(failed))
        if process.returncode == 1 and broken:
            return Verdict(NOT_RUN, f"errors around {_shortened(broken)}")
        said = [line for line in output.splitlines() if line.startswith(("E ", "ERR"))]
        said = said or output.strip().splitlines() or [""]
        why = f"pytest ended with {process.returncode}: {' '.join(said[-1].split())}"
        return Verdict(NOT_RUN, why)

    def check(self, bug: Bug) -> Verdict:
        """Plant *bug*, let its tests run, and take it out again."""
        try:
            right = bug.plant(self.root)
        except (OSError, ValueError, SyntaxError) as error:
            return Verdict(NOT_RUN, str(error))
        try:
            return self.run(bug.tests, stop=True)
        finally:
            (self.root / bug.file).write_text(right, encoding="utf-8")

    def _check_imports(self) -> None:
        """Make sure that a bug in the copy is a bug in what runs."""
        script = "import sys\nfrom importlib.util import find_spec\n"
        script += "for name in sys.argv[1:]:\n    print(find_spec(name).origin)"
        found = subprocess.run(
            [sys.executable, "-c", script, *self._packages],
            env=self._env,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=True,
        ).stdout.split()
        astray = [path for path in found if not Path(path).is_relative_to(self.root)]
        if astray or len(found) != len(self._packages):
            raise SystemExit(f"expected imports from {self.root}, found {astray}")


def load(path: Path) -> list[Bug]:
    """The bugs of the list at *path*."""
    with path.open("rb") as file:
        return [Bug(**one) for one in tomllib.load(file)["bug"]]


def run(bugs: Sequence[Bug], jobs: int) -> bool:
    """Plant each of *bugs* and print what became of it; True when all are caught."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        made = [Copy(Path(folder) / str(number)) for number in range(jobs)]
        tests = sorted({test for bug in bugs for test in bug.tests})
        _say(f"{len(tests)} tests without any bug ...")
        sound = made[0].run(tests, stop=False, jobs=jobs)
        if sound.state != SURVIVED:
            _say(f"they must pass before a bug is planted: {sound.why}")
            return False
        for copy in made:
            copies.put(copy)

        def judge(bug: Bug) -> Verdict:
            copy = copies.get()
            try:
                return copy.check(bug)
            finally:
                copies.put(copy)

        width = max(len(bug.name) for bug in bugs)
        verdicts = []
        with ThreadPoolExecutor(jobs) as threads:
            for bug, verdict in zip(bugs, threads.map(judge, bugs), strict=True):
                verdicts.append(verdict)
                _say(f"{bug.name:{width}}  {verdict.state:8}  {verdict.why}")
    caught = sum(verdict.state == CAUGHT for verdict in verdicts)
    _say(f"{caught} of {len(bugs)} planted bugs are caught")
    return caught == len(bugs)


def _read(report: Path) -> tuple[list[str], list[str]]:
    """Names of the tests that failed, and of those that could not run."""
    failed: list[str] = []
    broken: list[str] = []
    if not report.exists():
        return failed, broken
    for case in ET.parse(report).iter("testcase"):
        name = re.sub(r"\[.*", "", case.get("name", ""))
        if case.find("failure") is not None:
            failed.append(name)
        elif case.find("error") is not None:
            broken.append(name)
    return failed, broken


def _shortened(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    rest = f" and {len(names) - _CAUSES} more" if len(names) > _CAUSES else ""
    return ", ".join(names[:_CAUSES]) + rest


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Exit with 0 when every bug is caught, 1 when not, 2 for an unknown name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these bugs")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--list", type=Path, default=BUGS, help="another list of bugs")
    options = parser.parse_args()
    bugs = load(options.list)
    unknown = sorted(set(options.names) - {bug.name for bug in bugs})
    if unknown:
        known = ", ".join(bug.name for bug in bugs)
        parser.error(f"expected names of {known}; found {', '.join(unknown)}")
    if options.names:
        bugs = [bug for bug in bugs if bug.name in options.names]
    if not bugs:
        parser.error("expected at least one bug, found none")
    if not run(bugs, max(1, min(options.jobs, len(bugs)))):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
