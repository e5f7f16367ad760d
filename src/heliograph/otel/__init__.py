# SPDX-License-Identifier: Apache-2.0
"""The OpenTelemetry bridge: catalogued events become spans, metrics and log events."""
