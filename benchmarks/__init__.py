# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: ratios of heliograph to what somebody would write by hand, one table a part."""
