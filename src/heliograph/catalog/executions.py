# SPDX-License-Identifier: Apache-2.0
"""Which events a body of Python source executes, found by reading it, never by running it.

Recognized are the functions and classes of `heliograph` under whatever name they were imported
(`execute`, `span`, `traced`, `Event`, `Span`), the methods of a `Telemetry`, measurements added to
a `Poller`, and handles that one module defines and another uses, as it is with generated event
modules. Names are followed through
constants, attributes of `self` and of classes, concatenations, f-strings, conditional expressions
and loops over literals, within and between the modules read. What stays unknown of a name is
written as `*`.

A handle that is only defined executes nothing: its use does, wherever that is.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from heliograph.catalog.model import SPAN_EVENTS
from heliograph.catalog.sources import Import, Local, Module, Project, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from heliograph.catalog.sources import Binding

__all__ = ["Execution", "executions"]

_HOMES: Final = frozenset({"heliograph", "heliograph.telemetry"})
_API: Final = frozenset({"execute", "span", "traced", "Event", "Span", "Telemetry"})
_POLLER: Final = ("heliograph.poller", "Poller")
_METHODS: Final = {
    "execute": "execute",
    "span": "span",
    "traced": "traced",
    "event": "Event",
    "spanning": "Span",
}
"""What each method of a dispatcher is the counterpart of."""

# Our choices, far beyond what a reader of the source could follow.
_MAX_ALTERNATIVES: Final = 64
_MAX_DEPTH: Final = 50

_Kind: TypeAlias = Literal["event", "span"]


@dataclass(frozen=True, slots=True)
class Execution:
    """One place that executes an event or opens a span."""

    name: str
    """The event's name or the span's prefix; `*` stands for what is not known."""
    kind: _Kind
    file: str
    line: int
    column: int
    used: bool = True
    """False where a handle is defined: that place alone executes nothing."""
    certain: bool = True
    """False where it depends on what is returned by a function that a poller calls."""

    @property
    def dynamic(self) -> bool:
        """Whether the name is only known when the program runs."""
        return "*" in self.name


def executions(modules: Sequence[Module]) -> list[Execution]:
    """Every place in the modules that executes an event or opens a span, in order."""
    evaluator = _Evaluator(Project(modules))
    found = {each for module in modules for each in _Reader(evaluator, module).run()}
    return sorted(found, key=lambda each: (each.file, each.line, each.column, each.name, each.kind))


# --- what an expression can stand for ---


@dataclass(frozen=True, slots=True)
class _Text:
    alternatives: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Handle:
    kind: _Kind
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Api:
    """A function or class of heliograph, or a method that is the counterpart of one.

    A poller's method `add` goes by the name of `poll`.
    """

    name: str


@dataclass(frozen=True, slots=True)
class _Dispatcher:
    """An instance of `Telemetry`."""


@dataclass(frozen=True, slots=True)
class _Poller:
    """An instance of `Poller`."""


@dataclass(frozen=True, slots=True)
class _Unread:
    """A module, or something in one, that was imported but not read."""

    name: str
    importer: Module


_Value: TypeAlias = _Text | _Handle | _Api | _Dispatcher | _Poller | _Unread | Module | Scope | None

_ANYTHING: Final = frozenset({"*"})


def _alternatives(value: _Value) -> frozenset[str]:
    return value.alternatives if isinstance(value, _Text) else _ANYTHING


def _any_of(values: Sequence[_Value]) -> _Value:
    """What a name or an expression with several values stands for."""
    if any(isinstance(value, _Text) for value in values):
        joined = frozenset[str]().union(*map(_alternatives, values))
        return _Text(joined if len(joined) <= _MAX_ALTERNATIVES else _ANYTHING)
    handles = [value for value in values if isinstance(value, _Handle)]
    if handles:
        return _Handle(handles[0].kind, frozenset[str]().union(*(each.names for each in handles)))
    return next((value for value in reversed(values) if value is not None), None)


def _concatenated(parts: Sequence[frozenset[str]]) -> _Text:
    count = 1
    for part in parts:
        count *= len(part)
    if count > _MAX_ALTERNATIVES:
        return _Text(_ANYTHING)
    return _Text(frozenset("".join(each) for each in itertools.product(*parts)))


class _Evaluator:
    """Says what expressions stand for."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._depth = 0
        self._known: dict[tuple[Scope, str], _Value] = {}

    def evaluate(self, node: ast.expr, scope: Scope) -> _Value:
        """What an expression in a scope stands for, as far as that can be known."""
        if self._depth >= _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            return self._evaluate(node, scope)
        finally:
            self._depth -= 1

    def _evaluate(self, node: ast.expr, scope: Scope) -> _Value:
        match node:
            case ast.Constant(value=str() as text):
                return _Text(frozenset({text}))
            case ast.JoinedStr(values=parts):
                return _concatenated([_alternatives(self.evaluate(each, scope)) for each in parts])
            case ast.FormattedValue(value=inner, format_spec=None, conversion=-1):
                return self.evaluate(inner, scope)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                sides = [self.evaluate(left, scope), self.evaluate(right, scope)]
                known = any(isinstance(side, _Text) for side in sides)
                return _concatenated([*map(_alternatives, sides)]) if known else None
            case ast.IfExp(body=body, orelse=orelse):
                return _any_of([self.evaluate(body, scope), self.evaluate(orelse, scope)])
            case ast.NamedExpr(value=inner):
                return self.evaluate(inner, scope)
            case ast.Subscript(value=inner):
                value = self.evaluate(inner, scope)
                # The subscript of a generic class says nothing of the name.
                return value if isinstance(value, _Api) else None
            case ast.Name(id=name):
                return self._named(name, scope)
            case ast.Attribute():
                return self._attribute(node, scope)
            case ast.Call():
                return self._called(node, scope)
            case _:
                return None

    def first_argument(self, node: ast.Call, scope: Scope) -> frozenset[str]:
        """What the name given to a call can be."""
        given = node.args[0] if node.args else None
        for keyword in node.keywords:
            if given is None and keyword.arg in {"name", "prefix", "event"}:
                given = keyword.value
        return _ANYTHING if given is None else _alternatives(self.evaluate(given, scope))

    def _called(self, node: ast.Call, scope: Scope) -> _Value:
        if _is_cast(node):
            return self.evaluate(node.args[1], scope)
        match self.evaluate(node.func, scope):
            case _Api(name="Telemetry"):
                return _Dispatcher()
            case _Api(name="Poller"):
                return _Poller()
            case _Api(name="Event"):
                return _Handle("event", self.first_argument(node, scope))
            case _Api(name="Span"):
                return _Handle("span", self.first_argument(node, scope))
            case _:
                return None

    def _attribute(self, node: ast.Attribute, scope: Scope) -> _Value:
        name = node.attr
        match self.evaluate(node.value, scope):
            case _Handle(kind="span", names=prefixes) if name in SPAN_EVENTS:
                return _Handle("event", frozenset(f"{each}.{name}" for each in prefixes))
            case _Handle(names=names):
                return _Text(names) if name in {"name", "prefix"} else None
            case _Dispatcher():
                return _method(name)
            case _Poller():
                return _Api("poll") if name == "add" else None
            case _Unread(name=package, importer=importer):
                return self._from_unread(package, name, importer)
            case Module() as module:
                return self._member(module, name)
            case Scope() as owner if name in owner.bindings:
                return self._bound(owner, name)
            case _:
                return self._attribute_of_unknown(node, scope)

    def _attribute_of_unknown(self, node: ast.Attribute, scope: Scope) -> _Value:
        """`self.x` by the class around; the methods of whatever is called a telemetry."""
        match node.value:
            case ast.Name(id="self" | "cls"):
                around = scope.enclosing_class()
                if around is None:
                    return None
                if any(map(_is_telemetry, around.labels)) and node.attr in _METHODS:
                    return _method(node.attr)
                return self._bound(around, node.attr)
            case ast.Name(id=label) | ast.Attribute(attr=label) if _is_telemetry(label):
                return _method(node.attr)
            case ast.Name(id=label) | ast.Attribute(attr=label) if _is_poller(label):
                return _Api("poll") if node.attr == "add" else None
            case _:
                return None

    def _named(self, name: str, scope: Scope) -> _Value:
        current: Scope | None = scope
        while current is not None:
            # The names of a class are not seen from its methods.
            if current is scope or not current.is_class:
                if name in current.bindings or name in current.annotations:
                    return self._bound(current, name)
                value = self._from_stars(name, current)
                if value is not None:
                    return value
            current = current.parent
        return None

    def _from_stars(self, name: str, scope: Scope) -> _Value:
        """What a name stands for that a module may have got by `from x import *`."""
        key = (scope, name)
        if key not in self._known:
            self._known[key] = None  # modules that import all from each other
            for star in scope.stars:
                value = self._imported(Import(star.module, star.level, name), scope.module)
                if value is not None and not isinstance(value, _Unread):
                    self._known[key] = value
        return self._known[key]

    def _bound(self, scope: Scope, name: str) -> _Value:
        """What a name that a scope binds stands for, worked out once."""
        key = (scope, name)
        if key not in self._known:
            self._known[key] = None  # what a name says of itself, such as `x = x + ".a"`
            values = [self._value(each, scope) for each in scope.bindings.get(name, ())]
            value = _any_of(values)
            if value is None and name in scope.annotations:
                value = self._annotated(scope.annotations[name], scope)
            self._known[key] = value
        return self._known[key]

    def _value(self, binding: Binding, scope: Scope) -> _Value:
        match binding:
            case Import():
                return self._imported(binding, scope.module)
            case Local(value=value, scope=within):
                return self.evaluate(value, within)
            case ast.expr():
                return self.evaluate(binding, scope)
            case _:
                return binding

    def _annotated(self, annotation: ast.expr, scope: Scope) -> _Value:
        """A dispatcher or poller, if that is what the annotation mentions."""
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                annotation = ast.parse(annotation.value, mode="eval").body
            except SyntaxError:
                return None
        parts = [
            each for each in ast.walk(annotation) if isinstance(each, ast.Name | ast.Attribute)
        ]
        mentioned = [self.evaluate(part, scope) for part in parts]
        if _Api("Telemetry") in mentioned:
            return _Dispatcher()
        return _Poller() if _Api("Poller") in mentioned else None

    def _imported(self, imported: Import, importer: Module) -> _Value:
        name = imported.name
        if name is None:
            return self._module(imported.module, importer)
        if imported.level == 0:
            package = self._module(imported.module, importer)
            if isinstance(package, _Unread):
                return self._from_unread(package.name, name, importer)
            return self._member(package, name)
        found = self._project.find(imported.module, imported.level, importer)
        value = self._member(found, name) if found is not None else None
        if value is not None:
            return value
        return self._project.find(f"{imported.module}.{name}", imported.level, importer)

    def _module(self, name: str, importer: Module) -> Module | _Unread:
        """A module by its name; heliograph's own two are known without being read."""
        known = name in _HOMES or name == _POLLER[0]
        found = None if known else self._project.find(name, 0, importer)
        return found or _Unread(name, importer)

    def _from_unread(self, package: str, name: str, importer: Module) -> _Value:
        if (package in _HOMES and name in _API) or (package, name) == _POLLER:
            return _Api(name)
        return self._module(f"{package}.{name}", importer)

    def _member(self, module: Module, name: str) -> _Value:
        value = self._named(name, module.scope)
        return value if value is not None else self._project.submodule(module, name)


