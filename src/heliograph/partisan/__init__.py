# SPDX-License-Identifier: Apache-2.0
"""A cluster node; for now the package holds the catalogued events alone.

`heliograph.partisan.events` has the handles and types of what `catalogs/partisan.yaml` describes.
Nothing executes these events yet.
"""
