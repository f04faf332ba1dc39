"""Walks a tutorial: ``walk.py PAGE FOLDER`` does everything that its reader does.

A comment before a fenced block says what is done with it:

* ``<!-- walk: run -->``: each line is a command, and must succeed.
* ``<!-- walk: fails -->``: the same, but the last one must not end with 0.
* ``<!-- walk: shows -->``: the last command printed these lines, in this order;
  ``...`` stands for anything.
* ``<!-- walk: quotes PATH -->``: the file has these lines, at any indentation; a line
  that is only ``...`` stands for others.
* ``<!-- walk: change PATH -->``: a diff without line numbers, to be applied.
* ``<!-- walk: undo -->``: the last change is taken back; the file has these lines then.

Whoever walks is in an environment with tapeline, mypy and ruff installed, as the page
says where it begins.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

STEP = re.compile(
    r"<!-- walk: (?P<kind>\w+)(?: (?P<path>\S+))? -->"
    r"(?:\n```(?P<language>\w*)\n(?P<body>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
KINDS = frozenset({"run", "fails", "shows", "quotes", "change", "undo"})
ANYTHING = "..."
DEADLINE_S = 120.0


class WrongPage(Exception):
    """What the page says is not so."""


class Step(NamedTuple):
    """One thing to do."""

    kind: str
    path: str
    body: str
    line: int


def steps_of(page: str) -> Iterator[Step]:
    """Everything that the text of a page wants to be done, in order.

    Raises:
        WrongPage: a step of no known kind.
    """
    for match in STEP.finditer(page):
        line = page.count("\n", 0, match.start()) + 1
        if match["kind"] not in KINDS:
            raise WrongPage(f"line {line}: no step is called {match['kind']!r}")
        yield Step(match["kind"], match["path"] or "", match["body"] or "", line)


def changed(text: str, diff: str) -> str:
    """*text* with *diff* applied; its lines begin with a blank, ``-`` or ``+``.

    Raises:
        WrongPage: the place is not there, or is there more than once.
    """
    for hunk in diff.split(f"{ANYTHING}\n"):
        before, after = [], []
        for line in hunk.splitlines():
            mark, rest = line[:1], line[1:]
            if mark not in ("", " ", "-", "+"):
                raise WrongPage(f"a line of a change begins with {mark!r}")
            if mark != "+":
                before.append(rest)
            if mark != "-":
                after.append(rest)
        old, new = ("".join(f"{line}\n" for line in part) for part in (before, after))
        found = f"\n{text}".count(f"\n{old}")
        if found != 1:
            raise WrongPage(f"{found} places like this one, not one:\n{old}")
        text = f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]
    return text


def is_quoted(text: str, quote: str) -> bool:
    """Whether *text* has the lines of *quote*, in order, at any indentation."""
    at = 0
    lines = text.splitlines()
    for part in re.split(rf"^\s*{re.escape(ANYTHING)}\n", quote, flags=re.MULTILINE):
        wanted = textwrap.dedent(part).rstrip("\n").splitlines()
        for start in range(at, len(lines) - len(wanted) + 1):
            window = "\n".join(lines[start : start + len(wanted)])
            if textwrap.dedent(window).splitlines() == wanted:
                at = start + len(wanted)
                break
        else:
            return False
    return True


def is_shown(output: str, wanted: str) -> bool:
    """Whether *output* has the lines of *wanted*, in order."""
    parts = [re.escape(part.strip()) for part in re.split(r"\.\.\.|\n", wanted)]
    return re.search(".*?".join(filter(None, parts)), output, re.DOTALL) is not None


class Walk:
    """One reader, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._output = ""
        self._before: tuple[Path, str] | None = None

    def take(self, step: Step) -> None:
        """Do one step.

        Raises:
            WrongPage: it does not come out as the page says.
        """
        if step.kind in ("run", "fails"):
            self._run(step.body.splitlines(), fails=step.kind == "fails")
        elif step.kind == "shows":
            if not is_shown(self._output, step.body):
                raise WrongPage(f"expected\n{step.body}\nfound\n{self._output}")
        elif step.kind == "undo":
            self._undo(step)
        else:
            self._edit(step)

    def _edit(self, step: Step) -> None:
        path = self.folder / step.path
        text = path.read_text(encoding="utf-8")
        if step.kind == "quotes":
            if not is_quoted(text, step.body):
                raise WrongPage(f"{step.path} has no lines like\n{step.body}")
            return
        self._before = (path, text)
        path.write_text(changed(text, step.body), encoding="utf-8")

    def _undo(self, step: Step) -> None:
        if self._before is None:
            raise WrongPage("nothing was changed yet")
        path, text = self._before
        if not is_quoted(text, step.body):
            raise WrongPage(f"{path.name} had no lines like\n{step.body}")
        path.write_text(text, encoding="utf-8")

    def _run(self, commands: Sequence[str], *, fails: bool) -> None:
        for number, command in enumerate(commands, 1):
            begun = time.monotonic()
            if command.startswith("cd "):
                self.folder = self.folder / command.removeprefix("cd ")
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DEADLINE_S,
                env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
                check=False,
            )
            self._output = done.stdout
            say(f"{time.monotonic() - begun:5.1f} s  {command}")
            wanted = fails and number == len(commands)
            if (done.returncode != 0) is not wanted:
                raise WrongPage(
                    f"{command!r} ends with {done.returncode}:\n{done.stdout}"
                )


def say(text: str) -> None:
    """Print *text* at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(page: str, folder: str) -> None:
    """Walk *page* in the empty *folder*."""
    walk = Walk(Path(folder))
    for step in steps_of(Path(page).read_text(encoding="utf-8")):
        try:
            walk.take(step)
        except WrongPage as wrong:
            raise SystemExit(f"{page}, line {step.line}: {wrong}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
