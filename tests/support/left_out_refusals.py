"""Verifiers with one refusal left out: each must let a case pass that the whole verifier refuses, or it guards nothing.

A mutant is a module's function without one of its `raise EvidenceRejected` statements. It is put under the function object
itself, so all who imported the function run it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType

from msgspec import Struct

from tee.errors import EvidenceRejected, Reason

STUMBLES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError, ValueError)
"""What a mutant may raise over that which it should have refused."""


class LeftOut(Struct, frozen=True):
    """One refusal that can be left out."""

    module: ModuleType
    function: str
    line: int

    def __str__(self) -> str:
        return f"{self.module.__name__}.{self.function}:{self.line}"


def refusal_of(verify: Callable[[], object]) -> Reason | None:
    """Return the reason for which a call is refused, or None if it is not."""
    try:
        verify()
    except EvidenceRejected as refusal:
        return refusal.reason
    return None


def find_refusals(*modules: ModuleType) -> list[LeftOut]:
    """List the refusals of modules, in the order of their sources."""
    return [
        LeftOut(module, function.name, node.lineno)
        for module in modules
        for function in _functions(module)
        for node in ast.walk(function)
        if _is_refusal(node)
    ]


def is_needed(refusal: LeftOut, cases: dict[str, tuple[Callable[[], object], Reason]]) -> bool:
    """Tell whether, without the refusal, a case is no longer refused for its reason, whatever happens instead."""
    with _without(refusal):
        for verify, reason in cases.values():
            try:
                if refusal_of(verify) is not reason:
                    return True
            except STUMBLES:
                return True
    return False


@contextmanager
def _without(refusal: LeftOut) -> Iterator[None]:
    """Run without one refusal."""
    tree = ast.parse(inspect.getsource(refusal.module))

    class LeaveOut(ast.NodeTransformer):
        def visit_Raise(self, node: ast.Raise) -> ast.stmt:
            return ast.copy_location(ast.Pass(), node) if node.lineno == refusal.line else node

    compiled = compile(ast.fix_missing_locations(LeaveOut().visit(tree)), refusal.module.__file__ or "", "exec")
    code = next(
        constant
        for constant in compiled.co_consts
        if isinstance(constant, CodeType) and constant.co_name == refusal.function
    )
    function = getattr(refusal.module, refusal.function)
    assert isinstance(function, FunctionType)
    whole = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = whole


def _functions(module: ModuleType) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef):
            yield node


def _is_refusal(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id == "EvidenceRejected"
    )
