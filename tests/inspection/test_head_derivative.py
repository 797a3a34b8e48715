"""Derivatives of networks with several outputs: by hand, by complex step and the chain rule of lone
networks, beside PyTorch, and what they promise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inspection.test_hessian import assert_by_differences
from numpy.typing import NDArray
from support import oracle
from support.head_case import data, lone_networks, network, random_heads, taken
from support.kernels import needs_kernels
from support.mark import slow_but
from support.network_state import trained
from support.refusal import bad_input
from support.tolerance import COMPLEX_STEP, assert_near, depth

import fastbp as fb
from fastbp.inspection import hessian
from fastbp.runtime.tile import TILE_ROWS

Array = NDArray[Any]
SEEDS = slow_but(range(0, 60, 4), range(60))


def by_hand(backend: str, dtype: str = "float64") -> fb.Network:
    """h = 2 x; a = 3 h; b = h / 2, -h / 4."""
    layers = [
        fb.Input(1), fb.Dense(1, weights=[[2]]),
        fb.Heads({"a": ([fb.Dense(1, weights=[[3]])], "mse"),
                  "b": ([fb.Dense(2, weights=[[0.5, -0.25]])], "half_sse", 0.5)}),
    ]  # fmt: skip
    return fb.Network(layers, dtype=dtype, backend=backend)


def test_by_hand(backend: str, dtype: str) -> None:
    net, X = by_hand(backend, dtype), [[1.0], [3.0]]
    found = net.jacobian(X)
    assert {name: own.tolist() for name, own in found.items()} == {
        "a": [[[6]], [[6]]], "b": [[[1], [-0.5]], [[1], [-0.5]]],
    }  # fmt: skip
    assert net.jacobian(X[0])["b"].tolist() == [[1], [-0.5]]
    assert net.input_gradient(X, output={"a": 0}).tolist() == [[6], [6]]
    assert net.input_gradient(X, output={"b": 1}).tolist() == [[-0.5], [-0.5]]
    assert net.input_gradient(X, output={"b": [1, 0]}).tolist() == [[-0.5], [1]]
    assert net.input_gradient(X[0], output={"b": 0}).tolist() == [1]
    # (a - y)^2 and 1/4 |b - y|^2; row 0: a = 6, b = 1, -0.5; row 1: a = 18, b = 3, -1.5
    y = {"a": [5.0, 18.0], "b": [[0.0, 0.0], [1.0, -1.5]]}
    # by h: 2 (a - y) 3 + 0.5 ((b0 - y0) / 2 - (b1 - y1) / 4)
    by_h = [6 + 0.5 * (0.5 + 0.125), 0 + 0.5 * 1.0]
    assert net.input_gradient(X, y).tolist() == [[2 * by_h[0]], [2 * by_h[1]]]
    names = dict(zip(net.parameters, net.per_example_gradients(X, y), strict=True))
    assert names["dense_1/kernel"].ravel().tolist() == [by_h[0], 3 * by_h[1]]
    assert names["dense_2/kernel"].ravel().tolist() == [2 * 2, 0]
    assert names["dense_3/kernel"].tolist() == [[[1.0, -0.5]], [[6 * 1.0, 0.0]]]
    assert names["dense_3/bias"].tolist() == [[0.5, -0.25], [1.0, 0.0]]


# by complex step and chain rule, of random networks


def roundings(layers: list[fb.Layer], weights: list[Array], X: Array) -> float:
    _, _, tape = oracle.run(layers, weights, X)
    return depth(tape.layers_in, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_jacobians_of_random_networks(seed: int, backend: str) -> None:
    trunk, heads, X, _ = random_heads(seed)
    layers = [*trunk, fb.Heads(heads)]
    net = fb.Network(layers, dtype="float64", backend=backend, seed=seed)
    single = fb.Network(layers, dtype="float32", backend=backend, seed=seed)
    single.set_weights(net.get_weights())
    weights = dict(net.parameters)
    found, of_single = net.jacobian(X), single.jacobian(X)
    assert list(found) == list(heads)
    for name, own, _, _, keys in lone_networks(trunk, heads, [*weights]):
        values, columns = [weights[key] for key in keys], []
        for j in range(X.shape[1]):
            moved = X.astype(complex)
            moved[:, j] += 1j * COMPLEX_STEP
            columns.append(oracle.run(own, list(values), moved)[0].imag / COMPLEX_STEP)
        want, length = np.stack(columns, axis=2), roundings(own, values, X)
        for got, dtype in ((found[name], "float64"), (of_single[name], "float32")):
            assert got.dtype == dtype
            size = np.abs(want).max() + 1
            assert_near(got, want, dtype=dtype, length=length, magnitude=size, name=name)
        for k in {0, want.shape[1] - 1}:
            np.testing.assert_array_equal(
                net.input_gradient(X, output={name: k}), found[name][:, k]
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_losses_of_rows_of_random_networks(seed: int, backend: str) -> None:
    """By the input as a complex step of the weighted sum of the lone losses of a row; by the
    parameters as their chain rule for the row alone.
    """
    trunk, heads, X, y = random_heads(seed)
    net = fb.Network([*trunk, fb.Heads(heads)], dtype="float64", backend=backend, seed=seed)
    weights = dict(net.parameters)
    found = net.input_gradient(X, y)
    gradients = dict(zip(weights, net.per_example_gradients(X, y), strict=True))
    assert [g.shape[1:] for g in gradients.values()] == [w.shape for w in trained(net)]
    direction = np.random.default_rng(seed).normal(size=X.shape[1])
    for row in {0, len(X) - 1}:
        one, length, most, along = slice(row, row + 1), 0.0, 1.0, 0.0
        sums = {name: np.zeros_like(own) for name, own in weights.items()}
        for name, own, loss, weight, keys in lone_networks(trunk, heads, [*weights]):
            values, target = [weights[key] for key in keys], y[name][one]
            moved = X[one] + 1j * COMPLEX_STEP * direction
            out, _, _ = oracle.run(own, list(values), moved, loss=loss.name)
            along += weight * oracle.loss_value(loss, out, target).imag / COMPLEX_STEP
            _, _, tape = oracle.gradient(own, loss, values, X[one], target)
            length = max(length, depth(tape.layers_in, 1))
            for key, by_key, size in zip(keys, tape.gradients, tape.magnitudes, strict=True):
                sums[key] += weight * by_key
                most = max(most, weight * float(np.abs(size).max()))
        size = (np.abs(found[row]).max() + most) * np.abs(direction).sum()
        length += len(heads)
        assert_near(found[row] @ direction, along, dtype="float64", length=length, magnitude=size)
        for key, want in sums.items():
            got = gradients[key][row]
            assert_near(got, want, dtype="float64", length=length, magnitude=most, name=key)
    net.trace(X, y)
    length += len(X)
    for key, whole in net.gradients.items():
        size, mean = max(most, np.abs(gradients[key]).max()), gradients[key].mean(axis=0)
        assert_near(mean, whole, dtype="float64", length=length, magnitude=size, name=key)


def test_of_outputs_or_of_responses(backend: str) -> None:
    """Each head by its own loss: softmax, none, sigmoid where its layers say so themselves."""
    kernel = np.array([[0.3, -0.2, 1.0], [1.0, 2.0, -0.5]])
    heads = {"c": ([fb.Dense(3, weights=kernel)], "cross_entropy"),
             "v": ([fb.Dense(1, weights=[[1], [-1]])], "mse"),
             "b": ([fb.Dense(1, "sigmoid", weights=[[2], [1]])], "bce")}  # fmt: skip
    net = fb.Network([fb.Input(2), fb.Heads(heads)], dtype="float64", backend=backend)
    X = np.random.default_rng(0).normal(size=(5, 2))
    response = net.predict(X)
    p, s = response["c"], (response["b"] * (1 - response["b"]))[:, :, None]
    soft = p[:, :, None] * (kernel.T - (p @ kernel.T)[:, None, :])
    linear, steep = np.array([[1.0, -1.0]]), s * [[2.0, 1.0]]
    for found, wanted in (
        (net.jacobian(X), {"c": kernel.T, "v": linear, "b": steep}),
        (net.jacobian(X, response=True), {"c": soft, "v": linear, "b": steep}),
    ):
        for name, want in wanted.items():
            want = np.broadcast_to(want, found[name].shape)
            assert_near(found[name], want, dtype="float64", length=8, magnitude=8)


# beside PyTorch


def test_beside_torch(backend: str) -> None:
    torch = pytest.importorskip("torch")
    func = pytest.importorskip("torch.func")
    X, y = data(9)
    net = network("float64", backend)
    w = [torch.from_numpy(own) for own in net.get_weights()]

    def outputs(w: Any, x: Any) -> Any:
        h = torch.relu(x @ w[0] + w[1])
        return torch.relu(h @ w[2] + w[3]) @ w[4] + w[5], h @ w[6] + w[7]

    def loss(w: Any, x: Any, label: Any, value: Any) -> Any:
        logits, price = outputs(w, x)
        cross = torch.nn.functional.cross_entropy(logits, label)
        return cross + 0.5 * ((price - value) ** 2).mean()

    rows, labels, values = (torch.from_numpy(own) for own in (X, y["class"], y["value"]))
    jacobian = func.vmap(func.jacrev(outputs, argnums=1), in_dims=(None, 0))(w, rows)
    for got, want in zip(net.jacobian(X).values(), jacobian, strict=True):
        assert_near(got, want, dtype="float64", length=100, magnitude=8)
    by_row = func.vmap(func.grad(loss, argnums=(0, 1)), in_dims=(None, 0, 0, 0))
    gradients, inputs = by_row(w, rows, labels, values)
    assert_near(net.input_gradient(X, y), inputs, dtype="float64", length=100, magnitude=8)
    for got, want in zip(net.per_example_gradients(X, y), gradients, strict=True):
        assert_near(got, want, dtype="float64", length=100, magnitude=8)


# promises


def every_layer(backend: str, dtype: str) -> fb.Network:
    """Layers with kernels of their own, in the trunk and in a head; trained a little."""
    heads = fb.Heads({
        "class": ([fb.Dense(17, "tanh"), fb.BatchNorm(), fb.Dropout(0.3), fb.Dense(3)],
                  "cross_entropy"),
        "value": ([fb.LayerNorm(), fb.Dense(1)], "mse", 0.5),
    })  # fmt: skip
    trunk = [fb.Input(20), fb.Dense(33, "gelu"), fb.BatchNorm(), fb.PReLU()]
    net = fb.Network([*trunk, heads], dtype=dtype, backend=backend, seed=2)
    net.fit(*data(40), epochs=1, batch_size=20)
    return net


@needs_kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_alone_has_the_bits_of_a_batch(dtype: str) -> None:
    net, (X, y) = every_layer("cython", dtype), data(2 * TILE_ROWS + 3)
    shown, logits, inputs = (
        net.jacobian(X, response=True),
        net.jacobian(X),
        net.input_gradient(X, y),
    )
    gradients = net.per_example_gradients(X, y)
    for i in (0, 7, TILE_ROWS, len(X) - 1):
        row, target = X[i : i + 1], taken(y, slice(i, i + 1))
        for name in shown:
            np.testing.assert_array_equal(shown[name][i], net.jacobian(X[i], response=True)[name])
            np.testing.assert_array_equal(logits[name][i], net.jacobian(row)[name][0])
        np.testing.assert_array_equal(inputs[i], net.input_gradient(row, target)[0])
        for own, one in zip(gradients, net.per_example_gradients(row, target), strict=True):
            np.testing.assert_array_equal(own[i], one[0])


def test_backends_agree(dtype: str) -> None:
    X, y = data(40)
    one, other = (every_layer(backend, "float64") for backend in ("cython", "numpy"))
    pair = []
    for net in (one, other):
        same = fb.Network(net.layers, dtype=dtype, backend=net.backend)
        same.set_weights(one.get_weights())
        found = [*same.jacobian(X).values(), *same.jacobian(X, response=True).values()]
        found += [same.input_gradient(X, y), *same.per_example_gradients(X, y)]
        pair.append(found)
    for got, want in zip(*pair, strict=True):
        assert_near(got, want, dtype=dtype, length=2**9, magnitude=np.abs(want).max())


def test_one_output_need_not_be_named(backend: str) -> None:
    net = fb.Network([fb.Input(2), fb.Heads({"a": ([fb.Dense(1)], "mse")})], backend=backend)
    X = np.ones((3, 2))
    np.testing.assert_array_equal(net.input_gradient(X), net.input_gradient(X, output={"a": 0}))


def test_by_the_predicted_class(backend: str) -> None:
    """What `predict_classes` gives is an `output`."""
    net, (X, _) = network("float64", backend), data(30)
    chosen = net.predict_classes(X)
    rows = net.jacobian(X)["class"][np.arange(30), chosen["class"]]
    np.testing.assert_array_equal(net.input_gradient(X, output=chosen), rows)


def test_nothing_changes(backend: str) -> None:
    net, (X, y) = network("float32", backend), data(8)
    out = net.forward(X)
    expected = net.copy()
    expected.forward(X)
    net.jacobian(X), net.input_gradient(X, y), net.per_example_gradients(X, y)
    net.backward(out), expected.backward(out)
    net.step(), expected.step()
    for got, want in zip(net.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_no_rows() -> None:
    net = network()
    found = net.jacobian(np.empty((0, 20)))
    assert {name: own.shape for name, own in found.items()} == {
        "class": (0, 3, 20), "value": (0, 1, 20),
    }  # fmt: skip
    assert net.input_gradient(np.empty((0, 20)), output={"value": 0}).shape == (0, 20)


BAD: list[tuple[Any, type[Exception], str]] = [
    (lambda n, X, y: n.input_gradient(X), ValueError,
     "^input_gradient needs y or output: network has 4 outputs: name one, output={'class': 0}, or"),
    (lambda n, X, y: n.input_gradient(X, output=0), TypeError,
     "^output must be a dict with an index for one head, as {'class': 0}, got 0$"),
    (lambda n, X, y: n.input_gradient(X, output=("value", 0)), TypeError,
     "^output must be a dict with an index for one head, as {'class': 0}, got "),
    (lambda n, X, y: n.input_gradient(X, output="value"), TypeError, "^output must be a dict"),
    (lambda n, X, y: n.input_gradient(X, output={}), ValueError,
     "^output must be a dict with an index for one head, as {'class': 0}, got 0 heads$"),
    (lambda n, X, y: n.input_gradient(X, output={"class": 0, "value": 0}), ValueError,
     "for one head, as {'class': 0}, got 2 heads$"),
    (lambda n, X, y: n.input_gradient(X, output={"valeu": 0}), ValueError,
     "^output has an entry 'valeu' and no such head: did you mean 'value'"),
    (lambda n, X, y: n.input_gradient(X, output={"value": 1}), ValueError,
     r"^output\['value'\] = 1 is outside 0\.\.0$"),
    (lambda n, X, y: n.input_gradient(X, output={"value": None}), TypeError,
     r"^output\['value'\] must be an int, or one for each row, got None$"),
    (lambda n, X, y: n.input_gradient(X, output={"class": [0, 1, 2, 0, 3, 0]}), ValueError,
     r"^output\['class'\]\[4\] = 3 is outside 0\.\.2$"),
    (lambda n, X, y: n.input_gradient(X, output={"class": [0, 1]}), ValueError,
     r"^output\['class'\] must be an int, or 6 ints, got shape \(2,\)$"),
    (lambda n, X, y: n.input_gradient(X, y, output={"value": 0}), ValueError, "got both$"),
    (lambda n, X, y: n.input_gradient(X, y["class"]), TypeError, "^y must be a dict with an entry"),
    (lambda n, X, y: n.input_gradient(X, {"class": y["class"]}), ValueError, "^y lacks an entry f"),
    (lambda n, X, y: n.per_example_gradients(X, y["class"]), TypeError, "^y must be a dict with"),
    (lambda n, X, y: n.per_example_gradients(X, y | {"value": np.zeros(5)}), ValueError,
     r"^X has 6 rows, y\['value'\] has 5$"),
    (lambda n, X, y: n.per_example_gradients(X, y | {"value": np.full(6, np.nan)}), ValueError,
     r"^Input y\['value'\] contains NaN"),
]  # fmt: skip


@bad_input("output to differentiate")
@pytest.mark.parametrize("index", range(len(BAD)))
def test_bad_input(index: int, backend: str) -> None:
    call, kind, match = BAD[index]
    net, (X, y) = network("float32", backend), data(6)
    with pytest.raises(kind, match=match):
        call(net, X, y)
    net.jacobian(X)  # and it is free


# second derivatives


@pytest.mark.parametrize("seed", SEEDS)
def test_hessian_products_of_random_networks(seed: int, backend: str) -> None:
    """The weighted sum of complex steps of the lone chain rules; and H is symmetric."""
    trunk, heads, X, y = random_heads(seed)
    net = fb.Network([*trunk, fb.Heads(heads)], dtype="float64", backend=backend, seed=seed)
    weights, rng = dict(net.parameters), np.random.default_rng(seed)
    u, v = ({name: rng.normal(size=own.shape) for name, own in weights.items()} for _ in range(2))
    found = net.hessian_vector_product(X, y, [*v.values()])
    sums, length = {name: np.zeros_like(own) for name, own in weights.items()}, 0.0
    for name, own, loss, weight, keys in lone_networks(trunk, heads, [*weights]):
        values = [weights[key] for key in keys]
        product = oracle.hessian_product(own, loss, values, X, y[name], [v[key] for key in keys])
        for key, part in zip(keys, product, strict=True):
            sums[key] += weight * part
        _, _, tape = oracle.run(own, list(values), X)
        length = max(length, 4 * depth(tape.layers_in, len(X)))
    size = 4 * max(1.0, *(float(np.abs(own).max()) for own in sums.values()))
    for got, (key, want) in zip(found, sums.items(), strict=True):
        assert_near(got, want, dtype="float64", length=length, magnitude=size, name=key)
    other = net.hessian_vector_product(X, y, [*u.values()])
    along = [
        sum(float((a * b).sum()) for a, b in zip(one.values(), two, strict=True))
        for one, two in ((u, found), (v, other))
    ]
    n = sum(own.size for own in weights.values())
    assert_near(*along, dtype="float64", length=length, magnitude=size * n)


def test_hessian_products_by_differences(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the gradient of the mean loss by `trace`, tile by tile."""
    net, (X, y) = network("float64", backend), data(50)
    rng = np.random.default_rng(0)
    v = [rng.normal(size=own.shape) for own in net.get_weights()]
    monkeypatch.setattr(hessian, "TILE_ROWS", 16)
    assert_by_differences(net, X, y, v)
