"""H v: by hand, by complex step of the chain rule, beside PyTorch, and what it promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from inspection.test_derivative import classifier, data, network_of
from numpy.typing import NDArray
from support import oracle
from support.kernels import needs_kernels
from support.mark import slow_but
from support.network_state import trained
from support.random_network import EACH_LOSS, random_case
from support.refusal import bad_input
from support.tolerance import assert_near, depth, difference_bound

import fastbp as fb
from fastbp.activation import ACTIVATIONS, OF_ROWS
from fastbp.backend import engine_module
from fastbp.backend.numpy.dual import Dual
from fastbp.backend.numpy.kernel import ROW_LOSSES
from fastbp.backend.numpy.operation import Operations
from fastbp.backend.numpy.tangent import TangentEngine
from fastbp.inspection import hessian
from fastbp.loss import LOSSES
from fastbp.plan.arena import allocate
from fastbp.runtime import engine_cache

Array = NDArray[Any]
SEEDS = range(220)


def direction_of(network: fb.Network, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng([seed, 5])
    return [rng.normal(size=w.shape) for w in trained(network)]


def along(a: list[Array], b: list[Array]) -> float:
    return float(sum((x * y).sum() for x, y in zip(a, b, strict=True)))


def test_by_hand(backend: str) -> None:
    """L = (w2 tanh(w1 x) - y)^2 of one row: its four second derivatives written out."""
    w1, w2, x, y = 0.5, -1.5, 0.8, 0.3
    layers = [
        fb.Input(1), fb.Dense(1, "tanh", use_bias=False, weights=[[w1]]),
        fb.Dense(1, use_bias=False, weights=[[w2]]),
    ]  # fmt: skip
    network = fb.Network(layers, dtype="float64", backend=backend, seed=0)
    t = np.tanh(w1 * x)
    slope, e = 1 - t * t, w2 * t - y
    h11 = 2 * (w2 * slope * x) ** 2 + 2 * e * w2 * (-2 * t * slope) * x * x
    h12 = 2 * (w2 * slope * x) * t + 2 * e * slope * x
    h22 = 2 * t * t
    H = np.array([[h11, h12], [h12, h22]])
    for v in ([1, 0], [0, 1], [2, -3]):
        found = network.hessian_vector_product([[x]], [y], [[[v[0]]], [[v[1]]]])
        assert_near([g[0, 0] for g in found], H @ v, dtype="float64", length=8, magnitude=8)


@pytest.mark.parametrize("seed", slow_but(SEEDS[::5], SEEDS))
def test_random_networks(seed: int, backend: str) -> None:
    """As a complex step of the oracle's gradient; and H is symmetric."""
    case = random_case(seed)
    network = network_of(case, backend)
    v, u = direction_of(network, seed), direction_of(network, seed + 1000)
    found = network.hessian_vector_product(case.X, case.y, v)
    want = oracle.hessian_product(case.layers, case.loss, case.weights, case.X, case.y, v)
    _, _, tape = oracle.run(case.layers, list(case.weights), case.X)
    length = 4 * depth(tape.layers_in, len(case.X))
    size = max(1.0, *(float(np.abs(w).max(initial=0)) for w in want))
    for got, expected in zip(found, want, strict=True):
        assert_near(got, expected, dtype="float64", length=length, magnitude=size)
    other = network.hessian_vector_product(case.X, case.y, u)
    n = sum(w.size for w in want)
    assert_near(
        along(u, found), along(v, other), dtype="float64", length=length, magnitude=size * n
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str, backend: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    network = fb.Network([3, 6, 2], activation=activation, dtype=dtype, backend=backend, seed=0)
    X, y, v = rng.normal(size=(8, 3)).astype(dtype), rng.normal(size=(8, 2)), direction_of(network)
    weights = [w.astype(float) for w in network.get_weights()]
    y = y.astype(dtype).astype(float)
    want = oracle.hessian_product(list(network.layers), network.loss, weights, X, y, v)
    for got, expected in zip(network.hessian_vector_product(X, y, v), want, strict=True):
        assert_near(got, expected, dtype=dtype, length=200, magnitude=8)


@needs_kernels
@pytest.mark.parametrize("rows", [1, 1000])
@pytest.mark.parametrize("seed", range(len(EACH_LOSS)), ids=lambda seed: EACH_LOSS[seed].name)
def test_backends_agree(seed: int, rows: int, dtype: str) -> None:
    """Every loss, some rows of its case again and again, up to several tiles."""
    case = random_case(seed)
    again = np.arange(rows) % len(case.X)
    found = []
    for backend in ("cython", "numpy"):
        network = network_of(case, backend, dtype)
        v = direction_of(network, seed)
        found.append(network.hessian_vector_product(case.X[again], case.y[again], v))
    size = max(1.0, *(float(np.abs(w).max(initial=0)) for w in found[1]))
    _, _, tape = oracle.run(case.layers, list(case.weights), case.X)
    for got, want in zip(*found, strict=True):
        assert_near(got, want, dtype=dtype, length=4 * depth(tape.layers_in, 70), magnitude=size)


def compiled_engine_module() -> Any:
    module = engine_module("cython", np.dtype("float64"))
    if not hasattr(module, "TangentPass"):
        pytest.skip("a build without second derivatives")
    return module


@needs_kernels
def test_dense_networks_need_no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every formula has a compiled tangent."""
    compiled_engine_module()
    monkeypatch.delattr(TangentEngine, "_run_one")
    monkeypatch.delattr(Operations, "_run_operation")
    monkeypatch.delattr(TangentEngine, "_ends")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), rng.uniform(0.1, 1, size=(5, 2))
    for name in set(ACTIVATIONS) - set(OF_ROWS):
        layers = [
            fb.Input(4), fb.Residual([fb.Dense(7, name), fb.Dense(4)]), fb.Activation(name),
            fb.Branch([[fb.Dense(3)], [fb.Dense(9, name)]], merge="concat"), fb.Dense(2),
        ]  # fmt: skip
        network = fb.Network(layers, backend="cython", seed=0)
        network.hessian_vector_product(X, y, direction_of(network))
    for loss in EACH_LOSS:
        if loss.formula not in ROW_LOSSES:
            n = 2 * {"quantile": np.size(loss.q), "gaussian_nll": 2}.get(loss.name, 1)
            network = fb.Network([4, 6, n], loss=loss, backend="cython", seed=0)
            target = np.round(y) if "binary" in loss.name or "hinge" in loss.name else y
            network.hessian_vector_product(X, target, direction_of(network))


@needs_kernels
def test_engines_that_do_not_fit_are_refused() -> None:
    module = compiled_engine_module()
    network = fb.Network([3, 4, 2], dtype="float64", backend="cython", seed=0)
    state = network._state
    size = state.layout.size

    def engine(rows: int, purpose: Any = "derivative") -> Any:
        plan = engine_cache.plan_of(state.architecture, state.loss, state.optimizer, purpose, rows)
        scratch = allocate(plan.arena.size, plan.dtype, purpose="a test", zero=True)
        return module.Engine(
            plan, np.zeros(size), np.zeros(plan.n_states * size), scratch, np.zeros(plan.n_tiles),
            np.ones(3), np.zeros(1),
        )  # fmt: skip

    eight = engine(8)
    for value, tangent, n in (
        (eight, engine(9), size), (engine(8, "trace"), engine(8, "trace"), size),
        (eight, eight, size - 1), (eight, eight, 0),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            module.TangentPass(value, tangent, np.zeros(n))
    own, y = module.TangentPass(eight, engine(8), np.zeros(size)), np.zeros((8, 2))
    for program, rows, target in (
        (4, 1, None), (-1, 1, None), (0, 9, None), (0, -1, None), (3, 7, y), (3, 8, y[:, :1]),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            own.run(program, 0, rows, True, target, 0.0)
    with pytest.raises((AttributeError, TypeError)):
        own.run(3, 0, 8, True, None, 0.0)
    assert own.run(0, 99, 8, True, None, 0.0) == 99


def test_an_engine_that_waits_keeps_nothing(backend: str) -> None:
    """Bits as of a new network: after other rows, other parameters, and what has overflowed."""
    network, (X, y) = classifier(backend, "float64"), data(40)
    v, w = direction_of(network), network.get_weights()
    first = network.hessian_vector_product(X[:7], y[:7], v)
    network.set_weights([1e200 * own for own in w])
    assert not np.isfinite(network.hessian_vector_product(X[:7], y[:7], v)[0]).all()
    network.hessian_vector_product(X, y, v)
    network.set_weights(w)
    for _ in range(2):
        for got, want in zip(network.hessian_vector_product(X[:7], y[:7], v), first, strict=True):
            np.testing.assert_array_equal(got, want)


def test_calls_at_the_same_time(backend: str) -> None:
    network, (X, y) = classifier(backend), data(300)
    v = direction_of(network)
    want = network.hessian_vector_product(X, y, v)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(network.hessian_vector_product, X, y, v) for _ in range(12)]
    for call in calls:
        for got, expected in zip(call.result(), want, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_cases_meet_every_loss() -> None:
    assert {random_case(seed).loss.name for seed in SEEDS[::5]} == set(LOSSES)


def assert_by_differences(network: fb.Network, X: Any, y: Any, v: Any) -> None:
    """H v beside the change of the gradient that `trace` finds."""
    h, ends, w = 1e-6, [], network.get_weights()
    found = network.hessian_vector_product(X, y, v)
    for sign in (1, -1):
        network.set_weights([a + sign * h * b for a, b in zip(w, v, strict=True)])
        network.trace(X, y)
        ends.append([g.copy() for g in network.gradients.values()])
    for got, plus, minus in zip(found, *ends, strict=True):
        want = (plus - minus) / (2 * h)
        assert (np.abs(got - want) <= difference_bound(h, order=2, value=want)).all()


def test_by_differences_of_the_gradient(backend: str) -> None:
    """Nothing of the oracle in it."""
    network = classifier(backend, "float64")
    X, y = data(9)
    assert_by_differences(network, X, y, direction_of(network))


def test_beside_torch() -> None:
    torch = pytest.importorskip("torch")
    func = pytest.importorskip("torch.func")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 4)), rng.integers(3, size=9)
    network = fb.Network(
        [4, 7, 3], activation="gelu", loss="cross_entropy", dtype="float64", seed=0
    )
    v = direction_of(network)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)

    def loss(w: Any) -> Any:
        hidden = torch.nn.functional.gelu(rows @ w[0] + w[1])
        return torch.nn.functional.cross_entropy(hidden @ w[2] + w[3], labels)

    weights, along_v = ([torch.from_numpy(w) for w in own] for own in (network.get_weights(), v))

    def slope(w: Any) -> Any:
        parts = zip(func.grad(loss)(w), along_v, strict=True)
        return sum((g * one).sum() for g, one in parts)

    want = func.grad(slope)(weights)
    for got, expected in zip(network.hessian_vector_product(X, y, v), want, strict=True):
        assert_near(got, expected, dtype="float64", length=60, magnitude=4)


def test_dtype_tiles_and_what_stays(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 is the rounded float64 of the same parameters; rows are taken tile by tile."""
    single, (X, y) = classifier(backend, "float32"), data(50)
    double = classifier(backend, "float64")
    double.set_weights(single.get_weights())
    v = direction_of(single)
    found = single.hessian_vector_product(X, y, v)
    before = single.get_weights()
    assert [g.dtype for g in found] == [np.float32] * len(v)
    monkeypatch.setattr(hessian, "TILE_ROWS", 16)
    for got, want in zip(found, double.hessian_vector_product(X, y, v), strict=True):
        assert_near(got, want, dtype="float32", length=4, magnitude=np.abs(want).max())
    for got, want in zip(single.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_kink_has_the_piece_of_the_slope() -> None:
    """At exactly 0, where ReLU's slope is 0, the second derivative is that of the zero."""
    layers = [fb.Input(1), fb.Dense(1, "relu", weights=[[1]]), fb.Dense(1, weights=[[1]])]
    network = fb.Network(layers, dtype="float64", seed=0)
    found = network.hessian_vector_product([[0]], [1], [[[1]], [1], [[1]], [1]])
    assert [g.ravel().tolist() for g in found] == [[0], [0], [0], [2]]


def test_what_has_no_rule_is_refused() -> None:
    x = Dual(np.ones(3), np.ones(3))
    for call in (lambda: np.cos(x), lambda: np.add.reduce(x), lambda: np.sort(x)):
        with pytest.raises(TypeError):
            call()


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda n, X, y, v: n.hessian_vector_product(X, y, v[:-1]), ValueError,
     r"^v must be \d+ arrays \(dense_1/kernel, "),
    (lambda n, X, y, v: n.hessian_vector_product(X, y, [v[0].T, *v[1:]]), ValueError,
     r"^v of dense_1/kernel is \(5, 33\), got \(33, 5\): transposed"),
    (lambda n, X, y, v: n.hessian_vector_product(X, y, n.parameters), TypeError,
     "^v must be a list of arrays"),
    (lambda n, X, y, v: n.hessian_vector_product(X, y, [v[0] * np.nan, *v[1:]]), ValueError,
     "v of dense_1/kernel contains NaN"),
    (lambda n, X, y, v: n.hessian_vector_product(X, y[:2], v), ValueError, "X has 4 rows"),
    (lambda n, X, y, v: n.hessian_vector_product(X[:, :2], y, v), ValueError, "2 features"),
]  # fmt: skip


@bad_input("direction")
@pytest.mark.parametrize("index", range(len(BAD)))
def test_bad_input(index: int, backend: str) -> None:
    call, kind, match = BAD[index]
    network, (X, y) = classifier(backend), data(4)
    with pytest.raises(kind, match=match):
        call(network, X, y, direction_of(network))
