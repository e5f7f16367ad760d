# SPDX-License-Identifier: Apache-2.0
"""A gateway: polls Modbus devices, shares them with other gateways, and exports what happens."""
