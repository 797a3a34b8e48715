"""Several outputs: values by hand, the oracle, a lone network and PyTorch; the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from support import child, oracle
from support.head_case import (
    SIZES,
    assert_as_lone,
    data,
    lone_networks,
    network,
    random_heads,
    sized,
    targets,
    trained,
)
from support.kernels import needs_kernels
from support.mark import slow_but
from support.random_network import EACH_LOSS
from support.tolerance import (
    SAME_TRAINING,
    assert_near,
    assert_rounded,
    assert_same_training,
    depth,
    eps,
)

import fastbp as fb
from fastbp.backend import compiled_modules
from fastbp.runtime import engine_cache

DTYPES = ["float32", "float64"]


# values


def test_by_hand(backend: str, dtype: str) -> None:
    """h = 2 x; a = h, b = h / 2; 1 (a - y)^2 + 0.5 |b - y|."""
    net = fb.Network(
        [fb.Input(1), fb.Dense(1, weights=[[2]]),
         fb.Heads({"a": ([fb.Dense(1, weights=[[1]])], "mse"),
                   "b": ([fb.Dense(1, weights=[[0.5]])], "mae", 0.5)})],
        optimizer=fb.SGD(1.0), dtype=dtype, backend=backend,
    )  # fmt: skip
    X, y = [[1.0], [3.0]], {"a": [1.0, 5.0], "b": [2.0, 2.0]}
    assert {name: own.tolist() for name, own in net.predict(X).items()} == {
        "a": [[2], [6]], "b": [[1], [3]],
    }  # fmt: skip
    assert net.evaluate(X, y) == {"loss": 1 + 0.5, "a_loss": 1.0, "b_loss": 1.0}
    # by a: 2 (a - y) / 2 = 1, 1; by b: 0.5 sign(b - y) / 2 = -0.25, 0.25; by h: 0.875, 1.125
    found = net.trace(X, y)
    assert found["loss"] == 1.5
    assert net.gradients["dense_2/kernel"].tolist() == [[1 * 2 + 1 * 6]]
    assert net.gradients["dense_3/kernel"].tolist() == [[-0.25 * 2 + 0.25 * 6]]
    assert net.gradients["dense_3/bias"].tolist() == [0]
    assert net.gradients["dense_1/kernel"].tolist() == [[0.875 * 1 + 1.125 * 3]]
    assert net.train_on_batch(X, y) == 1.5
    assert net.parameters["dense_1/kernel"].tolist() == [[2 - 4.25]]


@pytest.mark.parametrize("seed", slow_but(range(0, 60, 4), range(60)))
def test_gradients_against_the_oracle(seed: int, backend: str) -> None:
    """The gradient is the weighted sum of those of lone networks, by the oracle's chain rule."""
    trunk, heads, X, y = random_heads(seed)
    net = fb.Network([*trunk, fb.Heads(heads)], dtype="float64", backend=backend, seed=seed)
    weights = dict(net.parameters.items())
    sums = {name: np.zeros_like(own) for name, own in weights.items()}
    size = {name: np.zeros_like(own) for name, own in weights.items()}
    total, dX, rounds = 0.0, np.zeros_like(X), 0.0
    for name, layers, loss, weight, own in lone_networks(trunk, heads, [*weights]):
        target = y[name]
        value, by_X, tape = oracle.gradient(layers, loss, [weights[key] for key in own], X, target)
        total += weight * value
        dX += weight * by_X
        rounds = max(rounds, depth(tape.layers_in, len(X)))
        for key, gradient, magnitude in zip(own, tape.gradients, tape.magnitudes, strict=True):
            sums[key] += weight * gradient
            size[key] += weight * magnitude
        assert_near(
            net.evaluate(X, y)[f"{name}_loss"], value, dtype="float64", length=rounds,
            magnitude=abs(value) + 1,
        )  # fmt: skip
    traced = net.trace(X, y)
    assert_near(
        traced["loss"], total, dtype="float64", length=rounds, magnitude=abs(total) + len(heads)
    )
    for key in weights:
        scale = np.maximum(size[key], max(np.abs(v).max() for v in size.values()))
        assert_near(
            traced[key], sums[key], dtype="float64", length=rounds, magnitude=scale, name=key
        )


