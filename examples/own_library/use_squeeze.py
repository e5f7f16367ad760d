# SPDX-License-Identifier: Apache-2.0
"""Instrument your own library: squeeze.py says what happens, squeeze.yaml what that means.

This program, which uses the library, prints what it says. With the address of a collector it
exports the same as spans, metrics and log events; `heliograph collect` in another terminal is one.

    pip install "heliograph[cli,otel]"
    python use_squeeze.py [http://localhost:4318]
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from heliograph import otel
from heliograph.catalog import load
from heliograph.handlers import Console
from squeeze import squeeze

catalog = load(Path(__file__).with_name("squeeze.yaml"))
catalog.attach("console", "squeeze.**", Console(catalog=catalog))

with ExitStack() as stack:
    if endpoints := sys.argv[1:]:
        stack.enter_context(otel.configure(endpoints[0], service_name="squeezer", catalogs=catalog))
    squeeze("letter.txt", b"Dear Sir or Madam, " * 100)
    squeeze("key.bin", bytes(range(64)))
