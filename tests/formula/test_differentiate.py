"""What src/differentiate.py makes of the formulas, beside the same formulas in dual numbers."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.tolerance import assert_near

from fastbp.backend.numpy.dual import Dual
from fastbp.formula import activation, loss, number

SOURCE = Path(__file__).resolve().parents[2] / "src"
pytestmark = pytest.mark.skipif(not SOURCE.is_dir(), reason="no sources beside the tests")
SLOPES = [f for name, f in vars(activation).items() if name.endswith(("_backward", "_slope"))]
LOSSES = [f for f in vars(loss).values() if getattr(f, "__module__", "") == loss.__name__]


@pytest.fixture
def differentiate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SOURCE))
    for name in ("differentiate", "generate"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import differentiate as found  # type: ignore[import-not-found]

    return found


def parsed(function: Callable[..., Any] | str) -> ast.FunctionDef:
    text = function if isinstance(function, str) else inspect.getsource(function)
    (tree,) = ast.parse(text).body
    assert isinstance(tree, ast.FunctionDef)
    return tree


def run(text: str, module: ModuleType, values: dict[str, Any]) -> Any:
    """The Cython of a function as Python."""
    lines = [
        line.strip().replace("<real>", "").replace("cdef real ", "") for line in text.split("\n")
    ]
    body = "\n".join(re.sub("^return", "found =", line) for line in lines[1:])
    known = vars(number) | vars(module) | values | {"REAL_SMALLEST": np.finfo(float).tiny}
    exec(body, known)
    return known["found"]


@pytest.mark.parametrize("formula", [*SLOPES, *LOSSES], ids=lambda formula: formula.__name__)
def test_as_in_dual_numbers(formula: Callable[..., Any], differentiate: ModuleType) -> None:
    rng = np.random.default_rng(0)
    module = loss if formula in LOSSES else activation
    names = list(inspect.signature(formula).parameters)
    moving = [name for name in names if name in ("z", "d", "a", "out", "log_variance")]
    values = {
        name: rng.uniform(0.1, 0.9) for name in names
    }  # what a loss or an activation is given
    values |= {name: 3 * rng.normal(size=200) for name in moving}
    values |= {"target": rng.integers(0, 2, 200).astype(float)}
    dots = {f"{name}_dot": rng.normal(size=200) for name in moving}
    given = {name: Dual(values[name], dots[f"{name}_dot"]) for name in moving}
    want = formula(**{name: given.get(name, values[name]) for name in names})
    want = want[1:] if module is loss else [want]
    text = differentiate.tangent_function(parsed(formula), moving, first=int(module is loss))
    found = run(text, module, values | dots)
    parts = [part for x in want for part in _parts(x)]
    for got, expected in zip(found, parts, strict=True):
        size = np.maximum(1, np.abs(expected))
        assert_near(got + np.zeros(200), expected, dtype="float64", length=64, magnitude=size)


def _parts(x: Any) -> tuple[Any, Any]:
    """A number and its tangent; a plain array does not move."""
    plain = not isinstance(x, Dual)
    return (x + np.zeros(200), np.zeros(200)) if plain else (x.value, x.tangent)


@pytest.mark.parametrize("expression", ["real_cosine(z)", "z ** 2", "[z]", "z if z > 0 else 0"])
def test_what_has_no_rule_is_refused(expression: str, differentiate: ModuleType) -> None:
    text = f"def own(z: real) -> real:\n    return real_exp({expression})"
    with pytest.raises(SyntaxError):
        differentiate.tangent_function(parsed(text), ["z"])