def _is_telemetry(label: str) -> bool:
    return label.lower().endswith("telemetry")


def _is_poller(label: str) -> bool:
    return label.lower().endswith("poller")


def _is_cast(node: ast.AST) -> bool:
    """Whether it is `cast(type, value)`, which is the value."""
    match node:
        case ast.Call(func=ast.Name(id="cast") | ast.Attribute(attr="cast"), args=[_, _]):
            return True
        case _:
            return False


def _method(name: str) -> _Api | None:
    return _Api(_METHODS[name]) if name in _METHODS else None


class _Reader:
    """Finds the executions of one module."""

    def __init__(self, evaluator: _Evaluator, module: Module) -> None:
        self._evaluator = evaluator
        self._module = module

    def run(self) -> Iterator[Execution]:
        for statement in self._module.tree.body:
            yield from self._visit(statement, self._module.scope, None)

    def _visit(self, node: ast.AST, scope: Scope, parent: ast.AST | None) -> Iterator[Execution]:
        match node:
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                value = self._evaluator.evaluate(node, scope)
                if isinstance(value, _Handle):
                    if not _is_only_named(parent):
                        yield from self._executions(node, value.kind, value.names)
                    return
            case ast.Call():
                yield from self._call(node, scope, parent)
            case _:
                pass
        inner = scope.children.get(node, scope)
        for name, child in _children(node):
            # Decorators, defaults, bases and annotations belong to the scope around.
            around = inner if name == "body" else scope
            yield from self._visit(child, around, parent if _is_cast(node) else node)

    def _call(self, node: ast.Call, scope: Scope, parent: ast.AST | None) -> Iterator[Execution]:
        match self._evaluator.evaluate(node.func, scope):
            case _Api(name="Event" | "Span" as made):
                kind: _Kind = "event" if made == "Event" else "span"
                used = not isinstance(parent, ast.Assign | ast.AnnAssign)
                names = self._evaluator.first_argument(node, scope)
                yield from self._executions(node, kind, names, used=used)
            case _Api(name="execute"):
                names = self._evaluator.first_argument(node, scope)
                yield from self._executions(node, "event", names)
            case _Api(name="poll"):
                named = [each for each in node.keywords if each.arg == "event"]
                given = ast.Call(node.func, [], named) if named else node
                names = self._evaluator.first_argument(given, scope)
                yield from self._executions(node, "event", names, certain=bool(named))
            case _Api(name="span" | "traced"):
                names = self._evaluator.first_argument(node, scope)
                yield from self._executions(node, "span", names)
            case _:
                pass

    def _executions(
        self,
        node: ast.expr,
        kind: _Kind,
        names: Iterable[str],
        *,
        used: bool = True,
        certain: bool = True,
    ) -> Iterator[Execution]:
        place = (self._module.file, node.lineno, node.col_offset + 1)
        for name in names:
            yield Execution(name, kind, *place, used, certain)


def _is_only_named(parent: ast.AST | None) -> bool:
    """Whether of a handle only the name is taken, as for attaching to it."""
    return isinstance(parent, ast.Attribute) and parent.attr in {"name", "prefix"}


def _children(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for name, value in ast.iter_fields(node):
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, ast.AST):
                yield name, each
