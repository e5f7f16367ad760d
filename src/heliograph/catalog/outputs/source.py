# SPDX-License-Identifier: Apache-2.0
"""Pieces of Python source laid out as `ruff format` would: types, docstrings, folded lines."""

from __future__ import annotations

import keyword
import textwrap
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from heliograph.catalog.model import Deprecation, FieldSpec, Use

__all__ = [
    "LINE_LENGTH",
    "Expression",
    "advice",
    "annotation",
    "docstring",
    "field_text",
    "fold",
    "is_name",
    "listing",
    "python_type",
    "titled",
    "wrapped",
]

LINE_LENGTH: Final = 100

_TYPES: Final = MappingProxyType(
    {
        "string": "str",
        "int": "int",
        "float": "float",
        "number": "int | float",
        "bool": "bool",
        "bytes": "bytes",
        "map": "Mapping[str, Any]",
        "any": "Any",
        "result": "Ok[Any] | Error[Any]",
        "exception": "BaseException",
        # Quoted, because traceback, which is slow, is imported for type checkers only.
        "stacktrace": '"StackSummary"',
    }
)
# The types whose values a Literal may name.
_LITERALS: Final = frozenset({"string", "int", "bool"})


@dataclass(frozen=True, slots=True)
class Expression:
    """A type as it stands in an annotation; with items, it is `name[item, item]`."""

    name: str
    items: tuple[str | Expression, ...] = ()

    @property
    def text(self) -> str:
        """All of it on one line."""
        items = [item if isinstance(item, str) else item.text for item in self.items]
        return f"{self.name}[{', '.join(items)}]" if items else self.name

    def optional(self) -> Expression:
        """The type of a key that may be absent."""
        return Expression("NotRequired", (self,))


def python_type(field: FieldSpec) -> Expression:
    """The type of a field's values; arrays are lists or tuples, as `enforce` has it."""
    base = field.type.removesuffix("[]")
    if base != field.type:
        return Expression(f"list[{_TYPES[base]}] | tuple[{_TYPES[base]}, ...]")
    if field.values and base in _LITERALS:
        return Expression("Literal", tuple(_literal(value) for value in field.values))
    return Expression(_TYPES[base])


def _literal(value: object) -> str:
    """A value in Python, quoted as formatters like it."""
    text = repr(value)
    if text.startswith("'") and '"' not in text:
        return f'"{text[1:-1]}"'
    return text


def is_name(key: str) -> bool:
    """Whether a key can be a keyword argument and an attribute in a class."""
    return not keyword.iskeyword(key) and key != "self"


def fold(before: str, kind: Expression, after: str = "") -> Iterator[str]:
    """A type between two texts: on one line if it fits, else an item a line."""
    line = f"{before}{kind.text}{after}"
    if len(line) <= LINE_LENGTH or not kind.items:
        yield line
        return
    indent = " " * (len(before) - len(before.lstrip()))
    yield f"{before}{kind.name}["
    for item in kind.items:
        if isinstance(item, str):
            yield f"{indent}    {item},"
        else:
            yield from fold(f"{indent}    ", item)
    yield f"{indent}]{after}"


def annotation(name: str, kind: Expression) -> Iterator[str]:
    """An attribute in a class."""
    return fold(f"    {name}: ", kind)


# -- Texts -----------------------------------------------------------------------------------------


def field_text(field: FieldSpec) -> str:
    """What a field is, with its unit."""
    unit = f" (`{field.unit}`)" if field.unit is not None else ""
    told = advice(field.deprecated)
    text = _sentence(f"{field.brief.rstrip('.')}{unit}")
    return f"{text} {told}" if told is not None else text


def advice(deprecation: Deprecation | None) -> str | None:
    """What users of something deprecated should know; None if it is not deprecated."""
    if deprecation is None:
        return None
    heir = f" Use {deprecation.renamed_to}." if deprecation.renamed_to is not None else ""
    note = f" {_sentence(deprecation.note)}" if deprecation.note is not None else ""
    return f"Deprecated.{heir}{note}"


def listing(title: str, uses: Iterable[Use]) -> str | None:
    """The keys of what an event carries, with units; None if there are none."""
    items = []
    for use in uses:
        unit = f" ({use.field.unit})" if use.field.unit is not None else ""
        items.append(f"{use.key}{unit}{'' if use.required else ', perhaps'}")
    return f"{title}: {'; '.join(items)}." if items else None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def wrapped(text: str, used: int) -> list[str]:
    """Text in lines, with room for `used` other characters in each."""
    return textwrap.wrap(text, LINE_LENGTH - used, break_long_words=False, break_on_hyphens=False)


def docstring(*paragraphs: str | None, indent: str = "") -> list[str]:
    """A docstring of these paragraphs, those that are None left out."""
    plain = (paragraph.replace('"""', "'''") for paragraph in paragraphs if paragraph is not None)
    texts = [_sentence(" ".join(text.split())) for text in plain]
    prefix = "r" if any("\\" in text for text in texts) else ""
    opening = f'{prefix}""" ' if texts[0].startswith('"') else f'{prefix}"""'
    texts[0] = f"{opening}{texts[0]}"
    line = f'{indent}{texts[0]}"""'
    if len(texts) == 1 and (len(line) <= LINE_LENGTH or len(wrapped(line, 0)) == 1):
        return [line]
    lines = []
    for text in texts:
        # Room for the closing quotes, which would follow on a line that stays alone.
        lines += [f"{indent}{line}" for line in wrapped(text, len(indent) + 3 * (len(texts) == 1))]
        lines.append("")
    return [*lines[:-1], f'{indent}"""']


def titled(title: str, name: str, *, indent: str = "") -> list[str]:
    """A docstring `Title of name`, whose first line fits whatever the name's length."""
    one = docstring(f"{title} of `{name}`.", indent=indent)
    return one if len(one) == 1 else docstring(title, f"Of `{name}`.", indent=indent)
