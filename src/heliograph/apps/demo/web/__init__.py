# SPDX-License-Identifier: Apache-2.0
"""A page that shows a fleet at work in a browser: what the demo's terminal shows, and more.

Files that a browser takes as they are, a server for them that needs only the standard library, and
a feed of what is new. Nothing can be changed through it.
"""

from __future__ import annotations

from heliograph.apps.demo.web.catalogs import declared
from heliograph.apps.demo.web.feed import Feed
from heliograph.apps.demo.web.playing import play_with_page
from heliograph.apps.demo.web.server import WebServer
from heliograph.apps.demo.web.viewer import PageViewer

__all__ = ["Feed", "PageViewer", "WebServer", "declared", "play_with_page"]
