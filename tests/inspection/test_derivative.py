"""Jacobians, input gradients and gradients of single rows: by hand, by complex step, by
differences, beside PyTorch, and what they promise.
"""

from __future__ import annotations

import threading
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray
from support import child, oracle
from support.mark import slow_but
from support.network_state import trained
from support.random_network import Case, random_case
from support.refusal import bad_input
from support.tolerance import COMPLEX_STEP, assert_near, depth, difference_bound

import fastbp as fb
from fastbp.backend.numpy.operation import GRADIENTS
from fastbp.runtime.tile import ROW_GRADIENTS, TILE_ROWS

Array = NDArray[Any]
SEEDS = range(120)


def network_of(case: Case, backend: str, dtype: str = "float64") -> fb.Network:
    network = fb.Network(case.layers, loss=case.loss, dtype=dtype, backend=backend, seed=0)
    network.set_weights(case.weights)
    return network


def stepped(case: Case, feature: int) -> Array:
    """d output / d X[:, feature] by a complex step of the oracle."""
    X = case.X.astype(complex)
    X[:, feature] += 1j * COMPLEX_STEP
    out, _, _ = oracle.run(case.layers, list(case.weights), X)
    return np.asarray(out.imag / COMPLEX_STEP)


def roundings(case: Case) -> float:
    """On the way to a derivative of a row."""
    _, _, tape = oracle.run(case.layers, list(case.weights), case.X)
    return depth(tape.layers_in, 1)


# by hand


def slopes_of(name: str) -> tuple[Any, dict[str, float]]:
    """A worked example, and what its page prints of the gradients of the first step."""
    example = fb.examples.load(name)
    printed = {
        row["quantity"]: row["printed"] for row in example.hand
        if row["step"] == 1 and row["verdict"] == "agrees"
    }  # fmt: skip
    return example, printed


def test_the_worked_example(backend: str) -> None:
    """2-2-1 with a sigmoid: dL/dw as the page prints them, and dL/dx from its own numbers."""
    example, printed = slopes_of("linear_sigmoid")
    network = fb.examples.load("linear_sigmoid", backend=backend).network
    X, y = example.X[:1], example.y[:1]
    kernel_1, bias_1, kernel_2, bias_2 = network.per_example_gradients(X, y)
    assert kernel_1.shape == (1, 2, 2) and bias_2.shape == (1, 1)
    found = {
        "dL/dw1": kernel_1[0, 0, 0], "dL/dw2": kernel_1[0, 1, 0], "dL/dw3": kernel_1[0, 0, 1],
        "dL/dw4": kernel_1[0, 1, 1], "dL/dw5": kernel_2[0, 0, 0], "dL/dw6": kernel_2[0, 1, 0],
        "dL/db": bias_2[0, 0], "dL/db1": bias_1[0, 0], "dL/db2": bias_1[0, 1],
    }  # fmt: skip
    for name, value in found.items():
        assert abs(value - printed[name]) < 0.1 * abs(printed[name]) + 5e-4, name
    # z = 0.1 h1 + 0.3 h2 + 0.4 = 1.62, h1 = 0.1 x1 + 0.5 x2 + 0.7, h2 = 0.2 x1 + 0.4 x2 + 0.3
    out = 1 / (1 + np.exp(-1.62))
    slope = out * (1 - out) * np.array([0.1 * 0.1 + 0.3 * 0.2, 0.1 * 0.5 + 0.3 * 0.4])
    for got, want in (
        (network.jacobian(X)[0, 0], slope),
        (network.input_gradient(X)[0], slope),
        (network.input_gradient(X, y)[0], 2 * (out - 1) * slope),
    ):
        assert_near(got, want, dtype="float64", length=8)


def test_preprocessing_belongs_to_the_network(backend: str, dtype: str) -> None:
    """d/dX of ((X - 5) / 2) * 3 is 1.5: in the units of X."""
    layers = [fb.Input(1), fb.Standardize(5, std=2), fb.Dense(1, weights=[[3]])]
    network = fb.Network(layers, seed=0, dtype=dtype, backend=backend)
    assert network.jacobian([[1.0], [2.0]]).tolist() == [[[1.5]], [[1.5]]]


