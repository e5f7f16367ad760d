# SPDX-License-Identifier: Apache-2.0
"""Discovery runs on all event loops, and keeps the catalog's promises as nodes do."""

from tests.partisan.node.conftest import run, strict, unwatched

__all__ = ["run", "strict", "unwatched"]
