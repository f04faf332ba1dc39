"""Every key of a configuration with its type, default and meaning."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from tapeline.config.environment import Defaults
from tapeline.config.kinds import kind_name
from tapeline.config.sections import (
    CollectorSection,
    ConsolidateSection,
    RuntimeConfig,
    ServiceSection,
    SinkSection,
)
from tapeline.deprecation import Deprecation
from tapeline.model.secrets import MASK, Secret

REQUIRED = "required"


class ConfigKey(NamedTuple):
    """One key, in words.

    Args:
        section: the table's header, e.g. ``collectors.NAME``.
        default: as TOML; empty when the key may be left out without one, and
            ``required`` when it may not.
    """

    section: str
    key: str
    type: str
    default: str
    description: str


def describe_config() -> list[ConfigKey]:
    """All keys of Tapeline's own sections, in the order to show them."""
    return [
        *describe_options(RuntimeConfig, "runtime"),
        *describe_options(CollectorSection, "collectors.NAME", skip=("name",)),
        *describe_options(ConsolidateSection, "consolidate.NAME", skip=("name",)),
        *describe_options(SinkSection, "sinks.NAME", skip=("name", "options")),
        *describe_options(ServiceSection, "services.NAME", skip=("name", "options")),
    ]


def describe_environment() -> list[ConfigKey]:
    """All environment variables, with ``environment`` as their section."""
    attrs.resolve_types(Defaults)
    return [
        ConfigKey(
            "environment",
            field.metadata["variable"],
            kind_name(field.type),
            toml_value(field.default),
            field.metadata["description"],
        )
        for field in attrs.fields(Defaults)
    ]


def describe_options(
    cls: type[Any], section: str, skip: tuple[str, ...] = ()
) -> list[ConfigKey]:
    """The keys of a plugin's options class *cls*; descriptions from its metadata."""
    fields = attrs.fields(attrs.resolve_types(cls))
    return [
        ConfigKey(
            section,
            str(field.alias),
            "table" if field.name == "options" else kind_name(field.type),
            _default(field),
            _description(field),
        )
        for field in fields
        if field.init and field.name not in skip
    ]


def _description(field: attrs.Attribute[object]) -> str:
    text = str(field.metadata.get("description", ""))
    notice = field.metadata.get("deprecated")
    if isinstance(notice, Deprecation):
        text += f" Deprecated: goes with {notice.removal}; use {notice.instead}."
    return text


def _default(field: attrs.Attribute[object]) -> str:
    default: object = field.default
    if default is attrs.NOTHING:
        return REQUIRED
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        factory = getattr(default, "factory", None)
        default = factory() if factory in (dict, list, tuple) else None
    return "" if default is None else toml_value(default)


def toml_value(value: object) -> str:
    """*value* as TOML writes it; secrets are masked."""
    if isinstance(value, enum.Enum):
        return toml_value(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, Secret):
        return f'"{MASK}"'
    if isinstance(value, str | Path):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "{}" if isinstance(value, dict) else str(value)
