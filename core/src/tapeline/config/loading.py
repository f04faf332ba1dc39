"""From a TOML file to a ``TapelineConfig``, or everything that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from pathlib import Path
from typing import Final

import attrs

from tapeline.config.collectors import read_collector
from tapeline.config.consolidations import check_apart, read_consolidation
from tapeline.config.environment import read_defaults
from tapeline.config.plugins import Plugins
from tapeline.config.problems import Problem, under
from tapeline.config.sections import RuntimeConfig, TapelineConfig
from tapeline.config.services import read_service
from tapeline.config.sinks import read_default_sink, read_sink
from tapeline.config.structuring import structure_fields, unknown_key
from tapeline.config.tables import read_named_tables, table_of
from tapeline.errors import ConfigError

TABLES: Final = ("runtime", "collectors", "sinks", "services", "consolidate")
_POSITION: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def load_config(
    path: Path | str, plugins: Plugins, environ: Mapping[str, str]
) -> TapelineConfig:
    """The configuration in the TOML file *path*.

    Paths in it are relative to the working directory, as given.

    Raises:
        ConfigError: with every problem at once.
    """
    path = Path(path)
    expected = "expected a readable configuration file, found"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        sentence = f"{expected} no such file; write one with 'tapeline init'"
    except IsADirectoryError:
        sentence = f"{expected} a folder; name the file in it"
    except OSError as error:
        sentence = f"{expected}: {(error.strerror or type(error).__name__).lower()}"
    except ValueError:
        sentence = f"{expected} a path that no file can have"
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            problem = (
                f"line {line}",
                "expected UTF-8 text, found other bytes; save the file as UTF-8",
            )
            raise ConfigError([problem], str(path)) from None
        config = parse_config(text, plugins, environ, str(path))
        return attrs.evolve(config, source_path=path)
    raise ConfigError([("", sentence)], str(path))


def parse_config(
    text: str, plugins: Plugins, environ: Mapping[str, str], source: str = ""
) -> TapelineConfig:
    """The configuration in the TOML *text*; *source* names it in the errors.

    Raises:
        ConfigError: with every problem at once.
    """
    document = _parse_toml(text, source)
    defaults, problems = read_defaults(environ)
    problems += [
        (under("", key), unknown_key(key, TABLES))
        for key in document
        if key not in TABLES
    ]
    runtime = _read_runtime(document, environ, problems)
    collectors = {
        name: read_collector(name, table, plugins, environ, defaults, problems)
        for name, table in read_named_tables(document, "collectors", problems).items()
    }
    if "sinks" in document:
        sinks = {
            name: read_sink(name, table, plugins, environ, problems)
            for name, table in read_named_tables(document, "sinks", problems).items()
        }
    else:
        sinks = read_default_sink(runtime.data_dir, plugins, environ, problems)
    services = {}
    if "services" in document:
        services = {
            name: read_service(name, table, plugins, environ, problems)
            for name, table in read_named_tables(document, "services", problems).items()
        }
    consolidate = {}
    if "consolidate" in document:
        known = [made for made in collectors.values() if made]
        tables = read_named_tables(document, "consolidate", problems)
        consolidate = {
            name: read_consolidation(name, table, environ, known, problems)
            for name, table in tables.items()
        }
        check_apart([made for made in consolidate.values() if made], problems)
    if problems:
        raise ConfigError(problems, source)
    return TapelineConfig(
        runtime=runtime,
        collectors={name: made for name, made in collectors.items() if made},
        sinks={name: made for name, made in sinks.items() if made},
        services={name: made for name, made in services.items() if made},
        consolidate={name: made for name, made in consolidate.items() if made},
        defaults=defaults,
    )


def _read_runtime(
    document: Mapping[str, object],
    environ: Mapping[str, str],
    problems: list[Problem],
) -> RuntimeConfig:
    table = table_of(document.get("runtime", {}), "runtime", problems)
    values, wrong = structure_fields(RuntimeConfig, table or {}, "runtime", environ)
    problems += wrong
    return attrs.evolve(RuntimeConfig(), **values)  # type: ignore[arg-type]


def _parse_toml(text: str, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text, parse_float=_exact)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(str(error))], source) from None
    except RecursionError:
        sentence = "expected tables and lists in a few levels, found far too many"
        raise ConfigError([("", sentence)], source) from None
    except ValueError:
        # An integer of thousands of digits is the one thing that gets here.
        sentence = "expected numbers of usual length, found one of thousands of digits"
        raise ConfigError([("", sentence)], source) from None


def _syntax_problem(message: str) -> Problem:
    position = _POSITION.search(message)
    said = message if position is None else message[: position.start()]
    said = said[:1].lower() + said[1:]
    if position is None:
        return "", f"expected valid TOML, found a syntax error: {said}"
    line, column = position.groups()
    if line is None:
        return "end of file", f"expected valid TOML, found a syntax error: {said}"
    return (
        f"line {line}",
        f"expected valid TOML, found a syntax error at column {column}: {said}",
    )


def _exact(text: str) -> Decimal:
    # Decimal, so that an option of that type gets the digits that were written.
    try:
        return Decimal(text)
    except DecimalException:
        return Decimal("inf")
