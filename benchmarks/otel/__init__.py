# SPDX-License-Identifier: Apache-2.0
"""What the bridge costs, over the same instrumentation written by hand."""
