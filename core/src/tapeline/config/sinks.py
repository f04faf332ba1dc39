"""Reads ``[sinks.NAME]`` tables, and makes the default one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from tapeline.config.plugins import Plugins
from tapeline.config.problems import Problem, at, found, under
from tapeline.config.sections import SinkSection
from tapeline.config.structuring import structure_fields, structure_options
from tapeline.errors import (
    PluginError,
    UsageError,
    did_you_mean,
    install_command,
    one_of,
)
from tapeline.hookspecs import SinkAdapter
from tapeline.model.points import DataType

DEFAULT_NAME: Final = "local"
DATABASE_FILE: Final = "market.db"
_OWN_KEYS: Final = ("use", "data_types")


def read_sink(
    name: str,
    table: Mapping[str, object],
    plugins: Plugins,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> SinkSection | None:
    """The sink *name*; None when anything is wrong, told in *problems*."""
    path = under("sinks", name)
    before = len(problems)
    own = {key: value for key, value in table.items() if key in _OWN_KEYS}
    values, wrong = structure_fields(
        SinkSection, own, path, environ, skip=("name", "options")
    )
    problems += wrong
    adapter = None
    if "use" in values:
        adapter = _find(str(values["use"]), under(path, "use"), plugins, problems)
    data_types = values.get("data_types")
    if isinstance(data_types, tuple):
        _check_data_types(data_types, adapter, under(path, "data_types"), problems)
    options: object = None
    if adapter is not None:
        rest = {key: value for key, value in table.items() if key not in _OWN_KEYS}
        nested = rest.get("options")
        if isinstance(nested, Mapping) and not _has_key(adapter.config, "options"):
            del rest["options"]
            sentence = (
                "expected the sink's options beside 'use', found a table of them; "
                f"move its keys to [{path}]"
            )
            problems.append((under(path, "options"), sentence))
        options, wrong = structure_options(adapter.config, rest, path, environ)
        problems += wrong
    if len(problems) > before:
        return None
    return SinkSection(name=name, options=options, **values)  # type: ignore[arg-type]


def read_default_sink(
    data_dir: Path,
    plugins: Plugins,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> dict[str, SinkSection | None]:
    """The embedded database in *data_dir*, used when no ``[sinks]`` is written."""
    try:
        adapter = plugins.default_sink()
    except (UsageError, PluginError) as error:
        problems.append(("sinks", str(error)))
        return {}
    if adapter is None:
        sentence = (
            "expected an installed embedded database as no sink is named, found none; "
            f"run {install_command()} or write a [sinks.NAME] table"
        )
        problems.append(("sinks", sentence))
        return {}
    # An absolute or odd data_dir is a path, never a reference, so it goes in as one.
    table: dict[str, object] = {}
    if _has_key(adapter.config, "path"):
        field = attrs.fields_dict(attrs.resolve_types(adapter.config))["path"]
        file = data_dir / DATABASE_FILE
        table["path"] = str(file) if field.type is str else file
    where = under("sinks", DEFAULT_NAME)
    options, wrong = structure_options(adapter.config, table, where, environ)
    problems += wrong
    if options is None:
        return {}
    return {DEFAULT_NAME: SinkSection(DEFAULT_NAME, adapter.name, options)}


def _find(
    use: str, path: str, plugins: Plugins, problems: list[Problem]
) -> SinkAdapter | None:
    try:
        return plugins.sink(use)
    except (UsageError, PluginError) as error:
        problems.append((path, str(error)))
        return None


def _check_data_types(
    data_types: tuple[str, ...],
    adapter: SinkAdapter | None,
    path: str,
    problems: list[Problem],
) -> None:
    known = [data_type.value for data_type in DataType]
    whose = "a data type"
    if adapter is not None and adapter.accepts is not None:
        known = [str(accepted) for accepted in adapter.accepts]
        whose = f"a data type that {adapter.name} stores"
    if not data_types:
        problems.append(
            (path, "expected at least one data type, found none; leave it out for all")
        )
    # A dot marks a plugin's own data type, which a sink takes unless it says no.
    takes_others = adapter is None or adapter.accepts is None
    for index, data_type in enumerate(data_types):
        if data_type not in known and not (takes_others and "." in data_type):
            sentence = (
                f"expected {whose} ({one_of(known)}), found {found(data_type)}"
                f"{did_you_mean(data_type, known)}"
            )
        elif data_type in data_types[:index]:
            sentence = f"expected each data type once, found {found(data_type)} again"
        else:
            continue
        problems.append((at(path, index), sentence))


def _has_key(config: type[object], key: str) -> bool:
    return attrs.has(config) and any(
        field.alias == key for field in attrs.fields(config)
    )