@pytest.mark.parametrize(
    ("loss", "shown"),
    [("cross_entropy", "softmax"), ("binary_cross_entropy", "sigmoid"), ("poisson", "exponential")],
)
@pytest.mark.parametrize("declares", [False, True])
def test_of_outputs_or_of_responses(loss: str, shown: str, declares: bool, backend: str) -> None:
    """net(X) by default, which is the logits where the layers do not say otherwise."""
    z = np.array([[0.3, -0.2], [1.0, 2.0]])
    end = fb.Dense(2, shown if declares else None, weights=np.eye(2))
    network = fb.Network([fb.Input(2), end], loss=loss, dtype="float64", backend=backend, seed=0)
    p = network.predict(z)
    slope = {
        "softmax": p[:, :, None] * (np.eye(2) - p[:, None, :]),
        "sigmoid": (p * (1 - p))[:, :, None] * np.eye(2),
        "exponential": p[:, :, None] * np.eye(2),
    }[shown]
    assert_near(network.jacobian(z, response=True), slope, dtype="float64", length=8, magnitude=8)
    raw = slope if declares else np.broadcast_to(np.eye(2), (2, 2, 2))
    assert_near(network.jacobian(z), raw, dtype="float64", length=8, magnitude=8)
    assert_near(
        network.input_gradient(z, output=1), raw[:, 1], dtype="float64", length=8, magnitude=8
    )


# by complex step, of random networks


@pytest.mark.parametrize("seed", slow_but(SEEDS[::5], SEEDS))
def test_jacobians_of_random_networks(seed: int, backend: str) -> None:
    case = random_case(seed)
    found = network_of(case, backend).jacobian(case.X)
    want = np.stack([stepped(case, j) for j in range(case.X.shape[1])], axis=2)
    assert found.shape == want.shape and found.dtype == np.float64
    length = roundings(case)
    assert_near(found, want, dtype="float64", length=length, magnitude=np.abs(want).max() + 1)
    single = network_of(case, backend, "float32").jacobian(case.X)
    assert single.dtype == np.float32
    assert_near(single, want, dtype="float32", length=length, magnitude=np.abs(want).max() + 1)


@pytest.mark.parametrize("seed", slow_but(SEEDS[::5], SEEDS))
def test_losses_of_rows_of_random_networks(seed: int, backend: str) -> None:
    """By the input as by a complex step of the row's own loss; by the parameters as the oracle's
    chain rule for the row alone, their sum its own for all rows.
    """
    case = random_case(seed)
    network = network_of(case, backend)
    found = network.input_gradient(case.X, case.y)
    gradients = network.per_example_gradients(case.X, case.y)
    assert [g.shape[1:] for g in gradients] == [w.shape for w in trained(network)]
    length = roundings(case)
    rng = np.random.default_rng(seed)
    for row in {0, len(case.X) - 1}:
        one = slice(row, row + 1)
        direction = rng.normal(size=case.X.shape[1])
        X = case.X[one] + 1j * COMPLEX_STEP * direction
        out, _, _ = oracle.run(case.layers, list(case.weights), X, loss=case.loss.name)
        value = oracle.loss_value(case.loss, out, case.y[one]).imag / COMPLEX_STEP
        _, dX, tape = oracle.gradient(
            case.layers, case.loss, case.weights, case.X[one], case.y[one], by_batch=False
        )
        size = (np.abs(dX).max() + np.abs(found[row]).max()) * np.abs(direction).sum()
        assert_near(found[row] @ direction, value, dtype="float64", length=length, magnitude=size)
        # what is rounded near the output reaches every layer before it
        most = max(float(own.max()) for own in tape.magnitudes if own is not None)
        for got, want in zip(gradients, tape.gradients, strict=True):
            assert want is not None
            size = max(most, np.abs(got).max())  # a row's own loss may be all cancellation
            assert_near(got[row], want, dtype="float64", length=length, magnitude=size)
    if tape.moving:  # `trace` goes by the statistics of the batch
        return
    network.trace(case.X, case.y)
    for got, whole in zip(gradients, network.gradients.values(), strict=True):
        size = np.abs(got).sum(axis=0).max() / len(case.X)
        assert_near(
            got.mean(axis=0), whole, dtype="float64", length=length + len(case.X), magnitude=size
        )


