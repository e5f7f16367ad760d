# SPDX-License-Identifier: Apache-2.0
"""The whole in a minute: a plant, three gateways, and somebody who looks on.

Every part is a process of its own on this machine; what is promised is looked for, and the end says
whether all of it was seen. `heliograph demo` shows it.
"""

from __future__ import annotations

from heliograph.apps.demo.demo import Demo
from heliograph.apps.demo.scene import Promise, Scene

__all__ = ["Demo", "Promise", "Scene"]
