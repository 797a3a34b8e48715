"""The assertions of this suite reject wrong results: each mutant of a right one must die.

A tolerance that lets zeros, a transposed kernel, a flipped sign or a dropped remainder through
tests nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import oracle
from support.comparison import assert_directions, assert_gradients
from support.mark import slow_but
from support.product_chain import product_chain
from support.random_network import random_case
from support.tolerance import assert_different, assert_near, assert_product

import fastbp as fb
from fastbp.backend.numpy import engine as numpy_engine

Array = NDArray[Any]


def dies() -> Any:
    return pytest.raises(AssertionError)


def product_mutants(a: Array, b: Array, start: Array) -> dict[str, Array]:
    """Products as a broken kernel would give them."""
    right = start + a @ b
    last_row, last_column = right.copy(), right.copy()
    last_row[-1], last_column[:, -1] = 0, 0
    return {
        "zeros": np.zeros_like(right),
        "transposed kernel": start + a @ b.T,
        "flipped sign": -right,
        "sign of the product": start - a @ b,
        "dropped last term": start + a[:, :-1] @ b[:-1],
        "dropped first term": start + a[:, 1:] @ b[1:],
        "dropped start": a @ b,
        "doubled start": 2 * start + a @ b,
        "dropped last row": last_row,
        "dropped last column": last_column,
        "shifted by a row": np.roll(right, 1, axis=0),
        "nan": np.full_like(right, np.nan),
    }


@pytest.mark.parametrize("size", slow_but([3, 17, 64], [3, 17, 64, 257]))
def test_mutants_of_a_product_die(size: int, dtype: str) -> None:
    rng = np.random.default_rng(size)
    a, b, start = rng.normal(size=(3, size, size))
    assert_product(start + a @ b, a, b, start=start, dtype=dtype)
    for name, mutant in product_mutants(a, b, start).items():
        with dies():
            assert_product(mutant, a, b, start=start, dtype=dtype)
            pytest.fail(f"survived: {name}", pytrace=False)


def test_mutants_of_a_chain_die(dtype: str) -> None:
    """Another order of summation, or two roundings for one, change bits somewhere."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(9, 40)).astype(dtype), rng.normal(size=(40, 16)).astype(dtype)
    zero = np.zeros((9, 16), dtype)
    right = product_chain(a, b, zero, fused=True)[-1]
    mutants = [
        product_chain(a, b, zero, fused=False)[-1],
        product_chain(a[:, ::-1], b[::-1], zero, fused=True)[-1],
        product_chain(a[:, :20], b[:20], zero, fused=True)[-1]
        + product_chain(a[:, 20:], b[20:], zero, fused=True)[-1],
    ]
    for mutant in mutants:
        assert mutant.tobytes() != right.tobytes()
        assert_product(mutant, a, b, dtype=dtype)


def _last_row_dropped(case: Any) -> oracle.Tape:
    return oracle.gradient(case.layers, case.loss, case.weights, case.X[:-1], case.y[:-1])[2]


GRADIENT_MUTANTS: dict[str, Callable[[list[Array], Any], list[Array]]] = {
    "zeros": lambda g, case: [np.zeros_like(part) for part in g],
    "one tensor of zeros": lambda g, case: [*g[:-1], np.zeros_like(g[-1])],
    "flipped sign": lambda g, case: [-part for part in g],
    "flipped sign of the first": lambda g, case: [-g[0], *g[1:]],
    "one per cent more": lambda g, case: [1.01 * part for part in g],
    "n - 1 for n": lambda g, case: [part * len(case.X) / (len(case.X) - 1) for part in g],
    "reversed": lambda g, case: [part[..., ::-1] for part in g],
    "last row dropped": lambda g, case: [
        np.asarray(part) for part in _last_row_dropped(case).gradients
    ],
    "one element lost": lambda g, case: [_without_largest(g[0]), *g[1:]],
    "nan": lambda g, case: [part * np.nan for part in g],
}


def _without_largest(part: Array) -> Array:
    found = part.copy()
    found.flat[np.abs(part).argmax()] = 0
    return found


@pytest.mark.parametrize("name", GRADIENT_MUTANTS)
@pytest.mark.parametrize("seed", slow_but([3, 6], [3, 6, 11, 23, 32]))
def test_mutants_of_a_gradient_die(seed: int, name: str, dtype: str) -> None:
    case = random_case(seed)
    _, dX, tape = oracle.gradient(case.layers, case.loss, case.weights, case.X, case.y)
    right = [np.asarray(part) for part in tape.gradients]
    rows = len(case.X)
    assert rows > 2 and all(np.abs(part).max() > 0 for part in right)
    assert_gradients(right, tape, rows=rows, dtype=dtype)
    mutant = GRADIENT_MUTANTS[name](right, case)
    with dies():
        assert_gradients(mutant, tape, rows=rows, dtype=dtype)
    if dtype == "float64":
        assert_directions(right, dX, case, tape, seed=seed)
        with dies():
            assert_directions(mutant, dX, case, tape, seed=seed)
        with dies():
            assert_directions(right, 1.01 * dX, case, tape, seed=seed)


