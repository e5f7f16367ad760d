# SPDX-License-Identifier: Apache-2.0
"""Which part may import which package from outside; who knows whom inside is import-linter's."""

from __future__ import annotations

import sys

import grimp
import pytest

# What each part's extra brings; a part that is not named here makes do with the standard library.
ALLOWED = {
    "_located": {"yaml"},
    "apps": {
        "anyio",
        "click",
        "google",
        "grpc",
        "opentelemetry",
        "prometheus_client",
        "pymodbus",
        "rich",
    },
    "catalog": {"yaml"},
    "cli": {"click", "rich", "uvloop"},
    "modboss": {"pymodbus", "pytest"},
    # The exporters, which speak HTTP by requests and gRPC by grpcio, bring those and protobuf.
    "otel": {"google", "grpc", "opentelemetry", "requests", "urllib3"},
    "partisan": {"anyio", "dns"},
    "testing": {"pytest"},
}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "heliograph",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


def test_each_part_imports_only_what_its_extra_brings(graph: grimp.ImportGraph) -> None:
    strays = []
    for module in sorted(graph.modules):
        if graph.is_module_squashed(module):
            continue
        part = module.removeprefix("heliograph").lstrip(".").partition(".")[0]
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            root = imported.partition(".")[0]
            if root not in {"heliograph", *sys.stdlib_module_names, *ALLOWED.get(part, ())}:
                strays.append(f"{module} imports {imported}")

    assert strays == []
