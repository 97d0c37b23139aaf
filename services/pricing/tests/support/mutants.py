"""Mutants of a module: one small fault each, made in its syntax tree, to see whether the checks notice."""

import ast
import copy
import sys
import types
from collections.abc import Iterator
from itertools import count
from pathlib import Path

_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult}


def mutants(path: Path, every: int = 1) -> Iterator[tuple[str, types.ModuleType]]:
    """Yield mutants, each or one of so many, with what was changed in it."""
    tree = ast.parse(path.read_text("utf-8"))
    inside = {id(each) for each in _bodies(tree)}
    turn = count()
    for place, node in enumerate(ast.walk(tree)):
        if id(node) not in inside:
            continue
        for fault in range(_faults(node)):
            if next(turn) % every:
                continue
            changed = copy.deepcopy(tree)
            target = next(each for at, each in enumerate(ast.walk(changed)) if at == place)
            before = ast.unparse(target)
            _break(target, fault)
            name = f"{path.name}:{node.lineno} {before} -> {ast.unparse(target)}"  # type: ignore[attr-defined]
            module = types.ModuleType(f"mutant_{place}_{fault}")
            ast.fix_missing_locations(changed)
            sys.modules[module.__name__] = module  # dataclasses look their module up
            exec(compile(changed, str(path), "exec"), module.__dict__)
            del sys.modules[module.__name__]
            yield name, module


def _bodies(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is inside functions: the rest declares, and a fault in it changes nothing that is computed."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                yield from ast.walk(statement)


def _faults(node: ast.AST) -> int:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        return 1
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS and not isinstance(node.right, ast.Constant):
        return 1
    if isinstance(node, ast.BoolOp | ast.IfExp):
        return 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        return 1
    if isinstance(node, ast.Constant) and type(node.value) in (int, bool):
        return 1
    if isinstance(node, ast.If | ast.While):
        return 2
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        return 1
    return 0


def _break(node: ast.AST, fault: int) -> None:
    match node:
        case ast.Compare():
            node.ops[0] = _COMPARISONS[type(node.ops[0])]()
        case ast.BinOp():
            node.op = _OPERATIONS[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.IfExp():
            node.body, node.orelse = node.orelse, node.body
        case ast.UnaryOp():
            node.op = ast.UAdd()
        case ast.Constant(value=bool()):
            node.value = not node.value
        case ast.Constant(value=int(number)):
            node.value = number + 1
        case ast.If() | ast.While():
            node.test = ast.Constant(bool(fault))
        case ast.Call(func=ast.Name(id=name)):
            node.func = ast.Name("max" if name == "min" else "min", ast.Load())
