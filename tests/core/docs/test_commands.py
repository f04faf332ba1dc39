"""``docs/commands.md`` against the commands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tapeline.cli import app
from tapeline.cli.output import DONE, FAILED, WRONG_USAGE
from tapeline.plugins import PluginState

Sections = Callable[[str, int], dict[str, str]]
Rows = Callable[[str], list[list[str]]]


def test_every_command_has_a_section_and_every_section_is_a_command(
    sections: Sections, generator: dict[str, Any]
) -> None:
    documented = [title.strip("`") for title in sections("commands.md", 2)]
    assert documented == [f"tapeline {name}" for name in generator["commands"]()]


def test_every_argument_and_option_is_documented_and_no_other(
    sections: Sections, rows: Rows, generator: dict[str, Any]
) -> None:
    pages = sections("commands.md", 2)
    for name, command in generator["commands"]().items():
        part = pages[f"`tapeline {name}`"].partition("<!-- end -->")[0]
        documented = [re.findall(r"`([^`]+)`", row[0]) for row in rows(part)]
        expected = [list(each.spellings) for each in generator["parameters"](command)]
        assert documented == expected, name


def test_the_program_itself_knows_every_documented_option(
    generator: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list comes from signatures; ``--help`` comes from what is really parsed."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    for name, command in generator["commands"]().items():
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0
        help_text = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
        offered = set(re.findall(r"(?<![\w-])(?:--[a-z-]+|-[a-z]\b)", help_text)) - {
            "--help"
        }
        documented = {
            spelling
            for parameter in generator["parameters"](command)
            for spelling in parameter.spellings
            if not parameter.argument
        }
        assert documented == offered, name


def test_every_option_says_what_it_does(generator: dict[str, Any]) -> None:
    for name, command in generator["commands"]().items():
        for parameter in generator["parameters"](command):
            assert parameter.help.endswith("."), f"{name} {parameter.name}"


def test_the_exit_codes_are_those_of_the_program(docs: Path, rows: Rows) -> None:
    text = (docs / "commands.md").read_text(encoding="utf-8").partition("\n## ")[0]
    assert [int(row[0]) for row in rows(text)] == [DONE, FAILED, WRONG_USAGE]


def test_the_plugin_states_are_all_there(sections: Sections, rows: Rows) -> None:
    part = sections("commands.md", 2)["`tapeline plugins`"].partition("States:")[2]
    documented = [row[0].strip("`") for row in rows(part)]
    assert documented == [state.value for state in PluginState]