@pytest.mark.parametrize("seed", [3, 11])
def test_mutants_of_a_backward_pass_die(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A derivative that the chain rule gets wrong does not pass the complex step."""
    case = random_case(seed)
    right = oracle.slope
    monkeypatch.setattr(oracle, "slope", lambda activation, z: right(activation, z) * (1 + 1e-9))
    _, dX, tape = oracle.gradient(case.layers, case.loss, case.weights, case.X, case.y)
    with dies():
        assert_directions([np.asarray(g) for g in tape.gradients], dX, case, tape, seed=seed)


def _output_scaled(find: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*own: Any) -> Any:
        forward, kept, backward = find(*own)
        return lambda z: forward(z) * (1 + 1e-8), kept, backward

    return mutant


def _slope_scaled(find: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*own: Any) -> Any:
        forward, kept, backward = find(*own)
        return forward, kept, lambda d, slope, a: backward(d, slope, a) * (1 + 1e-8)

    return mutant


def _last_lost(find: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*own: Any) -> Any:
        forward, kept, backward = find(*own)

        def lossy(d: Array, slope: Array, a: Array) -> Array:
            found: Array = backward(d, slope, a).copy()
            found[-1, -1] = 0
            return found

        return forward, kept, lossy

    return mutant


def _gradient_scaled(find: Callable[..., Any]) -> Callable[..., Any]:
    def mutant(*own: Any) -> Any:
        rows = find(*own)
        return lambda out, y, scale, d, weight: rows(out, y, scale * (1 + 1e-8), d, weight)

    return mutant


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("find_activation", _output_scaled),
        ("find_activation", _slope_scaled),
        ("find_activation", _last_lost),
        ("find_loss", _gradient_scaled),
    ],
)
def test_mutants_of_an_engine_die(
    name: str, change: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The NumPy engine with one of its functions off by 1e-8, or one element."""
    case = random_case(6)
    _, _, tape = oracle.gradient(case.layers, case.loss, case.weights, case.X, case.y)
    rows = len(case.X)

    def gradients() -> list[Array]:
        network = fb.Network(case.layers, loss=case.loss, dtype="float64", backend="numpy", seed=0)
        network.set_weights(case.weights)
        network.trace(case.X, case.y)
        return list(network.gradients.values())

    assert_gradients(gradients(), tape, rows=rows, dtype="float64")
    monkeypatch.setattr(numpy_engine, name, change(getattr(numpy_engine, name)))
    with dies():
        assert_gradients(gradients(), tape, rows=rows, dtype="float64")


def wrong_adam(
    optimizer: Any, w: Array, g: Array, state: list[Array], t: int, mutant: str
) -> tuple[Array, list[Array]]:
    """A step as a subtly wrong optimizer would take it."""
    beta1, beta2, rate, epsilon = (
        optimizer.beta1,
        optimizer.beta2,
        optimizer.learning_rate,
        optimizer.epsilon,
    )
    m = beta1 * state[0] + (1 - beta1) * g
    v = beta2 * state[1] + (1 - beta2) * (g if mutant == "v of g" else g * g)
    late = t + 1 if mutant == "t + 1" else t
    m_hat = m if mutant == "m not corrected" else m / (1 - beta1**late)
    v_hat = v if mutant == "v not corrected" else v / (1 - beta2**late)
    if mutant == "epsilon in the root":
        return w - rate * m_hat / np.sqrt(np.abs(v_hat) + epsilon), [m, v]
    return w - rate * m_hat / (np.sqrt(np.abs(v_hat)) + epsilon), [m, v]


@pytest.mark.parametrize(
    "mutant", ["v of g", "t + 1", "m not corrected", "v not corrected", "epsilon in the root"]
)
@pytest.mark.parametrize("steps", [1, 10])
def test_mutants_of_adam_die(mutant: str, steps: int, dtype: str) -> None:
    rng, optimizer = np.random.default_rng(5), fb.Adam(0.01)
    right = wrong = rng.normal(size=40)
    states: list[list[Array]] = [[np.zeros(40), np.zeros(40)] for _ in range(2)]
    for t in range(1, steps + 1):
        g = rng.normal(size=40) * (1e-3 if mutant == "epsilon in the root" else 1)
        right, states[0] = oracle.step(optimizer, right, g, states[0], t)
        wrong, states[1] = wrong_adam(optimizer, wrong, g, states[1], t, mutant)
    with dies():
        assert_near(wrong, right, dtype=dtype, length=steps, magnitude=np.abs(right) + 0.1 * steps)


@pytest.mark.parametrize("steps", [2, 10])
def test_mutants_of_sgd_die(steps: int, dtype: str) -> None:
    """Momentum, Nesterov, plain, and momentum dampened: no two of them pass for each other."""
    rng = np.random.default_rng(6)
    kinds = [
        fb.SGD(0.1),
        fb.SGD(0.1, momentum=0.9),
        fb.SGD(0.1, momentum=0.9, nesterov=True),
        fb.SGD(0.1, momentum=0.89),
    ]
    gradients, start = rng.normal(size=(steps, 40)), rng.normal(size=40)
    ends = []
    for kind in kinds:
        w, state = start, [np.zeros(40)]
        for t, g in enumerate(gradients, 1):
            w, state = oracle.step(kind, w, g, state, t)
        ends.append(w)
    for i, right in enumerate(ends):
        for wrong in ends[:i] + ends[i + 1 :]:
            with dies():
                assert_near(
                    wrong, right, dtype=dtype, length=steps, magnitude=np.abs(right) + 0.1 * steps
                )


def test_assertions_look_at_what_they_are_given() -> None:
    """Wrong shapes, values that do not vary and an oracle that fails are errors, not passes."""
    with pytest.raises(AssertionError, match="has shape"):
        assert_near(np.ones(3), 1.0, dtype="float64", length=1)
    with pytest.raises(AssertionError, match="not finite"):
        assert_near(np.nan, np.nan, dtype="float64", length=1)
    with pytest.raises(AssertionError, match="do not vary"):
        assert_different([1.0], [1.0], dtype="float64", length=1, magnitude=1)
    with pytest.raises(AssertionError, match=r"result\[1\] = .*1 of 2 are off"):
        assert_near([1.0, 2.0], [1.0, 2.1], dtype="float32", length=1)
