# SPDX-License-Identifier: Apache-2.0
"""Installed catalogs: ours, and those that packages register."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from heliograph.catalog import CatalogError, load
from heliograph.catalog.find import builtin_folder, installed

SHOP = "catalog: shop\nversion: 1.0.0\nbrief: A shop\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, for packages that say so if they are imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def register(site: Path, value: str, name: str = "shop", distribution: str = "my-shop") -> None:
    """Install a distribution that registers a catalog."""
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[heliograph.catalogs]\n{name} = {value}\n")
    importlib.invalidate_caches()


def package(site: Path, path: str, files: dict[str, str]) -> None:
    folder = site.joinpath(*path.split("."))
    folder.mkdir(parents=True, exist_ok=True)
    for parent in [folder, *folder.parents]:
        if parent == site:
            break
        (parent / "__init__.py").write_text("raise RuntimeError('imported')")
    for name, text in files.items():
        folder.joinpath(name).write_text(text)


def test_ours_are_installed() -> None:
    found = installed()

    assert list(found)[:4] == ["gateway", "heliograph", "modboss", "partisan"]
    assert found["modboss"].path == builtin_folder() / "modboss.yaml"
    assert found["modboss"].origin == "heliograph"


def test_ours_lie_beside_the_package_in_a_wheel(tmp_path: Path) -> None:
    here = tmp_path / "site-packages" / "heliograph"
    (here / "catalogs").mkdir(parents=True)

    assert builtin_folder(here) == here / "catalogs"


def test_ours_lie_at_the_top_of_the_source_tree(tmp_path: Path) -> None:
    assert builtin_folder(tmp_path / "src" / "heliograph") == tmp_path / "catalogs"


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("shop_pkg", "shop_pkg:catalog.yaml"),
        ("shop_pkg.inner.most", "shop_pkg.inner.most:catalog.yaml"),
        ("shop_pkg.data", "shop_pkg:data/catalog.yaml"),
    ],
)
def test_a_package_registers_its_catalog_and_is_not_imported(
    at: str, value: str, site: Path
) -> None:
    package(site, at, {"catalog.yaml": SHOP})
    register(site, value)

    entry = installed()["shop"]

    assert entry.path == site.joinpath(*at.split("."), "catalog.yaml")
    assert entry.origin == f"my-shop ({value})"
    assert load("shop").documents[0].name == "shop"
    assert "shop" in [document.name for document in load().documents]
    assert "shop_pkg" not in sys.modules


def test_a_module_may_register_a_file_beside_it(site: Path) -> None:
    (site / "shop_module.py").write_text("raise RuntimeError('imported')")
    (site / "shop.yaml").write_text(SHOP)
    register(site, "shop_module:shop.yaml")

    assert installed()["shop"].path == site / "shop.yaml"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("shop_pkg", "not of the form package:file.yaml; correct its entry point"),
        (":catalog.yaml", "not of the form package:file.yaml; correct its entry point"),
        ("shop_pkg:", "not of the form package:file.yaml; correct its entry point"),
        ("shop_pkg:/etc/passwd", "not of the form package:file.yaml; correct its entry point"),
        ("shop_pkg:../x.yaml", "not of the form package:file.yaml; correct its entry point"),
        (
            "shop_pkg:missing.yaml",
            "there is no file 'missing.yaml' in the package; reinstall or correct the distribution",
        ),
        (
            "no_such_pkg:x.yaml",
            "there is no package 'no_such_pkg'; reinstall or correct the distribution",
        ),
        (
            "shop_pkg.no:x.yaml",
            "there is no package 'shop_pkg.no'; reinstall or correct the distribution",
        ),
        (
            "shop_pkg.no.more:x.yaml",
            "there is no package 'shop_pkg.no.more'; reinstall or correct the distribution",
        ),
        ("..:x.yaml", "there is no package '..'; reinstall or correct the distribution"),
        (
            "sys:x.yaml",
            ("there is no file 'x.yaml' in the package; reinstall or correct the distribution"),
        ),
    ],
)
def test_a_broken_registration_is_told_when_that_catalog_is_asked_for(
    value: str, why: str, site: Path
) -> None:
    package(site, "shop_pkg", {})
    register(site, value)
    assert load("modboss").documents

    for names in (["shop"], ["modboss", "shop"], []):
        with pytest.raises(CatalogError) as caught:
            load(*names)

        assert str(caught.value) == f"catalog 'shop' of my-shop ({value}): {why}"


def test_two_catalogs_of_one_name_are_told_when_it_is_asked_for(site: Path) -> None:
    package(site, "shop_pkg", {"catalog.yaml": SHOP})
    register(site, "shop_pkg:catalog.yaml", "modboss")

    with pytest.raises(CatalogError) as caught:
        load("modboss")

    assert str(caught.value) == (
        "two installed catalogs are called 'modboss': of heliograph and of my-shop "
        "(shop_pkg:catalog.yaml); uninstall one of them, or load them by their paths"
    )
    assert load("partisan").documents


def test_two_broken_catalogs_of_one_name_are_two(site: Path) -> None:
    register(site, "missing_a:a.yaml", distribution="a")
    register(site, "missing_b:b.yaml", distribution="b")

    with pytest.raises(CatalogError, match="two installed catalogs are called 'shop': of a "):
        load("shop")


def test_one_catalog_registered_twice_is_one(site: Path) -> None:
    package(site, "shop_pkg", {"catalog.yaml": SHOP})
    register(site, "shop_pkg:catalog.yaml", distribution="a")
    register(site, "shop_pkg:catalog.yaml", distribution="b")

    assert load("shop").documents[0].name == "shop"


def test_a_catalog_must_be_called_what_it_is_registered_as(site: Path) -> None:
    package(site, "shop_pkg", {"catalog.yaml": SHOP})
    register(site, "shop_pkg:catalog.yaml", "store")

    with pytest.raises(CatalogError) as caught:
        load("store")

    assert str(caught.value) == (
        f"{site}/shop_pkg/catalog.yaml: the catalog calls itself 'shop', but my-shop "
        "(shop_pkg:catalog.yaml) registers it as 'store'; let the two names agree"
    )
