"""Every check of some modules, switched off one at a time: refusals, parts of their conditions, calls, members of a loop.

A function is mutated in place by exchanging its code, so every caller meets the mutant whatever name it imported. What a mutant
replaces is known by its lines; a case that is refused knows the lines on its way, so each mutant
meets first the cases that its check refuses.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from msgspec import Struct

from tests.support.outcomes import Line, Outcome, outcome_of
from tests.support.tee_caches import clear_caches

CHECKING = ("check", "finish", "find", "read", "parse", "verify")
"""How functions begin that may refuse."""


class Mutant(Struct, frozen=True):
    """One function without one of its checks."""

    name: str
    module: ModuleType
    function: str
    """Qualified name."""
    first_line: int
    last_line: int
    """Lines of the check."""
    code: CodeType

    def is_on(self, lines: Sequence[Line]) -> bool:
        """Tell whether the check is among these lines."""
        name = self.module.__name__
        return any(module == name and self.first_line <= line <= self.last_line for module, line in lines)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Switch the check off while the context lasts."""
        function = _functions(self.module)[self.function]
        right = function.__code__
        function.__code__ = self.code
        try:
            yield
        finally:
            function.__code__ = right


def is_noticed(mutant: Mutant, cases: Mapping[str, Callable[[], object]], right: Mapping[str, Outcome]) -> bool:
    """Tell whether a case has another outcome without the check, the cases that it refuses being tried first."""
    for name in sorted(cases, key=lambda name: not mutant.is_on(right[name].lines)):
        clear_caches()
        with mutant.applied():
            outcome = outcome_of(cases[name])
        if outcome.text != right[name].text:
            return True
    return False


def find_mutants(module: ModuleType) -> list[Mutant]:
    """Return a mutant for each check of a module, in the order of the text."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    known = _functions(module)
    mutants: list[Mutant] = []
    for name, definition in _definitions(tree):
        if name not in known:
            continue
        for what, first, last, mutated in _mutate(definition):
            title = f"{module.__name__.split('.')[-1]}.{name}-{what}-{first - definition.lineno}"
            mutants.append(Mutant(title, module, name, first, last, _compile(module, mutated)))
    return mutants


def _functions(module: ModuleType) -> dict[str, FunctionType]:
    """Return the functions and methods that a module defines, unwrapped, by qualified name."""
    found: dict[str, FunctionType] = {}
    owners = [module.__dict__, *(vars(entry) for entry in vars(module).values() if isinstance(entry, type))]
    for owner in owners:
        for entry in owner.values():
            function = getattr(entry, "__wrapped__", entry)
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                found[function.__qualname__] = function
    return found


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from (
                (f"{node.name}.{inner.name}", inner) for inner in node.body if isinstance(inner, ast.FunctionDef)
            )


def _mutate(definition: ast.FunctionDef) -> Iterator[tuple[str, int, int, ast.FunctionDef]]:
    """Yield what each mutant lacks, the lines of that, and the mutant."""
    guarded = {id(node.body[-1]) for node in ast.walk(definition) if isinstance(node, ast.If) and _refuses(node.body)}
    for index, node in enumerate(ast.walk(definition)):
        mutated = copy.deepcopy(definition)
        twin = list(ast.walk(mutated))[index]
        assert isinstance(node, ast.FunctionDef | ast.AST)
        if isinstance(twin, ast.If) and _refuses(twin.body):
            first, last = node.lineno, node.body[-1].end_lineno  # type: ignore[attr-defined]
            test = twin.test
            twin.test = ast.Constant(value=False)
            yield "refusal", first, last, mutated
            if isinstance(test, ast.BoolOp):
                for part in range(len(test.values)):
                    mutated = copy.deepcopy(definition)
                    twin = list(ast.walk(mutated))[index]
                    twin.test.values[part] = ast.Constant(value=isinstance(test.op, ast.And))  # type: ignore[attr-defined]
                    yield f"condition{part}", first, last, mutated
        elif isinstance(twin, ast.Raise) and id(node) not in guarded:
            twin.exc, twin.cause = ast.Constant(value=None), None
            yield "raise", node.lineno, node.end_lineno, mutated  # type: ignore[attr-defined]
        elif _is_check(twin) and id(node) not in guarded:
            twin.value = ast.Constant(value=None)
            yield "call", node.lineno, node.end_lineno, mutated  # type: ignore[attr-defined]
        elif isinstance(twin, ast.For) and isinstance(twin.iter, ast.Tuple):
            for part in range(len(twin.iter.elts)):
                mutated = copy.deepcopy(definition)
                twin = list(ast.walk(mutated))[index]
                del twin.iter.elts[part]  # type: ignore[attr-defined]
                yield f"member{part}", node.lineno, node.end_lineno, mutated  # type: ignore[attr-defined]


def _is_check(statement: ast.AST) -> bool:
    """Tell whether a statement calls something for its refusals alone."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and ast.unparse(statement.value.func).split(".")[-1].lstrip("_").startswith(CHECKING)
    )


def _refuses(body: list[ast.stmt]) -> bool:
    """Tell whether statements end by raising, themselves or through a function that does nothing else."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    return (
        isinstance(last, ast.Expr)
        and isinstance(last.value, ast.Call)
        and isinstance(last.value.func, ast.Name)
        and last.value.func.id.startswith(("_refuse", "refuse"))
    )


def _compile(module: ModuleType, definition: ast.FunctionDef) -> CodeType:
    definition.decorator_list = []
    future = ast.ImportFrom(module="__future__", names=[ast.alias(name="annotations")], level=0)
    tree = ast.fix_missing_locations(ast.Module(body=[future, definition], type_ignores=[]))
    namespace: dict[str, FunctionType] = {}
    exec(compile(tree, str(module.__file__), "exec"), dict(vars(module)), namespace)  # our own source
    return namespace[definition.name].__code__
