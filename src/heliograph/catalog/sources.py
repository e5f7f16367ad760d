# SPDX-License-Identifier: Apache-2.0
"""A body of Python source as modules that import from each other, and the names bound in each.

Nothing is imported or run. `read` parses files, `Project` answers which of them an import means,
and a `Scope` says what each name of a module, class or function was bound to.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Binding", "Import", "Local", "Module", "Project", "Scope", "Unreadable", "read"]

_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})
_MAX_DEPTH: Final = 300  # our choice; walking needs two or three frames for each level


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is no Python source."""

    file: str
    line: int
    column: int
    reason: str


@dataclass(frozen=True, slots=True)
class Import:
    """What an import statement binds a name to."""

    module: str
    level: int
    """Number of leading dots."""
    name: str | None
    """The name imported from the module, or None for the module itself."""


@dataclass(slots=True, eq=False)
class Scope:
    """The names bound in a module, class or function."""

    module: Module
    parent: Scope | None = None
    is_class: bool = False
    labels: tuple[str, ...] = ()
    """What a class and its bases are called."""
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    """Everything each name is bound to somewhere in the scope."""
    annotations: dict[str, ast.expr] = field(default_factory=dict)
    stars: list[Import] = field(default_factory=list)
    """The modules all of whose names are imported."""
    children: dict[ast.AST, Scope] = field(default_factory=dict)
    """The scopes of the classes and functions in this one."""

    def bind(self, name: str, value: Binding) -> None:
        """Add one thing that a name stands for."""
        self.bindings.setdefault(name, []).append(value)

    def enclosing_class(self) -> Scope | None:
        """The class that this scope is, or is a method of."""
        scope: Scope | None = self
        while scope is not None and not scope.is_class:
            scope = scope.parent
        return scope


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """An expression that has its meaning in another scope than the one that binds the name.

    `self.x = y` binds `x` in the class, but `y` is a name of the method.
    """

    value: ast.expr
    scope: Scope


Binding: TypeAlias = ast.expr | Import | Local | Scope | None
"""An expression, an import, a class, or None for what cannot be followed."""


class Module:
    """One file: its tree, its scope and the names it can be imported by."""

    def __init__(self, file: str, path: Path, root: Path, tree: ast.Module) -> None:
        """Bind the names of a parsed file.

        Args:
            file: The file, as the user named it.
            path: The same, resolved.
            root: The resolved folder that was asked for, in which the file lies.
            tree: What the file holds.
        """
        self.file = file
        self.path = path
        self.tree = tree
        self.scope: Scope = Scope(self)
        binder = _Binder(self.scope, None)
        for statement in tree.body:
            binder.visit(statement)
        package = path.parent
        while (package / "__init__.py").exists():
            package = package.parent
        parts = [*path.parent.parts, *(() if path.stem == "__init__" else (path.stem,))]
        self.names: set[str] = {
            ".".join(parts[len(base.parts) :])
            for base in (package, root, root.parent)
            if path.is_relative_to(base)
        }


class Project:
    """Modules, found by the imports that mean them."""

    def __init__(self, modules: Iterable[Module]) -> None:
        """Take up every module that may be imported."""
        self._by_name: dict[str, list[Module]] = {}
        self._by_path: dict[Path, Module] = {}
        for module in modules:
            self._by_path[module.path] = module
            for name in module.names:
                self._by_name.setdefault(name, []).append(module)

    def find(self, name: str, level: int, importer: Module) -> Module | None:
        """The module that an import means, or None if it was not read.

        Args:
            name: The module's dotted name; empty in `from . import x`.
            level: Number of leading dots.
            importer: The module that holds the import.
        """
        if level:
            folders = importer.path.parents
            folder = folders[min(level, len(folders)) - 1]
            return self._at(folder.joinpath(*filter(None, name.split("."))))
        candidates = self._by_name.get(name, ())
        return max(
            candidates, key=lambda module: _in_common(module.path, importer.path), default=None
        )

    def submodule(self, package: Module, name: str) -> Module | None:
        """A module of a package, or None if there is none or it was not read."""
        if package.path.stem != "__init__":
            return None
        return self._at(package.path.parent / name)

    def _at(self, stem: Path) -> Module | None:
        module = self._by_path.get(stem.parent / f"{stem.name}.py")
        return module or self._by_path.get(stem / "__init__.py")