def test_by_differences(backend: str) -> None:
    """A difference quotient of the network's own outputs: nothing of the oracle in it."""
    rng, h = np.random.default_rng(0), 1e-6
    network = fb.Network([3, 8, 2], activation="tanh", dtype="float64", backend=backend, seed=0)
    X = rng.normal(size=(5, 3))
    steps = h * np.eye(3)
    want = np.stack([(network(X + e) - network(X - e)) / (2 * h) for e in steps], axis=2)
    error = np.abs(network.jacobian(X) - want)
    assert (error <= difference_bound(h, order=2, value=want)).all()


# beside PyTorch


def test_beside_torch(backend: str) -> None:
    torch = pytest.importorskip("torch")
    func = pytest.importorskip("torch.func")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 4)), rng.integers(3, size=9)
    network = fb.Network(
        [4, 7, 3], activation="tanh", loss="cross_entropy", dtype="float64", backend=backend, seed=0
    )
    weights = [torch.from_numpy(w) for w in network.get_weights()]

    def logits(w: Any, x: Any) -> Any:
        return torch.tanh(x @ w[0] + w[1]) @ w[2] + w[3]

    def loss(w: Any, x: Any, label: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits(w, x), label)

    rows, labels = torch.from_numpy(X), torch.from_numpy(y)
    jacobian = func.vmap(func.jacrev(logits, argnums=1), in_dims=(None, 0))(weights, rows)
    by_row = func.vmap(func.grad(loss, argnums=(0, 1)), in_dims=(None, 0, 0))
    gradients, inputs = by_row(weights, rows, labels)
    assert_near(network.jacobian(X), jacobian, dtype="float64", length=40, magnitude=4)
    assert_near(network.input_gradient(X, y), inputs, dtype="float64", length=40, magnitude=4)
    for got, want in zip(network.per_example_gradients(X, y), gradients, strict=True):
        assert_near(got, want, dtype="float64", length=40, magnitude=4)


# promises


def classifier(backend: str, dtype: str = "float32") -> fb.Network:
    layers = [
        fb.Input(5), fb.Dense(33, "tanh"), fb.LayerNorm(), fb.Dropout(0.5),
        fb.Residual([fb.Dense(33, "gelu")]), fb.Dense(3),
    ]  # fmt: skip
    return fb.Network(layers, loss="cross_entropy", dtype=dtype, backend=backend, seed=3)


