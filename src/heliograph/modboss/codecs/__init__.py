# SPDX-License-Identifier: Apache-2.0
"""Encodings: how values lie in registers and bits."""

from heliograph.modboss.codecs.base import Codec, RegisterCodec
from heliograph.modboss.codecs.original import Ascii, Boolean, Raw, SignedInt, UnsignedInt

__all__ = [
    "Ascii",
    "Boolean",
    "Codec",
    "Raw",
    "RegisterCodec",
    "SignedInt",
    "UnsignedInt",
]
