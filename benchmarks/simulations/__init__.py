# SPDX-License-Identifier: Apache-2.0
"""The simulations whose figures the documentation shows."""