@pytest.mark.parametrize("loss", EACH_LOSS, ids=str)
def test_every_loss_in_a_head(loss: fb.Loss, backend: str, dtype: str) -> None:
    """Beside another head of weight 0 it trains as a network of that output alone."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(37, 4)), targets(loss, 37, rng)
    net, lone = assert_as_lone(loss, X, y, dtype=dtype, backend=backend, batch_size=10)
    assert net.parameters["dense_3/kernel"].any()  # which nothing has moved
    assert_near(
        net.predict(X)["own"], lone.predict(X), dtype=dtype, length=SAME_TRAINING,
        magnitude=np.abs(lone.predict(X)) + 1,
    )  # fmt: skip


def test_check_gradients(backend: str) -> None:
    X, y = data(9)
    net = fb.Network(
        [fb.Input(20), fb.Dense(4, "tanh"),
         fb.Heads({"class": ([fb.Dense(3)], "cross_entropy"), "value": ([fb.Dense(1)], "mse")})],
        seed=0, backend=backend,
    )  # fmt: skip
    assert net.check_gradients(X, y) < eps("float64") ** (1 / 3)


# training


def test_backends_agree(dtype: str) -> None:
    X, y = data(90)
    nets = [network(dtype, own) for own in ("cython", "numpy")]
    pasts = [net.fit(X, y, epochs=3, batch_size=20) for net in nets]
    for a, b in zip(*(net.get_weights() for net in nets), strict=True):
        assert_same_training(a, b, dtype=dtype)
    for name in pasts[0].history:
        assert_rounded(pasts[0][name], pasts[1][name], dtype=dtype, roundings=SAME_TRAINING)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.usefixtures("eager_threads")
def test_same_bits_on_any_threads(name: str, dtype: str) -> None:
    net, _, _, batch_size = sized(name, dtype)
    _, plan, _ = engine_cache.engine(net._state, "train", batch_size)
    assert plan.weight_parallel == (name == "kernels")
    assert not plan.rows_in_lanes and not plan.latency_rows and not plan.layered
    assert len({trained(name, dtype, n_threads=n) for n in (1, 2, 3, 4)}) == 1


@pytest.mark.slow
def test_same_bits_on_v3_and_v4() -> None:
    runs = [name for name in ("v3", "v4") if (name, "float32") in compiled_modules()]
    if len(runs) < 2:
        pytest.skip(f"this processor and build have {runs}")
    code = "import json; from support.head_case import digests; print(json.dumps(digests()))"
    first, second = (child.result(code, FASTBP_ISA=name) for name in runs)
    assert first == second
    assert len(set(first.values())) == 2 * len(SIZES)


def test_narrow_heads_of_one_row(backend: str, dtype: str) -> None:
    """Sizes for which a lone network has the latency path, or rows in the lanes."""
    for n in (1, 40):
        rng = np.random.default_rng(1)
        X, y = rng.normal(size=(n, 3)), {"a": rng.normal(size=n)}
        layers = [fb.Input(3), fb.Dense(4, "tanh"), fb.Heads({"a": ([fb.Dense(1)], "mse")})]
        net = fb.Network(layers, dtype=dtype, backend=backend, seed=0)
        lone = fb.Network([3, 4, 1], activation="tanh", dtype=dtype, backend=backend, seed=0)
        lone.set_weights(net.get_weights())
        net.fit(X, y, epochs=5)
        lone.fit(X, y["a"], epochs=5)
        for a, b in zip(net.get_weights(), lone.get_weights(), strict=True):
            assert_same_training(a, b, dtype=dtype)


def test_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    X, y = data(64)
    net = network("float64", optimizer=fb.Adam(0.01))
    w = [torch.tensor(own, requires_grad=True) for own in net.get_weights()]
    adam, cross, mse = torch.optim.Adam(w, 0.01), torch.nn.CrossEntropyLoss(), torch.nn.MSELoss()
    labels, values = torch.tensor(y["class"]), torch.tensor(y["value"])[:, None]
    losses = net.fit(X, y, epochs=100, batch_size=64, shuffle=False)["loss"]
    for expected in losses:
        h = torch.relu(torch.tensor(X) @ w[0] + w[1])
        z = torch.relu(h @ w[2] + w[3]) @ w[4] + w[5]
        loss = cross(z, labels) + 0.5 * mse(h @ w[6] + w[7], values)
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert_rounded(expected, loss.item(), dtype="float64", roundings=SAME_TRAINING)
    for own, other in zip(net.get_weights(), w, strict=True):
        assert_same_training(own, other.detach().numpy(), dtype="float64")
