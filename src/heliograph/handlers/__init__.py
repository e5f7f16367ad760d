# SPDX-License-Identifier: Apache-2.0
"""Ready-made handlers: log lines, lines of JSON in a file, and a console for people.

Each comes twice: as a class whose instances are handlers, and as a function that takes the class's
arguments as its configuration, for files of handlers:

    heliograph.attach("file", "shop.order.placed", JsonLines("events.jsonl", catalog="shop"))
    heliograph.attach("file", "shop.order.placed", json_line, {"path": "events.jsonl"})
"""

from __future__ import annotations

from heliograph.handlers.console import Console, console_line
from heliograph.handlers.jsonlines import JsonLines, json_line
from heliograph.handlers.log import LogLine, log_line

__all__ = ["Console", "JsonLines", "LogLine", "console_line", "json_line", "log_line"]
