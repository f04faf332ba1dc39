"""Reads ``[services.NAME]`` tables."""

from __future__ import annotations

from collections.abc import Mapping

from tapeline.config.plugins import Plugins
from tapeline.config.problems import Problem, found, under
from tapeline.config.sections import ServiceSection
from tapeline.config.structuring import structure_options
from tapeline.errors import PluginError, UsageError


def read_service(
    name: str,
    table: Mapping[str, object],
    plugins: Plugins,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> ServiceSection | None:
    """The service *name*; None when anything is wrong, told in *problems*."""
    path = under("services", name)
    before = len(problems)
    use = table.get("use", name)
    if not isinstance(use, str) or not use:
        problems.append(
            (under(path, "use"), f"expected the name of a service, found {found(use)}")
        )
        return None
    try:
        adapter = plugins.service(use)
    except (UsageError, PluginError) as error:
        where = under(path, "use") if "use" in table else path
        problems.append((where, str(error)))
        return None
    rest = {key: value for key, value in table.items() if key != "use"}
    options, wrong = structure_options(adapter.config, rest, path, environ)
    problems += wrong
    if len(problems) > before:
        return None
    return ServiceSection(name, use, options)
