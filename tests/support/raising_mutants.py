"""Copies of a module in which one check is off or one bound is moved: a suite that sees no difference does not test it."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

MOVED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
"""Comparisons and what becomes of them."""


class Mutant(NamedTuple):
    """A changed copy, and where and how it was changed."""

    key: tuple[str, str]
    """Module and change."""
    line: int
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"{self.key[0]}:{self.line} {self.key[1]}"

    def load(self, origin: ModuleType) -> ModuleType:
        """Run the copy as a module of its own, under the name of its origin."""
        module = ModuleType(origin.__name__)
        module.__file__ = origin.__file__
        genuine = sys.modules[origin.__name__]
        sys.modules[origin.__name__] = module  # named tuples and structs look their module up while they are made
        try:
            exec(compile(self.tree, self.name, "exec"), module.__dict__)
        finally:
            sys.modules[origin.__name__] = genuine
        return module


def copy_unchanged(origin: ModuleType) -> Mutant:
    """Return a copy in which nothing is changed."""
    assert origin.__file__ is not None
    path = Path(origin.__file__)
    return Mutant((path.stem, "unchanged"), 0, ast.parse(path.read_text(encoding="utf-8")))


def make_mutants(origin: ModuleType) -> Iterator[Mutant]:
    """Yield one copy per refusal switched off, operand or call left out, comparison moved, and number one more."""
    original = copy_unchanged(origin)
    stem, tree = original.key[0], original.tree
    places = [(index, node) for index, node in enumerate(ast.walk(tree)) if not isinstance(node, ast.expr_context)]
    for index, node in places:
        for what, change in _changes(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[index]
            change(target)
            yield Mutant((stem, what), node.lineno, ast.fix_missing_locations(changed))


def _changes(node: ast.AST) -> Iterator[tuple]:
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        yield "refusal off", lambda target: setattr(target, "test", ast.Constant(False))
    if isinstance(node, ast.BoolOp):
        neutral = ast.Constant(isinstance(node.op, ast.And))
        for position in range(len(node.values)):
            yield f"without operand {position}", lambda target, at=position: target.values.__setitem__(at, neutral)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in MOVED:
        for position, operator in enumerate(node.ops):
            moved = MOVED[type(operator)]()
            yield (
                f"comparison {position} moved",
                lambda target, at=position, moved=moved: target.ops.__setitem__(at, moved),
            )
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield f"{node.value} one more", lambda target: setattr(target, "value", target.value + 1)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "call left out", lambda target: setattr(target, "value", ast.Constant(None))
