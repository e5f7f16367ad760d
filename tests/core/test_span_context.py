# SPDX-License-Identifier: Apache-2.0
"""Where a span's context comes from when nobody has heard it start."""

from __future__ import annotations

from heliograph import Telemetry


def test_the_callers_own_context_counts_though_nobody_listens() -> None:
    with Telemetry().span("shop.sale", {"telemetry_span_context": "mine"}) as sale:
        assert sale.context == "mine"
        assert sale.metadata == {"telemetry_span_context": "mine"}


def test_a_fresh_one_is_kept() -> None:
    with Telemetry().span("shop.sale") as sale:
        context = sale.context
        assert sale.context == context is not None
