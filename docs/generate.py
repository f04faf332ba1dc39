"""Writes what follows from the code into these pages: ``python docs/generate.py``.

A part stands between ``<!-- generated: KIND ARGUMENT -->`` and ``<!-- end -->``.
Pages about a plugin are skipped when that plugin is not installed. The tests compare
the pages with what this script would write.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(
    r"<!-- generated: (?P<kind>[\w-]+) (?P<argument>\S+) -->\n"
    r"(?P<body>.*?)<!-- end -->",
    re.DOTALL,
)
LANGUAGES = MappingProxyType(
    {".py": "python", ".toml": "toml", ".json": "json", ".sql": "sql"}
)
CLICK_TYPES = MappingProxyType(
    {
        "float": "number",
        "float range": "number",
        "integer range": "integer",
        "boolean": "flag",
    }
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _keys(keys: Iterable[Any]) -> str:
    """A table of configuration keys."""
    rows = [
        (
            _code(key.key),
            key.type,
            key.default if key.default == "required" else _code(key.default),
            key.description,
        )
        for key in keys
    ]
    return table(("key", "type", "default", "meaning"), rows)


def _config(section: str) -> str:
    from tapeline.config import describe_config

    return _keys(key for key in describe_config() if key.section == section)


def _environment(_: str) -> str:
    from tapeline.config.describing import describe_environment

    rows = [
        (_code(key.key), key.type, _code(key.default), key.description)
        for key in describe_environment()
    ]
    return table(("variable", "type", "default", "meaning"), rows)


def _options(path: str) -> str:
    from tapeline.config import describe_options

    return _keys(describe_options(_named(path), "options"))


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def commands() -> Mapping[str, Any]:
    """Name → command of ``tapeline``."""
    import typer.main

    from tapeline.cli import app

    group: Any = typer.main.get_command(app)
    found: Mapping[str, Any] = group.commands
    return found


def parameters(command: Any) -> list[Any]:
    """Arguments and options of *command*, without ``--help``."""
    return [each for each in command.params if each.name != "help"]


def _command(name: str) -> str:
    command = commands()[name]
    words = ["tapeline", name]
    rows = []
    for each in parameters(command):
        argument = each.param_type_name == "argument"
        shown = each.name.upper() if argument else ", ".join(_spellings(each))
        if argument:
            word = f"{shown}..." if each.nargs == -1 else shown
            words.append(word if each.required else f"[{word}]")
        rows.append((_code(shown), _click_type(each), _click_default(each), each.help))
    words.append("[OPTIONS]")
    return f"```text\n{' '.join(words)}\n```\n\n{(command.help or '').strip()}\n\n" + (
        table(("argument or option", "type", "default", "meaning"), rows)
        if rows
        else "It takes no arguments or options.\n"
    )


def _spellings(option: Any) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _click_type(parameter: Any) -> str:
    name = str(parameter.type.name)
    kind = CLICK_TYPES.get(name, name)
    low = getattr(parameter.type, "min", None)
    high = getattr(parameter.type, "max", None)
    if low is not None:
        kind += f" from {low}" + ("" if high is None else f" to {high}")
    several = getattr(parameter, "multiple", False) or parameter.nargs == -1
    return f"{kind}, several" if several else kind


def _click_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default is None or default == () or default is False:
        return ""
    if isinstance(default, bool):
        return "on"
    return _code(str(default))


def _signatures(path: str) -> str:
    lines = []
    for name, method in methods(_named(path)).items():
        marker = "async def" if inspect.iscoroutinefunction(method) else "def"
        lines.append(f"{marker} {name}{_signature(method)}")
    return "```python\n" + "\n".join(lines) + "\n```\n"


def methods(cls: type) -> dict[str, Callable[..., object]]:
    """Name → function of the public methods that *cls* itself defines, in order."""
    return {
        name: method
        for name, method in vars(cls).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }


def _signature(method: Callable[..., object]) -> str:
    # Annotations are texts here, as the contract's modules postpone them.
    signature = inspect.signature(method)
    ours = [each for each in signature.parameters.values() if each.name != "self"]
    text = str(signature.replace(parameters=ours))
    return text.replace("'", "") + ": ..."


def _example(name: str) -> str:
    path = DOCS / "examples" / name
    language = LANGUAGES.get(path.suffix, "text")
    return f"```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"


KINDS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "config": _config,
        "environment": _environment,
        "options": _options,
        "command": _command,
        "signatures": _signatures,
        "example": _example,
    }
)


def generated(kind: str, argument: str) -> str:
    """What belongs into the part *kind* *argument*."""
    return KINDS[kind](argument)


def rewritten(text: str) -> str:
    """*text* of a page with every generated part as the code has it now."""

    def replace(block: re.Match[str]) -> str:
        kind, argument = block["kind"], block["argument"]
        body = generated(kind, argument)
        return f"<!-- generated: {kind} {argument} -->\n{body}<!-- end -->"

    return BLOCK.sub(replace, text)


def main() -> None:
    """Rewrite every page whose generated parts are out of date."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        try:
            new = rewritten(text)
        except ModuleNotFoundError as error:
            sys.stderr.write(f"{page.name}: skipped, {error.name} is not installed\n")
            continue
        if new != text:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"{page.name}: rewritten\n")


if __name__ == "__main__":
    main()
