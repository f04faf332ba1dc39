"""The smallest plugin: it says who it is, and watches status changes."""

from tapeline.hookspecs import PluginInfo, hookimpl
from tapeline.model import StatusChange

seen: list[str] = []


@hookimpl
def tapeline_plugin_info() -> PluginInfo:
    """Who the plugin is."""
    return PluginInfo(name="acme", api=(1, 0), summary="Remembers status changes.")


@hookimpl
def tapeline_status_changed(change: StatusChange) -> None:
    """Remember *change*."""
    seen.append(f"{change.component}: {change.before} -> {change.after}")
