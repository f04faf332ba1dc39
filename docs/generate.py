"""Writes what follows from the code into these pages: ``python docs/generate.py``.

A part stands between ``<!-- generated: KIND ARGUMENT -->`` and ``<!-- end -->``.
Pages about a plugin are skipped when that plugin is not installed. The tests compare
the pages with what this script would write.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(
    r"<!-- generated: (?P<kind>[\w-]+) (?P<argument>\S+) -->\n"
    r"(?P<body>.*?)<!-- end -->",
    re.DOTALL,
)
WIDTH = 88
LANGUAGES = MappingProxyType(
    {".py": "python", ".toml": "toml", ".json": "json", ".sql": "sql", ".jsonl": "json"}
)
TYPES: Mapping[type, str] = MappingProxyType(
    {float: "number", int: "integer", bool: "flag", str: "text", Path: "path"}
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


def commands() -> dict[str, Callable[..., object]]:
    """Name → function of every command of ``tapeline``."""
    from tapeline.cli import app

    return {
        each.name or each.callback.__name__.replace("_", "-"): each.callback
        for each in app.registered_commands
        if each.callback is not None
    }


class Parameter(NamedTuple):
    """One argument or option of a command, in words."""

    name: str
    argument: bool
    spellings: tuple[str, ...]
    type: str
    default: str
    help: str


def parameters(command: Callable[..., object]) -> list[Parameter]:
    """Arguments and options of *command*, in order."""
    hints = get_type_hints(command, include_extras=True)
    return [
        _parameter(name, hints[name], each.default)
        for name, each in inspect.signature(command).parameters.items()
    ]


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    kind, info = get_args(hint)
    argument = type(info).__name__ == "ArgumentInfo"
    parts = [part for part in get_args(kind) or (kind,) if part is not type(None)]
    several = get_origin(kind) is list or get_origin(parts[0]) is list
    item = get_args(parts[0])[0] if get_origin(parts[0]) is list else parts[0]
    # With ``Annotated`` the first spelling stands where a default would.
    given = [info.default, *(info.param_decls or ())]
    declared = tuple(each for each in given if isinstance(each, str))
    if argument:
        spellings: tuple[str, ...] = (name.upper(),)
    elif declared:
        spellings = declared
    else:
        word = name.replace("_", "-")
        spellings = (f"--{word}", f"--no-{word}") if item is bool else (f"--{word}",)
    shown = TYPES.get(item, item.__name__)
    if issubclass(item, enum.Enum):
        shown = " or ".join(str(each.value) for each in item)
    if info.min is not None:
        shown += f" from {info.min}" + ("" if info.max is None else f" to {info.max}")
    if default is inspect.Parameter.empty:
        text = "required"
    elif item is bool:
        text = "on" if default else "off"
    else:
        text = "" if default is None else _code(str(default))
    return Parameter(
        name,
        argument,
        spellings,
        f"{shown}, several" if several else shown,
        text,
        info.help or "",
    )


def _command(name: str) -> str:
    command = commands()[name]
    words = ["tapeline", name]
    rows = []
    for each in parameters(command):
        shown = ", ".join(_code(spelling) for spelling in each.spellings)
        if each.argument:
            word = each.spellings[0] + ("..." if "several" in each.type else "")
            words.append(word if each.default == "required" else f"[{word}]")
        rows.append((shown, each.type, each.default, each.help))
    words.append("[OPTIONS]")
    about = inspect.getdoc(command) or ""
    head = ("argument or option", "type", "default", "meaning")
    return f"```text\n{' '.join(words)}\n```\n\n{about}\n\n{table(head, rows)}"


def _signatures(path: str) -> str:
    lines = [_stub(name, method) for name, method in methods(_named(path)).items()]
    return "```python\n" + "\n".join(lines) + "\n```\n"


def _stub(name: str, method: Callable[..., object]) -> str:
    """``def name(...) -> ...: ...``, wrapped as the formatter would."""
    # Annotations are texts here, as the contract's modules postpone them.
    signature = inspect.signature(method)
    ours = [each for each in signature.parameters.values() if each.name != "self"]
    text = str(signature.replace(parameters=ours)).replace("'", "")
    marker = "async def" if inspect.iscoroutinefunction(method) else "def"
    line = f"{marker} {name}{text}: ..."
    if len(line) <= WIDTH:
        return line
    inside, _, result = text.removeprefix("(").rpartition(") -> ")
    return f"{marker} {name}(\n    {inside}\n) -> {result}: ..."


def methods(cls: type) -> dict[str, Callable[..., object]]:
    """Name → function of the public methods that *cls* itself defines, in order."""
    return {
        name: method
        for name, method in vars(cls).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }


def _example(name: str) -> str:
    return _shown(DOCS / "examples" / name)


def _file(name: str) -> str:
    return _shown(DOCS.parent / name)


def _shown(path: Path) -> str:
    language = LANGUAGES.get(path.suffix, "text")
    return f"```{language}\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"


def _cases(kind: str) -> str:
    """A table of the cases of one kit, then a section for each."""
    from tapeline.testing import conformance

    cases = getattr(conformance, f"{kind.upper()}_CASES")
    rows = [
        (f"[{c.id}](#{c.anchor})", c.rule, str(c.tier), "{}.{}".format(*c.since))
        for c in cases
    ]
    sections = [f"\n### {c.id}\n\n*{c.rule}*\n\n{_wrapped(c.about)}\n" for c in cases]
    head = ("case", "rule", "tier", "since API")
    return table(head, rows) + "".join(sections)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _types(names: str) -> str:
    sections: Callable[[str], str] = runpy.run_path(str(DOCS / "reference.py"))[
        "sections"
    ]
    return sections(names)


KINDS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "cases": _cases,
        "config": _config,
        "environment": _environment,
        "options": _options,
        "command": _command,
        "signatures": _signatures,
        "types": _types,
        "example": _example,
        "file": _file,
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
