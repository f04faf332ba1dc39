"""Finding plugins: entry points are read from metadata, nothing is imported."""

from __future__ import annotations

import importlib.metadata
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import attrs
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tapeline.hookspecs import ENTRY_POINT_GROUP, PROJECT
from tapeline.plugins.records import PluginRecord, PluginState

ALLOW_VARIABLE = "TAPELINE_PLUGINS"
"""Environment variable: the only plugins that may be loaded; blank for all."""

DISABLE_VARIABLE = "TAPELINE_DISABLE_PLUGINS"
"""Environment variable: plugins that are not loaded."""

_ANY_GROUP = re.compile(rf"{re.escape(PROJECT)}\.plugins\.v\d+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@attrs.frozen
class FoundPlugin:
    """An entry point and the distribution that declares it."""

    record: PluginRecord
    entry_point: importlib.metadata.EntryPoint | None = None
    requires: tuple[str, ...] = ()


def find_plugins(environ: Mapping[str, str]) -> tuple[FoundPlugin, ...]:
    """Every installed plugin, by name; two with one name are both ``invalid``."""
    allowed = _names(environ, ALLOW_VARIABLE)
    disabled = _names(environ, DISABLE_VARIABLE)
    by_name: dict[str, list[FoundPlugin]] = defaultdict(list)
    for found in _entry_points():
        by_name[found.record.name].append(found)
    result: list[FoundPlugin] = []
    for name in sorted(by_name):
        ours = [f for f in by_name[name] if f.record.group == ENTRY_POINT_GROUP]
        homes = {found.record.distribution for found in ours}
        for found in by_name[name]:
            if found in ours:
                found = _restricted(found, allowed, disabled)
                result.append(_unambiguous(found, ours))
            elif found.record.distribution not in homes:
                # One wheel may serve two majors; then ours is the one that counts.
                result.append(found)
    return tuple(result)


def requirement_problem(found: FoundPlugin) -> str:
    """A sentence on what the plugin's distribution requires and is not there."""
    unmet = []
    for line in found.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            return (
                f"{found.record.origin} expects to say what it requires, found "
                f"{line!r}, which cannot be read ({error}); its author must repair it"
            )
        # Extras are the wish of somebody else; without one they do not apply.
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _installed(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if version is None:
            # Core may run from a source tree, which has no metadata.
            if canonicalize_name(requirement.name) != PROJECT:
                unmet.append((wanted, "none"))
        elif not requirement.specifier.contains(version, prereleases=True):
            unmet.append((wanted, f"{requirement.name} {version}"))
    if not unmet:
        return ""
    sentences = [f"requires {wanted}, found {present}" for wanted, present in unmet]
    return (
        f"{found.record.origin} {' and '.join(sentences)}; run "
        f"'pip install --upgrade {found.record.distribution}' or install what it "
        "requires"
    )


def _entry_points() -> Iterator[FoundPlugin]:
    """Entry points of all our groups, from the first distribution of each name."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        # One unreadable distribution must not hide the others.
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except (OSError, UnicodeDecodeError):
            continue
        if f"{PROJECT}.plugins." not in text:
            continue
        name = _field(distribution, "Name")
        if name is not None:
            # The first on the path is the one that is imported.
            if canonicalize_name(name) in seen:
                continue
            seen.add(canonicalize_name(name))
        yield from _of_distribution(distribution, name or "unnamed")


def _of_distribution(
    distribution: importlib.metadata.Distribution, name: str
) -> Iterator[FoundPlugin]:
    """Entry points of one distribution; a record that says so if unreadable."""
    blank = PluginRecord(
        name=name,
        distribution=name,
        version=_field(distribution, "Version"),
        group="",
        module="",
        state=PluginState.UNUSED,
        summary=_field(distribution, "Summary") or "",
    )
    try:
        points = tuple(distribution.entry_points)
        requires = tuple(distribution.requires or ())
    except Exception as error:  # loader: metadata is text that others wrote
        reason = f"the metadata of {blank.origin} cannot be read: {error}"
        yield FoundPlugin(attrs.evolve(blank, state=PluginState.INVALID, reason=reason))
        return
    for point in points:
        if not _ANY_GROUP.fullmatch(point.group):
            continue
        record = attrs.evolve(
            blank, name=point.name, group=point.group, module=point.value
        )
        yield FoundPlugin(_judged(record), point, requires)


def _field(distribution: importlib.metadata.Distribution, field: str) -> str | None:
    """A field of the distribution's metadata; None when there is none."""
    try:
        values = distribution.metadata.get_all(field)
    except Exception:  # loader: without its file, importlib raises what it likes
        return None
    return str(values[0]) if values else None


def _judged(record: PluginRecord) -> PluginRecord:
    """*record* with the state that its group and name alone give it."""
    if record.group != ENTRY_POINT_GROUP:
        return attrs.evolve(
            record,
            state=PluginState.INCOMPATIBLE,
            reason=(
                f"{record.origin} expects a core that reads {record.group}, this one "
                f"reads {ENTRY_POINT_GROUP}; install versions that belong together"
            ),
        )
    if not _NAME.fullmatch(record.name):
        return attrs.evolve(
            record,
            state=PluginState.INVALID,
            reason=(
                "expected a plugin name of letters, digits, '-' and '_', found "
                f"{record.name!r}; its author must rename the entry point"
            ),
        )
    return record


def _restricted(
    found: FoundPlugin, allowed: frozenset[str], disabled: frozenset[str]
) -> FoundPlugin:
    """*found*, disabled when the environment says so."""
    name = found.record.name
    if name in disabled:
        reason = f"named in {DISABLE_VARIABLE}"
    elif allowed and name not in allowed:
        reason = f"not named in {ALLOW_VARIABLE} ({', '.join(sorted(allowed))})"
    else:
        return found
    return attrs.evolve(
        found,
        record=attrs.evolve(found.record, state=PluginState.DISABLED, reason=reason),
    )


def _unambiguous(found: FoundPlugin, same: list[FoundPlugin]) -> FoundPlugin:
    """*found*, invalid when others of the *same* name would load, too."""
    if len(same) == 1 or found.record.state is PluginState.DISABLED:
        return found
    origins = " and ".join(sorted(each.record.origin for each in same))
    reason = (
        f"expected one distribution with a plugin named {found.record.name!r}, found "
        f"{origins}; uninstall all but one"
    )
    return attrs.evolve(
        found,
        record=attrs.evolve(found.record, state=PluginState.INVALID, reason=reason),
    )


def _names(environ: Mapping[str, str], variable: str) -> frozenset[str]:
    """The comma-separated names in *variable*."""
    names = (name.strip() for name in environ.get(variable, "").split(","))
    return frozenset(name for name in names if name)


def _installed(name: str) -> str | None:
    """The installed version of distribution *name*; None when there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
