# SPDX-License-Identifier: Apache-2.0
"""A handler that handlers.yaml names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph import Error


def tell_failures(
    event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any
) -> None:
    """Print which requests failed, and why."""
    if isinstance(metadata["result"], Error) and metadata["attempt"] >= config["from_attempt"]:
        took = measurements["duration"] / 1e6
        print(f"attempt {metadata['attempt']} failed after {took:.1f} ms: {metadata['result']}")