def _in_common(one: Path, other: Path) -> int:
    """How many leading folders two paths share: among namesakes the nearest module is meant."""
    pairs = zip(one.parts, other.parts, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


# --- files ---


def read(paths: Iterable[str | Path]) -> tuple[list[Module], list[Unreadable]]:
    """The modules in files and folders, and the files that hold no Python source.

    Args:
        paths: Files, and folders whose `.py` files are read, except in hidden folders, virtual
            environments and folders of installed or built packages.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    modules: list[Module] = []
    unreadable: list[Unreadable] = []
    seen: set[Path] = set()
    for root, path in _files(paths):
        resolved = path.resolve()
        if resolved in seen:
            continue
        seen.add(resolved)
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
            _refuse_depth(tree)
            modules.append(Module(str(path), resolved, root.resolve(), tree))
        except SyntaxError as error:
            place = (error.lineno or 1, error.offset or 1)
            unreadable.append(Unreadable(str(path), *place, error.msg))
        except (ValueError, OSError, RecursionError, MemoryError) as error:
            # A null byte, a file that may not be read, expressions nested beyond reason.
            message = str(error) or "too large or too deeply nested to be read"
            unreadable.append(Unreadable(str(path), 1, 1, message))
    return modules, unreadable


def _refuse_depth(tree: ast.AST) -> None:
    """Refuse what would exhaust the stack of those who walk the tree."""
    level: list[ast.AST] = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    msg = "nested too deeply"
    raise ValueError(msg)


def _files(paths: Iterable[str | Path]) -> Iterator[tuple[Path, Path]]:
    """Each file, after the folder that its module's name may count from."""
    for path in map(Path, paths):
        if path.is_dir():
            for file in _below(path):
                yield path, file
        elif path.exists():
            yield path.parent, path
        else:
            msg = f"no such file or folder: {path}"
            raise FileNotFoundError(msg)


def _below(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            hidden = entry.name.startswith(".") or entry.name in _SKIPPED
            if not hidden and not (entry / "pyvenv.cfg").exists():
                yield from _below(entry)
        elif entry.suffix == ".py":
            yield entry


# --- names ---


class _Binder(ast.NodeVisitor):
    """Fills a scope, and makes and fills one for each class and function in it."""

    def __init__(self, scope: Scope, self_name: str | None) -> None:
        self._scope = scope
        self._self_name = self_name
        """What the method around calls its instance."""

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind(target, node.value)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._scope.annotations[node.target.id] = node.annotation
        if node.value is not None:
            self._bind(node.target, node.value)
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._bind(node.target, None)
        self.visit(node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind(node.target, node.value)
        self.visit(node.value)

    def visit_For(self, node: ast.For) -> None:
        self._bind_each(node.target, node.iter)
        self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._bind(node.target, None)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._bind_each(node.target, node.iter)
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            # What most context managers give is themselves.
            self._bind(node.optional_vars, node.context_expr)
        self.visit(node.context_expr)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            first = alias.name.split(".", 1)[0]
            imported = alias.name if alias.asname else first
            self._scope.bind(alias.asname or first, Import(imported, 0, None))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            imported = Import(node.module or "", node.level, alias.name)
            if alias.name == "*":
                self._scope.stars.append(imported)
            else:
                self._scope.bind(alias.asname or alias.name, imported)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        bases = (getattr(base, "attr", getattr(base, "id", "")) for base in node.bases)
        labels = (node.name, *bases)
        inner = Scope(self._scope.module, self._scope, is_class=True, labels=labels)
        self._scope.children[node] = inner
        self._scope.bind(node.name, inner)
        for expression in (*node.decorator_list, *node.bases):
            self.visit(expression)
        binder = _Binder(inner, None)
        for statement in node.body:
            binder.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._bind_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._bind_function(node)

    def _bind_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.bind(node.name, None)
        for expression in node.decorator_list:
            self.visit(expression)
        positional = [*node.args.posonlyargs, *node.args.args]
        is_method = self._scope.is_class and bool(positional)
        self_name = positional[0].arg if is_method else self._self_name
        binder = _Binder(self._enter(node, node.args), self_name)
        for statement in node.body:
            binder.visit(statement)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        _Binder(self._enter(node, node.args), self._self_name).visit(node.body)

    def _enter(self, node: ast.AST, arguments: ast.arguments) -> Scope:
        """The scope of a function, its parameters bound to the unknown."""
        inner = Scope(self._scope.module, self._scope)
        self._scope.children[node] = inner
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg):
                inner.bind(argument.arg, None)
                if argument.annotation is not None:
                    inner.annotations[argument.arg] = argument.annotation
        for default in (*arguments.defaults, *filter(None, arguments.kw_defaults)):
            self.visit(default)
        return inner

    def _bind_each(self, target: ast.expr, iterable: ast.expr) -> None:
        """A loop over a literal binds its target to each element, any other to the unknown."""
        if isinstance(iterable, ast.Tuple | ast.List | ast.Set):
            for element in iterable.elts:
                self._bind(target, element)
        else:
            self._bind(target, None)

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        match target:
            case ast.Name(id=name):
                self._scope.bind(name, value)
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner == self._self_name:
                around = self._scope.enclosing_class()
                assert around is not None  # only a method has a name for its instance
                around.bind(name, value and Local(value, self._scope))
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values: list[ast.expr | None] = [None] * len(targets)
                if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(targets):
                    values = list(value.elts)
                for each, element in zip(targets, values, strict=True):
                    self._bind(each, element)
            case ast.Starred(value=starred):
                self._bind(starred, None)
            case _:
                pass  # an item, or an attribute of something else: not followed
