"""Kernels as text: sums and products by name, as in ``RBF * Linear + White``."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from service.gpr import kernels
from service.gpr.kernels import SUPPORTED, TERMS, Kernel

MAX_FUNCTIONS = 10
"""A kernel of more functions has more hyperparameters than most tables can determine."""

MAX_LENGTH = 500
"""Characters of the text, which is parsed before its functions can be counted."""

HOW = 'write it like "RBF", "Matern52 + White" or "RBF * Linear"'


def build(text: str, make: Callable[[str], Any]) -> Any:
    """Return the sum of products that the text describes, of what `make` returns for each name.

    Raises `ValueError`: the text is no sum of products, has an unknown name, or is too long.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(
            f"the kernel has {len(text)} characters, more than {MAX_LENGTH}: name fewer functions"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"the kernel {text[:80]!r} cannot be read: {HOW}") from None
    # Counted by the operators: other nodes are refused where `_evaluate` meets the first.
    functions = 1 + sum(isinstance(node, ast.BinOp) for node in ast.walk(tree))
    if functions > MAX_FUNCTIONS:
        raise ValueError(f"the kernel has {functions} functions, more than {MAX_FUNCTIONS}")
    return _evaluate(tree, text, make)


def _evaluate(node: ast.expr, text: str, make: Callable[[str], Any]) -> Any:
    if isinstance(node, ast.Name):
        if node.id not in TERMS:
            raise ValueError(f"unknown kernel {node.id[:40]!r}; supported: {SUPPORTED}")
        return make(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = _evaluate(node.left, text, make), _evaluate(node.right, text, make)
        return left + right if isinstance(node.op, ast.Add) else left * right
    raise ValueError(f"the kernel {text[:80]!r} is no sum of products of names: {HOW}")


def check(text: str, input_dim: int) -> Kernel:
    """Return the kernel with its parameters at 1, so that what cannot be served is known early.

    Raises `ValueError`: as `build`, or the kernel cannot be served.
    """
    made: Kernel = build(text, lambda name: getattr(kernels, name)(input_dim))
    return made
