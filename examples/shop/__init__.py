# SPDX-License-Identifier: Apache-2.0
"""A small shop that says what happens in it."""
