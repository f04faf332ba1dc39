"""Packages to begin a plugin with: names, files, and writing them."""

from tapeline.cli.scaffold.names import ScaffoldName, read_name
from tapeline.cli.scaffold.package import Kind, package_files, write_package

__all__ = ["Kind", "ScaffoldName", "package_files", "read_name", "write_package"]
