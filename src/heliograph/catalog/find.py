# SPDX-License-Identifier: Apache-2.0
"""Which catalogs are installed, and in which files they are.

Ours lie in the folder `catalogs`, beside the package in a wheel and at the top of the source tree
in an editable install. Anybody else's are registered as entry points:

    [project.entry-points."heliograph.catalogs"]
    shop = "shop:catalog.yaml"

The value names a package and a file in its folder. Nothing of the package is executed to find it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from heliograph.catalog.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.machinery import ModuleSpec
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "Installed", "builtin_folder", "installed"]

GROUP: Final = "heliograph.catalogs"
"""The entry-point group in which packages register their catalogs."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A catalog that can be loaded by name, or that was meant to be."""

    name: str
    origin: str
    """Who brought it: `heliograph`, or a distribution's name and the entry point's value."""
    path: Path | None = None
    fault: Fault | None = None
    """Why there is no path, if there is none."""


def installed() -> Mapping[str, Installed]:
    """Every installed catalog by name, our own first; broken registrations included."""
    found = {
        path.stem: Installed(path.stem, "heliograph", path)
        for path in sorted(builtin_folder().glob("*.yaml"))
    }
    registered = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    for point in registered:
        entry = _registered(point)
        if point.name not in found:
            found[point.name] = entry
        elif found[point.name].path is None or found[point.name].path != entry.path:
            origin = found[point.name].origin
            message = f"two installed catalogs are called {point.name!r}: of {origin} and of"
            mend = "uninstall one of them, or load them by their paths"
            fault = Fault(f"{message} {entry.origin}", mend=mend)
            found[point.name] = Installed(point.name, origin, fault=fault)
    return found


def builtin_folder(package: Path | None = None) -> Path:
    """The folder of our own catalogs; `package` is where the package heliograph lies."""
    if package is None:
        package = Path(__file__).parents[1]
    beside = package / "catalogs"
    return beside if beside.is_dir() else package.parents[1] / "catalogs"


def _registered(point: EntryPoint) -> Installed:
    distribution = point.dist.name if point.dist is not None else "an unknown distribution"
    origin = f"{distribution} ({point.value})"

    def broken(message: str, mend: str) -> Installed:
        text = f"catalog {point.name!r} of {origin}: {message}"
        return Installed(point.name, origin, fault=Fault(text, mend=mend))

    package, colon, name = (part.strip() for part in point.value.partition(":"))
    file = PurePosixPath(name)
    if not package or not colon or not name or file.is_absolute() or ".." in file.parts:
        return broken("not of the form package:file.yaml", "correct its entry point")
    folders = _folders(package)
    if folders is None:
        return broken(f"there is no package {package!r}", "reinstall or correct the distribution")
    for folder in folders:
        if (path := Path(folder) / file).is_file():
            return Installed(point.name, origin, path)
    return broken(
        f"there is no file {name!r} in the package", "reinstall or correct the distribution"
    )


def _folders(package: str) -> Iterable[str] | None:
    """The folders a package's files lie in, found without importing it; None if there is none."""
    top, *inner = package.split(".")
    spec: ModuleSpec | None
    try:
        spec = importlib.util.find_spec(top)
        name = top
        for part in inner:
            if spec is None or spec.submodule_search_locations is None:
                return None
            name = f"{name}.{part}"
            spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    except (ImportError, ValueError):  # a name that no module can have
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations)
    return [str(Path(spec.origin).parent)] if spec.has_location and spec.origin else []
