# SPDX-License-Identifier: Apache-2.0
"""What is shipped: the wheel's contents and metadata, the catalogs' place, a bare install."""

from __future__ import annotations

import email
import email.message
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
CATALOGS = {path.name for path in (PROJECT / "catalogs").iterdir()}
EXTRAS = {
    "all",
    "catalog",
    "cli",
    "cluster",
    "dns",
    "gateway",
    "modbus",
    "otel",
    "otel-grpc",
    "prometheus",
    "uvloop",
}

# Light enough for everybody; what is heavier comes on first use.
HEAVY = {"asyncio", "inspect", "logging"}


def run(*command: str | Path) -> str:
    """Run this interpreter on its own: no user site, no environment variables."""
    result = subprocess.run(
        [sys.executable, "-I", *command], cwd="/", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", folder],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, so that both are known to be whole."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir")
    run("-m", "pip", "wheel", *options, folder, sdist)
    (archive,) = folder.glob("*.whl")
    return archive


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    run("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", folder, wheel)
    return folder


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path, contents: set[str]) -> email.message.Message:
    (name,) = (name for name in contents if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(zipfile.ZipFile(wheel).read(name))


def test_the_wheel_holds_the_package_and_nothing_beside_it(contents: set[str]) -> None:
    tops = {name.split("/")[0] for name in contents}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"heliograph"}


def test_the_wheel_holds_every_module_and_the_typing_marker(contents: set[str]) -> None:
    source = PROJECT / "src"
    modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}

    assert modules | {"heliograph/py.typed"} <= contents


def test_the_wheel_holds_every_catalog(contents: set[str]) -> None:
    prefix = "heliograph/catalogs/"

    assert {name.removeprefix(prefix) for name in contents if name.startswith(prefix)} == CATALOGS


def test_the_wheel_holds_the_page_of_the_demo(contents: set[str]) -> None:
    page = PROJECT / "src" / "heliograph" / "apps" / "demo" / "web" / "page"

    assert {f"heliograph/apps/demo/web/page/{path.name}" for path in page.iterdir()} <= contents


def test_the_wheel_states_its_licence_and_carries_it(
    metadata: email.message.Message, contents: set[str]
) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in contents)


def test_a_bare_install_asks_for_nothing(metadata: email.message.Message) -> None:
    requirements = metadata.get_all("Requires-Dist", [])

    assert [line for line in requirements if "extra ==" not in line] == []


def test_every_extra_is_offered(metadata: email.message.Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


def found_catalogs(*place: Path) -> Path:
    """The folder of our own catalogs, as an interpreter that looks into `place` first finds it."""
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]; from heliograph.catalog.find import installed;"
        "print(*(each.path for each in installed().values() if each.origin == 'heliograph'))"
    )
    paths = [Path(path) for path in run("-c", program, *place).split()]
    assert {path.name for path in paths} == {name for name in CATALOGS if name.endswith(".yaml")}
    (folder,) = {path.parent for path in paths}
    return folder


def test_a_wheel_finds_its_catalogs_inside_the_package(installed: Path) -> None:
    assert found_catalogs(installed) == installed / "heliograph" / "catalogs"


def test_an_editable_install_finds_the_catalogs_where_they_are_edited() -> None:
    assert found_catalogs() == PROJECT / "catalogs"


def pins() -> list[str]:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_every_pin_is_a_name_and_a_version() -> None:
    assert [pin for pin in pins() if pin.count("==") != 1 or set(pin) & set(" @;:/")] == []


def test_every_dependency_is_pinned_once() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = (
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    )
    wanted = {
        canonicalize_name(Requirement(requirement).name)
        for group in groups
        for requirement in group
        if isinstance(requirement, str)
    }
    pinned = [canonicalize_name(pin.partition("==")[0]) for pin in pins()]

    assert wanted - {"heliograph"} <= set(pinned)
    assert len(pinned) == len(set(pinned))


def modules_after_import(folder: Path, *flags: str) -> set[str]:
    """Names of the modules that `import heliograph` adds, as a fresh interpreter sees it."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import heliograph;"
        "assert heliograph.__file__.startswith(sys.argv[1]), heliograph.__file__;"
        "print(*(set(sys.modules) - before), sep='\\n')"
    )
    return set(run(*flags, "-c", program, folder).splitlines())


def test_a_bare_import_needs_the_standard_library_alone(installed: Path) -> None:
    # Without site-packages (-S) there is nothing else to be had.
    roots = {name.partition(".")[0] for name in modules_after_import(installed, "-S")}

    assert roots - set(sys.stdlib_module_names) == {"heliograph"}


def test_a_bare_import_leaves_alone_what_is_only_installed(installed: Path) -> None:
    roots = {name.partition(".")[0] for name in modules_after_import(installed)}

    assert roots - set(sys.stdlib_module_names) == {"heliograph"}


def test_a_bare_import_leaves_heavy_modules_for_their_first_use(installed: Path) -> None:
    assert modules_after_import(installed, "-S") & HEAVY == set()
