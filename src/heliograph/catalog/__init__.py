# SPDX-License-Identifier: Apache-2.0
"""What events exist, what they carry, and which spans, metrics and log events they become.

catalog = heliograph.catalog.load("shop.yaml")
catalog.attach("audit", "shop.order.*", write_audit_line)
"""

from __future__ import annotations

from heliograph.catalog.catalog import Catalog, load
from heliograph.catalog.config import Attachment, attach_from_config
from heliograph.catalog.errors import (
    CatalogError,
    ConfigError,
    ConformanceError,
    Fault,
    LocatedError,
    PatternError,
    UnknownCatalogError,
    Violation,
)
from heliograph.catalog.grammar import format_reference, json_schema
from heliograph.catalog.loader import load_document, load_text
from heliograph.catalog.model import (
    Alert,
    Condition,
    Deprecation,
    Document,
    EventSpec,
    FieldSpec,
    MetricSpec,
    SpanSpec,
    Use,
    Where,
)

__all__ = [
    "Alert",
    "Attachment",
    "Catalog",
    "CatalogError",
    "Condition",
    "ConfigError",
    "ConformanceError",
    "Deprecation",
    "Document",
    "EventSpec",
    "Fault",
    "FieldSpec",
    "LocatedError",
    "MetricSpec",
    "PatternError",
    "SpanSpec",
    "UnknownCatalogError",
    "Use",
    "Violation",
    "Where",
    "attach_from_config",
    "format_reference",
    "json_schema",
    "load",
    "load_document",
    "load_text",
]