def data(n: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(n)
    return rng.normal(size=(n, 5)).astype(np.float32), rng.integers(3, size=n)


def test_a_row_alone_has_the_bits_of_a_batch(dtype: str) -> None:
    network = classifier("cython", dtype)
    X, y = data(2 * TILE_ROWS + 3)
    jacobian, inputs = network.jacobian(X), network.input_gradient(X, y)
    gradients = network.per_example_gradients(X, y)
    for i in (0, 7, TILE_ROWS, len(X) - 1):
        row, label = X[i : i + 1], y[i : i + 1]
        np.testing.assert_array_equal(jacobian[i], network.jacobian(X[i]))
        np.testing.assert_array_equal(jacobian[i], network.jacobian(row)[0])
        np.testing.assert_array_equal(inputs[i], network.input_gradient(row, label)[0])
        for own, one in zip(gradients, network.per_example_gradients(row, label), strict=True):
            np.testing.assert_array_equal(own[i], one[0])
        network.trace(row, label)
        for own, traced in zip(gradients, network.gradients.values(), strict=True):
            np.testing.assert_array_equal(own[i], traced)


BITS = """
import hashlib, json, numpy as np, fastbp as fb
rng = np.random.default_rng(0)
told = []
for dtype in ("float32", "float64"):
    net = fb.Network([5, 33, 7, 3], activation="tanh", loss="cross_entropy", dtype=dtype, seed=1)
    X, y = rng.normal(size=(300, 5)), rng.integers(3, size=300)
    found = [net.jacobian(X, response=True), net.input_gradient(X, y)]
    found += [net.input_gradient(X, output=y)]
    found += net.per_example_gradients(X, y)
    told += [hashlib.sha256(part.tobytes()).hexdigest() for part in found]
print(json.dumps(told))
"""


@pytest.mark.parametrize("pair", [("v4", "v3"), ("v2", "portable")])
def test_same_bits_on_both_instruction_sets(pair: tuple[str, str]) -> None:
    from fastbp.backend import compiled_modules

    known = {isa for isa, _ in compiled_modules()}
    if not known.issuperset(pair):
        pytest.skip(f"not compiled, or not of this processor: {pair}")
    first, second = (child.result(BITS, FASTBP_ISA=name) for name in pair)
    assert first == second and len(first) == 18


def test_backends_agree(dtype: str) -> None:
    X, y = data(40)
    one, other = (classifier(backend, dtype) for backend in ("cython", "numpy"))
    for got, want in (
        (one.jacobian(X), other.jacobian(X)),
        (one.input_gradient(X, y), other.input_gradient(X, y)),
        *zip(one.per_example_gradients(X, y), other.per_example_gradients(X, y), strict=True),
    ):
        assert_near(got, want, dtype=dtype, length=2**9, magnitude=np.abs(want).max())


def test_every_sum_of_gradients_has_its_rows() -> None:
    assert ROW_GRADIENTS.keys() == GRADIENTS.keys()


def test_nothing_changes(backend: str) -> None:
    network, (X, y) = classifier(backend), data(4)
    out = network.forward(X)
    expected = network.copy()
    expected.forward(X)
    network.jacobian(X), network.input_gradient(X, y), network.per_example_gradients(X, y)
    with pytest.raises(RuntimeError, match="gradients need a backward"):
        _ = network.gradients
    network.backward(out)
    expected.backward(out)
    network.step(), expected.step()
    for got, want in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_layers_of_training_alone_are_off(backend: str) -> None:
    network, (X, _) = classifier(backend, "float64"), data(4)
    plain = fb.Network(
        [layer for layer in network.layers if not isinstance(layer, fb.Dropout)],
        loss="cross_entropy", dtype="float64", backend=backend, seed=0,
    )  # fmt: skip
    plain.set_weights(network.get_weights())
    np.testing.assert_array_equal(network.jacobian(X), plain.jacobian(X))


def test_parameters_that_changed_since(backend: str) -> None:
    """Also those written through a view, and of a frozen layer."""
    network = fb.Network(
        [fb.Input(2), fb.Dense(1, weights=[[1], [2]], trainable=False)], backend=backend, seed=0
    )
    assert network.jacobian([[0, 0]]).tolist() == [[[1, 2]]]
    network.parameters["dense_1/kernel"][...] = [[3], [4]]
    assert network.jacobian([[0, 0]]).tolist() == [[[3, 4]]]
    assert network.per_example_gradients([[1, 1]], [0])[0].ravel().tolist() == [14, 14]


# what comes


def test_kinds_of_input(backend: str) -> None:
    network, (X, y) = classifier(backend), data(6)
    want = network.jacobian(X)
    for other in (X.tolist(), np.asfortranarray(X), X.astype(np.float64), np.repeat(X, 2, 0)[::2]):
        np.testing.assert_array_equal(network.jacobian(other), want)
    assert network.jacobian(X[:0]).shape == (0, 3, 5)
    assert network.jacobian(X[0]).shape == (3, 5)
    assert network.input_gradient(X[0], output=2).shape == (5,)
    assert network.input_gradient(X[:0], output=2).shape == (0, 5)
    by_class = network.input_gradient(X, output=y)
    np.testing.assert_array_equal(by_class, want[np.arange(6), y])
    np.testing.assert_array_equal(network.input_gradient(X, output=np.int8(1)), want[:, 1])
    one_hot = np.eye(3)[y]
    of_rows, of_labels = network.input_gradient(X, one_hot), network.input_gradient(X, y)
    assert_near(of_rows, of_labels, dtype="float32", length=200, magnitude=1)


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda n, X, y: n.jacobian(X[:, :4]), ValueError, "X has 4 features"),
    (lambda n, X, y: n.jacobian(X * np.nan), ValueError, "contains NaN"),
    (lambda n, X, y: n.jacobian(X, response="yes"), TypeError, "^response must be"),
    (lambda n, X, y: n.jacobian(X, True), TypeError, "positional"),
    (lambda n, X, y: n.input_gradient(X), ValueError,
     "^input_gradient needs y or output: network has 3 outputs"),
    (lambda n, X, y: n.input_gradient(X, y, output=1), ValueError, "y or output, got both"),
    (lambda n, X, y: n.input_gradient(X, output=3), ValueError, r"^output = 3 is outside 0\.\.2$"),
    (lambda n, X, y: n.input_gradient(X, output=-1), ValueError, "^output = -1 is outside"),
    (lambda n, X, y: n.input_gradient(X, output=1.0), TypeError, "^output must be an int"),
    (lambda n, X, y: n.input_gradient(X, output=True), TypeError, "^output must be an int"),
    (lambda n, X, y: n.input_gradient(X, output="a"), TypeError, "^output must be an int"),
    (lambda n, X, y: n.input_gradient(X, output=[0, 1]), ValueError, "or 6 ints, got shape"),
    (lambda n, X, y: n.input_gradient(X, output=[0, 1, 2, 0, 5, 0]), ValueError,
     r"^output\[4\] = 5 is outside"),
    (lambda n, X, y: n.input_gradient(X, y[:5]), ValueError, "X has 6 rows, y has 5"),
    (lambda n, X, y: n.input_gradient(X[0], y[:1]), ValueError, "Expected 2D array"),
    (lambda n, X, y: n.per_example_gradients(X, y + 1), ValueError, r"is outside 0\.\.2"),
    (lambda n, X, y: n.per_example_gradients(X[:0], y[:0]), ValueError, "0 sample"),
]  # fmt: skip


