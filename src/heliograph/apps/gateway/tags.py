# SPDX-License-Identifier: Apache-2.0
"""Tags of devices, as attributes of their values."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from heliograph.catalog import FieldSpec, Use
from heliograph.catalog.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliograph.catalog import Document

__all__ = ["tag_key", "with_tags"]

_VALUE: Final = "gateway.device.value"
"""The event and the metric that a device's tags are attributes of."""


def tag_key(name: str) -> str:
    """The key under which the event of a value carries a tag."""
    return f"tag.{name}"


def with_tags(catalog: Catalog, names: Sequence[str]) -> Catalog:
    """The same catalogs, in which the values of devices have these attributes, too."""
    if not names:
        return catalog
    return Catalog(
        _tagged(each, names) if _VALUE in each.metrics else each for each in catalog.documents
    )


def _tagged(document: Document, names: Sequence[str]) -> Document:
    tags = tuple(
        FieldSpec(tag_key(name), tag_key(name), "string", "A tag of the device", attribute=name)
        for name in names
    )
    event, metric = document.events[_VALUE], document.metrics[_VALUE]
    carried = tuple(Use(tag, required=False) for tag in tags)
    return replace(
        document,
        fields=MappingProxyType({**document.fields, **{tag.name: tag for tag in tags}}),
        events=MappingProxyType(
            {
                **document.events,
                _VALUE: replace(event, metadata=(*event.metadata, *carried)),
            }
        ),
        metrics=MappingProxyType(
            {**document.metrics, _VALUE: replace(metric, tags=(*metric.tags, *tags))}
        ),
    )
