# SPDX-License-Identifier: Apache-2.0
"""`python -m heliograph` is the `heliograph` command."""

from __future__ import annotations

import sys

from heliograph.cli import main

if __name__ == "__main__":
    sys.exit(main())
