"""One list of names: what is described, compiled, run by NumPy, known to the oracle, and tested.

A loss, an activation or an optimizer that was forgotten somewhere fails here.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kernel.test_kernel import EACH_ACTIVATION
from kernel.test_kernel import OPTIMIZERS as TESTED_STEPS
from loss.test_loss import HAND
from optimizer.test_optimizer import OPTIMIZERS as TESTED_OPTIMIZERS
from support import oracle

import fastbp as fb
from fastbp.activation import ACTIVATIONS, OF_ROWS
from fastbp.backend import compiled_modules
from fastbp.backend.numpy import engine as numpy_engine
from fastbp.backend.numpy import kernel
from fastbp.formula import activation, loss, optimizer
from fastbp.loss import LOSSES
from fastbp.optimizer import OPTIMIZERS
from fastbp.plan.operation import Operation, Segment
from fastbp.runtime import engine_cache

MODULES = [numpy_engine, *compiled_modules().values()]
# The others need all rows for a step, and their tests are their own.
STEPPING = {kind for kind in OPTIMIZERS.values() if not kind.is_full_batch}
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)


def formulas(module: ModuleType, *helpers: str) -> set[str]:
    """The functions defined in a file of formulas, without those whose name ends with a helper."""
    own = [f for f in vars(module).values() if inspect.isfunction(f)]
    own = [f for f in own if f.__module__ == module.__name__]
    return {f.__name__ for f in own if not f.__name__.endswith(helpers)}


def compared_names(function: Callable[..., Any]) -> set[str]:
    """The strings with which a function of the oracle compares something."""
    tree = ast.parse(inspect.getsource(function))
    sides = [part for node in ast.walk(tree) if isinstance(node, ast.Compare)
             for side in node.comparators for part in getattr(side, "elts", [side])]  # fmt: skip
    values = {side.value for side in sides if isinstance(side, ast.Constant)}
    return {value for value in values if isinstance(value, str)}


@every_module
def test_every_build_has_the_kernels_of_the_descriptions(module: ModuleType) -> None:
    names = module.kernel_names()
    assert set(names["activation"]) == set(ACTIVATIONS)
    assert set(names["loss"]) == {one.formula for one, *_ in HAND}
    assert set(names["optimizer"]) == {one.formula for one in TESTED_STEPS}
    assert all(len(set(own)) == len(own) for own in names.values())
    assert names == numpy_engine.kernel_names() | {"operation": names["operation"]}
    assert set(names["operation"]) == set(numpy_engine.kernel_names()["operation"])


def test_descriptions_are_those_of_the_formulas() -> None:
    names = formulas(activation, "_backward", "_slope")
    assert names == ACTIVATIONS.keys() - {*OF_ROWS}
    assert formulas(loss) == {one.formula for one, *_ in HAND} - kernel.ROW_LOSSES.keys()
    for name in names:
        keeps = fb.Activation(name).keeps_slope
        forward = inspect.signature(getattr(activation, name)).parameters
        helper = f"{name}_slope" if keeps else f"{name}_backward"
        derivative = list(inspect.signature(getattr(activation, helper)).parameters)
        assert ("alpha" in forward) == (ACTIVATIONS[name] is not None)
        assert derivative[0] == ("z" if keeps else "d")
    assert len(formulas(activation)) == 2 * len(names)
    for one, *_ in HAND:
        if one.formula in formulas(loss):
            _, _, *own = inspect.signature(getattr(loss, one.formula)).parameters.values()
            has_column = one.name != "gaussian_nll" and bool(one.columns(one.outputs_per_target))
            is_column = [argument.annotation == "column" for argument in own]
            assert is_column.count(False) == len(one.parameters)
            assert is_column == sorted(is_column) and any(is_column) >= has_column
    for one in TESTED_STEPS:
        assert len(inspect.signature(getattr(optimizer, one.formula)).parameters) > 2
        assert np.isfinite(one.numbers).all()


def test_the_oracle_knows_all_and_no_more() -> None:
    assert compared_names(oracle.activate) == set(ACTIVATIONS)
    assert compared_names(oracle.slope) == ACTIVATIONS.keys() - {*OF_ROWS}
    values = compared_names(oracle.loss_value) | compared_names(oracle.element_values)
    slopes = compared_names(oracle.loss_slope) | compared_names(oracle.element_slopes)
    assert values == set(LOSSES) == slopes
    kinds = {kind.__name__ for kind in STEPPING}
    assert compared_names(oracle.step) <= kinds


def test_everything_is_tested() -> None:
    assert {one.name for one in EACH_ACTIVATION} == ACTIVATIONS.keys() - {*OF_ROWS}
    assert {one.name for one, *_ in HAND} == set(LOSSES)
    assert {type(one) for one in TESTED_STEPS} == STEPPING
    assert {type(one) for one in TESTED_OPTIMIZERS} == STEPPING
    used = {one.formula for one in TESTED_OPTIMIZERS}
    assert used == {one.formula for one in TESTED_STEPS} == formulas(optimizer, "_scalars")


# ---- what an engine refuses ---------------------------------------------------------------------


def engine(module: ModuleType, dtype: str, change: Callable[[Any], Any]) -> Any:
    """An engine of a plan with something changed."""
    state = fb.Network([3, 4, 2], activation="tanh", dtype=dtype, backend="numpy", seed=0)._state
    _, plan, scratch = engine_cache.engine(state, "train", 5)
    return module.Engine(
        change(plan), state.parameters, state.optimizer_state, scratch, np.empty(plan.n_tiles),
        state.powers, state.rate,
    )  # fmt: skip


def with_operation(plan: Any, **changes: Any) -> Any:
    first, *rest = plan.forward.operations
    operations = (dataclasses.replace(first, **changes), *rest)
    forward = dataclasses.replace(plan.forward, operations=operations)
    return dataclasses.replace(plan, forward=forward)


def dtype_of(module: ModuleType) -> str:
    return "float64" if "float64" in module.__name__ else "float32"


UNKNOWN: list[tuple[str, Callable[[Any], Any]]] = [
    ("operation 'dence'", lambda plan: with_operation(plan, kind="dence")),
    ("activation 'tahn'",
     lambda plan: with_operation(plan, activation=SimpleNamespace(name="tahn", alpha=0.0))),
    ("loss 'msa'",
     lambda plan: dataclasses.replace(plan, loss=SimpleNamespace(formula="msa", parameters=()))),
    ("optimizer 'sdg'",
     lambda plan: dataclasses.replace(plan, optimizer=SimpleNamespace(
         formula="sdg", numbers=(), powers=(), state_names=(), ema=None, clips=False))),
]  # fmt: skip


@every_module
@pytest.mark.parametrize(("what", "change"), UNKNOWN, ids=[what for what, _ in UNKNOWN])
def test_an_unknown_name_raises(module: ModuleType, what: str, change: Any) -> None:
    engine(module, dtype_of(module), lambda plan: plan)
    with pytest.raises(ValueError, match=f"unknown {what}; known: \\w+, "):
        engine(module, dtype_of(module), change)


def with_columns(plan: Any, part: str, columns: list[str]) -> Any:
    """The plan with the columns of one of its tables in another order."""
    own = getattr(plan, part)
    table = np.zeros(len(own.table), [(name, own.table.dtype[name]) for name in columns])
    for name in columns:
        table[name] = own.table[name]
    return dataclasses.replace(plan, **{part: dataclasses.replace(own, table=table)})


@pytest.mark.parametrize("module", MODULES[1:], ids=lambda module: module.__name__)
@pytest.mark.parametrize(("part", "kind"), [("forward", Operation), ("segments", Segment)])
def test_a_table_of_other_fields_is_refused(module: ModuleType, part: str, kind: type) -> None:
    """One field less, two of one type swapped, and two of different types."""

    def columns(plan: Any) -> list[str]:
        return list(getattr(plan, part).table.dtype.names)

    def swapped(plan: Any, i: int, j: int) -> Any:
        names = columns(plan)
        names[i], names[j] = names[j], names[i]
        return with_columns(plan, part, names)

    dtype = dtype_of(module)
    engine(module, dtype, lambda plan: swapped(plan, 1, 1))
    for change in (
        lambda plan: with_columns(plan, part, columns(plan)[:-1]),
        lambda plan: swapped(plan, 0, 1),
        lambda plan: swapped(plan, 0, -1),
    ):
        with pytest.raises(ValueError, match="has the fields|Buffer dtype mismatch"):
            engine(module, dtype, change)
