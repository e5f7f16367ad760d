# SPDX-License-Identifier: Apache-2.0
"""Modbus devices by mapping name; for now the package holds the catalogued events alone.

`heliograph.modboss.events` has the handles and types of what `catalogs/modboss.yaml` describes.
Nothing executes these events yet.
"""
