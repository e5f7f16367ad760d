# SPDX-License-Identifier: Apache-2.0
"""Programs made of the parts below: each is a package of its own, and the command starts it."""
