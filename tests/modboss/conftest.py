# SPDX-License-Identifier: Apache-2.0
"""What tests of links share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme


@pytest.fixture
def quiet_pymodbus() -> Iterator[None]:
    """Keep pymodbus from logging what a test is about."""
    logger = logging.getLogger("pymodbus")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    server, client = authority.issue_cert("plc.example"), authority.issue_cert("us@example.org")
    paths = {name: folder / f"{name}.pem" for name in ("ca", "server", "client", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    server.private_key_and_cert_chain_pem.write_to_path(paths["server"])
    client.cert_chain_pems[0].write_to_path(paths["client"])
    client.private_key_pem.write_to_path(paths["key"])
    return paths
