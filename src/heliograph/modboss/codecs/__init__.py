# SPDX-License-Identifier: Apache-2.0
"""Encodings: how values lie in registers and bits.

A mapping names its codec, such as `"float32"`, and gives it options, such as `word_order="little"`.
The classes here are for what names cannot say, and for codecs of your own that build upon them.
"""

from heliograph.modboss.codecs.arrays import Array
from heliograph.modboss.codecs.base import Codec, Endian, RegisterCodec
from heliograph.modboss.codecs.builtin import (
    CODEC_OPTIONS,
    NAMES,
    CodecOptionError,
    UnknownCodecError,
    array,
    codec,
)
from heliograph.modboss.codecs.choices import BitField, Bits, Choice, Enumeration, NamedFlags
from heliograph.modboss.codecs.moments import Date, DateTime, Timestamp
from heliograph.modboss.codecs.numbers import (
    Bcd,
    FloatName,
    IntName,
    Number,
    Scale,
    floating,
    integer,
)
from heliograph.modboss.codecs.original import Ascii, Boolean, Raw, SignedInt, UnsignedInt
from heliograph.modboss.codecs.texts import Bytes, IPv4, IPv6, Mac, Pad, Utf8

__all__ = [
    "CODEC_OPTIONS",
    "NAMES",
    "Array",
    "Ascii",
    "Bcd",
    "BitField",
    "Bits",
    "Boolean",
    "Bytes",
    "Choice",
    "Codec",
    "CodecOptionError",
    "Date",
    "DateTime",
    "Endian",
    "Enumeration",
    "FloatName",
    "IPv4",
    "IPv6",
    "IntName",
    "Mac",
    "NamedFlags",
    "Number",
    "Pad",
    "Raw",
    "RegisterCodec",
    "Scale",
    "SignedInt",
    "Timestamp",
    "UnknownCodecError",
    "UnsignedInt",
    "Utf8",
    "array",
    "codec",
    "floating",
    "integer",
]