@bad_input("output to differentiate")
@pytest.mark.parametrize("index", range(len(BAD)))
def test_bad_input(index: int, backend: str) -> None:
    call, kind, match = BAD[index]
    network, (X, _) = classifier(backend), data(6)
    y = np.array([0, 1, 2, 0, 1, 2])
    with pytest.raises(kind, match=match):
        call(network, X, y)
    network.jacobian(X)  # and it is free


@bad_input("loss to differentiate")
def test_a_loss_function(backend: str) -> None:
    """It knows batches alone; what the layers output has its derivatives all the same."""

    def mse(y: Array, output: Array) -> tuple[float, Array]:
        return float(((output - y) ** 2).mean()), 2 * (output - y) / output.size

    network = fb.Network([5, 3], loss=mse, seed=0, backend=backend)
    X, y = data(6)[0], np.zeros((6, 3))
    assert network.jacobian(X).shape == (6, 3, 5)
    v = network.get_weights()
    for verb, call in {
        r"input_gradient\(X, y\)": lambda: network.input_gradient(X, y),
        "per_example_gradients": lambda: network.per_example_gradients(X, y),
        "hessian_vector_product": lambda: network.hessian_vector_product(X, y, v),
    }.items():
        with pytest.raises(ValueError, match=f"^{verb} needs a loss by name, got function 'mse'"):
            call()


def test_rows_that_are_converted_in_parts(backend: str) -> None:
    """Of an array so large that it is not copied whole."""
    network, (X, _) = classifier(backend), data(300)
    want = network.jacobian(X, response=True)
    with patch("fastbp.runtime.predict.MOST_BYTES", 0):
        found = network.jacobian(X.astype(np.float64), response=True)
    np.testing.assert_array_equal(found, want)


def test_busy() -> None:
    network, (X, y) = classifier("cython"), data(64)
    begun, end = threading.Event(), threading.Event()

    class Wait(fb.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert network.jacobian(X).shape == (64, 3, 5)  # a callback may ask
            begun.set()

    network.fit(X, y, epochs=1, callbacks=[Wait()])
    assert begun.is_set() and not end.is_set()
    guard, token = network._state.guard, object()
    guard.begin_writing(token)
    for verb in (
        lambda: network.jacobian(X), lambda: network.input_gradient(X, y),
        lambda: network.per_example_gradients(X, y),
    ):  # fmt: skip
        with pytest.raises(fb.ModelBusyError):
            verb()
    guard.writers.discard(token)
