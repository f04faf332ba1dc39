"""Tiny wheels, built by hand and really installed with pip."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

GROUP = "tapeline.plugins.v1"

HEADER = """\
from tapeline.hookspecs import AdapterBase, PluginInfo, hookimpl
"""

INFO = """\
@hookimpl
def tapeline_plugin_info():
    return PluginInfo(name={name!r}, api={api!r}, summary="a test plugin")
"""


@attrs.frozen
class WheelSpec:
    """What a wheel holds: one module and its metadata.

    Args:
        source: of the module.
        groups: entry-point group → plugin name → object reference.
        requires: lines of ``Requires-Dist``.
    """

    distribution: str
    module: str
    source: str
    groups: Mapping[str, Mapping[str, str]]
    version: str = "1.2.3"
    requires: Sequence[str] = ("tapeline>=0.1",)

    def build(self, folder: Path) -> Path:
        """Write the wheel into *folder*."""
        stem = f"{self.distribution.replace('-', '_')}-{self.version}"
        info = f"{stem}.dist-info"
        metadata = [
            "Metadata-Version: 2.1",
            f"Name: {self.distribution}",
            f"Version: {self.version}",
            "Summary: from metadata",
            *(f"Requires-Dist: {line}" for line in self.requires),
        ]
        points = []
        for group, names in self.groups.items():
            points.append(f"[{group}]")
            points += [f"{name} = {value}" for name, value in names.items()]
        files = {
            f"{self.module}.py": self.source,
            f"{info}/METADATA": "\n".join(metadata) + "\n",
            f"{info}/WHEEL": (
                "Wheel-Version: 1.0\nGenerator: tests\n"
                "Root-Is-Purelib: true\nTag: py3-none-any\n"
            ),
            f"{info}/entry_points.txt": "\n".join(points) + "\n",
        }
        lines = [f"{name},{_digest(text)}" for name, text in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""])
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return path


def _digest(text: str) -> str:
    """Hash and size of a file, as a line of RECORD has them."""
    data = text.encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={digest.decode()},{len(data)}"


@attrs.frozen
class Installation:
    """A folder with installed wheels, put before everything else on the path."""

    folder: Path

    def run(self, code: str, **environ: str) -> Any:
        """Run *code* in a new interpreter; what it prints as JSON."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("TAPELINE_")
        }
        path = os.pathsep.join(
            part for part in (str(self.folder), inherited.get("PYTHONPATH")) if part
        )
        result = subprocess.run(
            [sys.executable, "-c", code],
            env=inherited | {"PYTHONPATH": path} | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture(scope="session")
def wheel() -> Callable[..., WheelSpec]:
    """Describe a wheel with one plugin: its name, then what differs from a good one."""

    def describe(
        name: str,
        body: str = "",
        *,
        info: str = "",
        head: str = "",
        api: object = (1, 0),
        group: str = GROUP,
        distribution: str = "",
        requires: Sequence[str] = ("tapeline>=0.1",),
    ) -> WheelSpec:
        distribution = distribution or f"acme-{name}"
        module = distribution.replace("-", "_") + "_plugin"
        shown = info or INFO.format(name=name, api=api)
        return WheelSpec(
            distribution=distribution,
            module=module,
            source="\n".join([head, HEADER, shown, body]),
            groups={group: {name: module}},
            requires=requires,
        )

    return describe


@pytest.fixture(scope="session")
def install(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Sequence[WheelSpec]], Installation]:
    """Build wheels and install them into a new folder."""
    pytest.importorskip("pip", reason="wheels are installed with pip")

    def install(specs: Sequence[WheelSpec]) -> Installation:
        folder = tmp_path_factory.mktemp("wheels")
        wheels = [str(spec.build(folder)) for spec in specs]
        target = tmp_path_factory.mktemp("site")
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
                *("--no-index", "--no-compile", "--disable-pip-version-check"),
                *("--target", str(target), *wheels),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return Installation(target)

    return install
