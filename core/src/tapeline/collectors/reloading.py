"""A changed configuration into a running manager; what is the same is not touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from tapeline.collectors.configured import add_configured, configured_sink
from tapeline.collectors.manager import CollectorManager
from tapeline.config import CollectorSection, SinkSection, TapelineConfig
from tapeline.plugins import PluginRegistry

Section = TypeVar("Section")

_RESTART = "takes effect when the process starts again"


async def apply_config(
    manager: CollectorManager,
    registry: PluginRegistry,
    old: TapelineConfig,
    new: TapelineConfig,
) -> list[str]:
    """Bring *manager*, which runs *old*, to *new*.

    Collectors and sinks that differ are replaced; where only symbols or ``enabled``
    differ, only those change. The rest of the file needs a new start.

    Returns:
        what was done, and what needs a new start, as sentences.

    Raises:
        PluginError: a plugin that *new* uses is not active; nothing was changed.
        SinkError: a new sink can never be used; the others were changed.
    """
    for section in new.collectors.values():
        registry.exchange(section.exchange)
    done = _apply_collectors(manager, registry, old.collectors, new.collectors)
    done += await _apply_sinks(manager, registry, old.sinks, new.sinks)
    for name in ("runtime", "consolidate", "services"):
        if getattr(old, name) != getattr(new, name):
            done.append(f"[{name}] has changed; that {_RESTART}")
    return done or ["nothing has changed"]


def _apply_collectors(
    manager: CollectorManager,
    registry: PluginRegistry,
    old: Mapping[str, CollectorSection],
    new: Mapping[str, CollectorSection],
) -> list[str]:
    done = []
    for name in _gone(old, new):
        manager.remove_collector(name)
        done.append(f"collector {name} removed")
    for name, section in new.items():
        before = old.get(name)
        if before == section:
            continue
        if before is None:
            add_configured(manager, name, section, registry)
            done.append(f"collector {name} added")
        elif _same_but(before, section, "enabled"):
            change = manager.enable_collector
            if not section.enabled:
                change = manager.disable_collector
            change(name)
            done.append(
                f"collector {name} {'enabled' if section.enabled else 'disabled'}"
            )
        elif _same_but(before, section, "symbols"):
            done += _move_symbols(manager, name, before.symbols, section.symbols)
        else:
            manager.remove_collector(name)
            add_configured(manager, name, section, registry)
            done.append(f"collector {name} replaced")
    return done


def _move_symbols(
    manager: CollectorManager, name: str, old: tuple[str, ...], new: tuple[str, ...]
) -> list[str]:
    collector = manager.collector(name)
    if collector is None:
        return []
    added = [symbol for symbol in new if symbol not in old]
    removed = [symbol for symbol in old if symbol not in new]
    for symbol in added:
        collector.add_symbol(symbol)
    for symbol in removed:
        collector.remove_symbol(symbol)
    signs = [f"+{symbol}" for symbol in added] + [f"-{symbol}" for symbol in removed]
    return [f"collector {name}: {' '.join(signs) or 'symbols in another order'}"]


async def _apply_sinks(
    manager: CollectorManager,
    registry: PluginRegistry,
    old: Mapping[str, SinkSection],
    new: Mapping[str, SinkSection],
) -> list[str]:
    done = []
    changed = [name for name in new if name in old and old[name] != new[name]]
    for name in [*_gone(old, new), *changed]:
        await manager.remove_sink(name)
        if name not in changed:
            done.append(f"sink {name} removed")
    for name, section in new.items():
        if name in changed or name not in old:
            await manager.add_sink(configured_sink(name, section, registry))
            done.append(f"sink {name} {'replaced' if name in changed else 'added'}")
    return done


def _gone(old: Mapping[str, Section], new: Mapping[str, Section]) -> list[str]:
    return [name for name in old if name not in new]


def _same_but(before: CollectorSection, after: CollectorSection, key: str) -> bool:
    return attrs.evolve(before, **{key: getattr(after, key)}) == after
