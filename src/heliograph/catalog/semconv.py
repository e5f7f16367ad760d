# SPDX-License-Identifier: Apache-2.0
"""Which names OpenTelemetry's semantic conventions have taken.

`semconv.json` holds the names and types of every attribute and the names of every metric that the
conventions define, deprecated ones included: such a name is never free again. The file states its
source and version; `load` is its only reader.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SemanticConventions", "load"]


@dataclass(frozen=True, slots=True)
class SemanticConventions:
    """One version of the semantic conventions, as far as names go."""

    source: str
    version: str
    attributes: Mapping[str, str]
    """Type by name: string, int, double, boolean, any, or the first two with `[]`."""
    templates: Mapping[str, str]
    """Type by prefix, for attributes whose last segment the user chooses."""
    deprecated_attributes: Mapping[str, str]
    """What stands in for each; empty if nothing does."""
    metrics: frozenset[str]
    deprecated_metrics: Mapping[str, str]
    namespaces: frozenset[str]
    """The first segments of all these names."""

    def attribute_type(self, name: str) -> str | None:
        """The type that the conventions give an attribute.

        Args:
            name: Full attribute name, such as `server.address` or `http.request.header.accept`.

        Returns:
            The type, or None if the conventions do not define the attribute.
        """
        exact = self.attributes.get(name) or self.templates.get(name)
        if exact is not None:
            return exact
        return self.templates.get(name.rpartition(".")[0])


@cache
def load() -> SemanticConventions:
    """The semantic conventions this release was checked against."""
    raw = json.loads(
        resources.files("heliograph.catalog").joinpath("semconv.json").read_text("utf-8")
    )
    names = (*raw["attributes"], *raw["templates"], *raw["metrics"])
    return SemanticConventions(
        source=raw["source"],
        version=raw["version"],
        attributes=raw["attributes"],
        templates=raw["templates"],
        deprecated_attributes=raw["deprecated_attributes"],
        metrics=frozenset(raw["metrics"]),
        deprecated_metrics=raw["deprecated_metrics"],
        namespaces=frozenset(name.split(".", 1)[0] for name in names),
    )
