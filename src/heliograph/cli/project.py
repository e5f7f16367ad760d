# SPDX-License-Identifier: Apache-2.0
"""A project's own settings: the table `[tool.heliograph]` in its pyproject.toml.

    [tool.heliograph]
    ignore = ["attribute-foreign:modbus.address.start"]   # exceptions for check and scan
    schema = "catalogs/catalog.schema.json"               # where to keep the format's JSON Schema

    [[tool.heliograph.catalogs]]
    catalog = "catalogs/shop.yaml"
    python = "src/shop/events.py"                         # what to generate, and where
    licence = "Apache-2.0"                                # for the module's first line
    markdown = "docs/events.md"
    weaver = "registry"
    grafana = "dashboards/shop.json"
    alerts = "alerts/shop.yaml"

Paths count from the folder of the file. Its catalogs are at hand in every command that takes some.
"""

from __future__ import annotations

import errno
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from heliograph.catalog.errors import did_you_mean
from heliograph.catalog.find import installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from heliograph.catalog.catalog import Catalog
    from heliograph.catalog.errors import Fault
    from heliograph.catalog.model import Document

__all__ = ["KINDS", "CatalogSettings", "Project", "ProjectError", "catalogs", "find", "load_all"]

KINDS: Final = ("python", "markdown", "weaver", "grafana", "alerts")
"""What can be generated from a catalog."""

_TABLE: Final = "tool.heliograph"


class ProjectError(ValueError):
    """The settings cannot be read or hold something else than they should."""


@dataclass(frozen=True, slots=True)
class CatalogSettings:
    """One catalog of the project, and what is generated from it."""

    catalog: Path
    outputs: Mapping[str, Path]
    """File by kind, the folder for `weaver`."""
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """The settings of one project."""

    file: Path
    catalogs: tuple[CatalogSettings, ...] = ()
    schema: Path | None = None
    ignore: tuple[str, ...] = ()


def find(start: Path | None = None) -> Project | None:
    """The settings of the project around a folder, or None if it has none.

    Args:
        start: The folder; the working directory if None. The nearest pyproject.toml with a table
            `[tool.heliograph]`, there or further up, is taken.

    Raises:
        ProjectError: The file is no TOML, or its table is at fault; every fault is named.
        OSError: The file cannot be read.
    """
    folder = (start or Path.cwd()).absolute()
    for candidate in (folder, *folder.parents):
        file = candidate / "pyproject.toml"
        if file.is_file():
            table = _table(file)
            if table is not None:
                return read(file, table)
    return None


def _table(file: Path) -> Any:
    try:
        whole = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{file}: not TOML: {error}"
        raise ProjectError(msg) from error
    tools = whole.get("tool")
    return tools.get("heliograph") if isinstance(tools, dict) else None


def read(file: Path, table: Any) -> Project:
    """The settings in a table.

    Args:
        file: The file it is from, from whose folder paths count.
        table: The parsed table.

    Raises:
        ProjectError: It is at fault; every fault is named.
    """
    faults: list[str] = []
    project = _read(file, table, faults)
    if faults:
        raise ProjectError("\n".join(f"{file}: {fault}" for fault in faults))
    return project


def _read(file: Path, table: Any, faults: list[str]) -> Project:
    if not isinstance(table, dict):
        faults.append(f"[{_TABLE}] must be a table")
        return Project(file)
    _refuse_unknown(table, ("catalogs", "ignore", "schema"), _TABLE, faults)
    entries = table.get("catalogs", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        faults.append(f"{_TABLE}.catalogs must be tables: [[{_TABLE}.catalogs]]")
        entries = []
    ignore = table.get("ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(each, str) for each in ignore):
        faults.append(f"{_TABLE}.ignore must be a list of rules")
        ignore = []
    schema = _text(table, "schema", _TABLE, faults)
    return Project(
        file=file,
        catalogs=tuple(
            _catalog(file.parent, entry, f"{_TABLE}.catalogs[{number}]", faults)
            for number, entry in enumerate(entries)
        ),
        schema=None if schema is None else file.parent / schema,
        ignore=tuple(ignore),
    )


def _catalog(folder: Path, entry: dict[str, Any], path: str, faults: list[str]) -> CatalogSettings:
    _refuse_unknown(entry, ("catalog", "licence", *KINDS), path, faults)
    catalog = _text(entry, "catalog", path, faults)
    if "catalog" not in entry:
        faults.append(f'{path} names no catalog; add catalog = "FILE.yaml"')
    outputs = {kind: _text(entry, kind, path, faults) for kind in KINDS}
    return CatalogSettings(
        catalog=folder / (catalog or ""),
        outputs=MappingProxyType(
            {kind: folder / output for kind, output in outputs.items() if output is not None}
        ),
        licence=_text(entry, "licence", path, faults),
    )


def _refuse_unknown(
    table: Iterable[str], known: Sequence[str], path: str, faults: list[str]
) -> None:
    for key in table:
        if key not in known:
            mend = did_you_mean(key, known, f"it has {', '.join(known)}")
            faults.append(f"unknown key {key!r} in {path}; {mend}")


def _text(table: Mapping[str, Any], key: str, path: str, faults: list[str]) -> str | None:
    value = table.get(key)
    if value is None or (isinstance(value, str) and value):
        return value
    faults.append(f"{path}.{key} must be text")
    return None


# --- the catalogs at hand ---


def catalogs(names_or_paths: Sequence[str] = ()) -> Catalog:
    """The catalogs of these names and in these files, as one.

    Args:
        names_or_paths: As for `heliograph.catalog.load`. If there are none: those of the project
            around the working directory, and all that are installed under other names.

    Raises:
        CatalogError: A catalog is faulty.
        ProjectError: The project's settings are.
        OSError: A file is not there or cannot be read.
    """
    from heliograph.catalog.catalog import Catalog, load

    if names_or_paths:
        _refuse_missing(names_or_paths)
        return load(*names_or_paths)
    project = find()
    own = load_all([each.catalog for each in project.catalogs]) if project is not None else []
    taken = {document.name for document in own}
    others = [name for name in installed() if name not in taken]
    return Catalog([*own, *(load(*others).documents if others else ())])


def load_all(paths: Iterable[Path]) -> list[Document]:
    """The catalogs in files, each loaded by itself.

    Raises:
        CatalogError: Some are faulty; the faults of all are named.
        OSError: A file is not there or cannot be read.
    """
    from heliograph.catalog.errors import CatalogError
    from heliograph.catalog.loader import load_document

    documents: list[Document] = []
    faults: list[Fault] = []
    shown = [shorten(path) for path in paths]
    _refuse_missing(shown)
    for path in shown:
        try:
            documents.append(load_document(path))
        except CatalogError as error:
            faults.extend(error.faults)
    if faults:
        raise CatalogError(faults)
    return documents


def shorten(path: Path) -> str:
    """A path as seen from the working directory, if it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _refuse_missing(names_or_paths: Iterable[str]) -> None:
    """A missing file is no fault of a catalog; it has an exit code of its own."""
    from heliograph.catalog.catalog import is_path

    for each in names_or_paths:
        if is_path(each):
            # Opening it here would empty a pipe, such as the shell's <(git show v1:shop.yaml).
            status = Path(each).stat()
            if S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), each)
            if not os.access(each, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), each)
