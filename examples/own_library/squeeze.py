# SPDX-License-Identifier: Apache-2.0
"""A library of yours: it compresses documents, and says so.

With its catalog, squeeze.yaml, this is all that it takes. It depends on the core alone, which needs
nothing but Python; use_squeeze.py shows what those make of it who use it.
"""

import zlib

from heliograph import execute, span


def squeeze(document: str, content: bytes) -> bytes:
    """Compress the content of a document."""
    with span("squeeze.compress", {"document": document}) as compressing:
        packed = zlib.compress(content)
        compressing.measurements.update(read=len(content), written=len(packed))
    if len(packed) >= len(content):
        execute("squeeze.in_vain", {"read": len(content)}, {"document": document})
    return packed
