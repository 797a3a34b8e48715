"""`fit` on all rows with BatchNorm, whose statistics are then those of all rows: minima beside
those of PyTorch, what follows once a step, and what is refused.
"""

from __future__ import annotations

import pickle
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from runtime.test_full_batch import WEIGHT, X, Y, assert_slopes, fit
from support import child
from support.kernels import needs_kernels
from support.network_state import digest
from support.refusal import bad_input, refused
from support.resume_case import Stop, Stopped, result
from support.tolerance import (
    ESTIMATOR_LBFGS,
    SAME_TRAINING,
    assert_agrees,
    assert_near,
    assert_rounded,
    assert_same_training,
)

import fastbp as fb
from fastbp.runtime.full_batch import Objective
from fastbp.runtime.rows import checked_rows

EXACT = {"tolerance_grad": 1e-9, "tolerance_change": 0.0}
VALUE = np.sin(X[:, 0]) + X[:, 1] ** 2


def make(
    backend: str | None = None, dtype: str = "float64", *, momentum: float = 0.9, **options: Any
) -> fb.Network:
    layers = [
        fb.Input(5), fb.BatchNorm(momentum), fb.Dense(8, l2=1e-3), fb.BatchNorm(momentum),
        fb.Activation("tanh"), fb.Dense(3, l2=1e-3),
    ]  # fmt: skip
    given: dict[str, Any] = {"optimizer": fb.LBFGS(history_size=4), "metrics": ["accuracy"]}
    return fb.Network(
        layers, loss="cross_entropy", dtype=dtype, seed=2, backend=backend, **given | options
    )


def objective_of(network: fb.Network, y: Any, **options: Any) -> Objective:
    state = network._state
    return Objective(state, checked_rows(state, X, y, **options), n_threads=1)


def statistics(network: fb.Network) -> dict[str, np.ndarray]:
    return {name: own.copy() for name, own in network.parameters.items() if "moving" in name}


def test_the_gradient_is_that_of_the_value(backend: str) -> None:
    """Of the statistics too; the running ones are in none of both."""
    network = make(backend)
    objective, at = objective_of(network, Y, sample_weight=WEIGHT), network._state.parameters
    found = objective(at.copy())
    assert_slopes(objective, at, range(0, len(at), 5))
    for tensor in network._state.layout.tensors:
        if tensor.is_running:
            assert not tensor.view(found.gradient).any()


# beside PyTorch


def torch_modules(torch: Any, network: fb.Network) -> Any:
    """The same network there, with its parameters."""
    modules, width, w = [], 0, network.parameters
    counts = {"dense": 0, "batch_norm": 0}
    for layer in network.layers:
        if isinstance(layer, fb.Input):
            width = layer.units
        elif isinstance(layer, fb.Dense):
            counts["dense"] += 1
            own = torch.nn.Linear(width, layer.units, dtype=torch.float64)
            kernel, bias = (w[f"dense_{counts['dense']}/{name}"] for name in ("kernel", "bias"))
            own.weight.data, own.bias.data = (
                torch.tensor(kernel.T.copy()),
                torch.tensor(bias.copy()),
            )
            modules, width = [*modules, own], layer.units
        elif isinstance(layer, fb.BatchNorm):
            counts["batch_norm"] += 1
            options = {"eps": layer.epsilon, "affine": layer.center, "dtype": torch.float64}
            modules.append(torch.nn.BatchNorm1d(width, **options))
            if layer.center:
                modules[-1].weight.requires_grad = layer.scale
                beta = w[f"batch_norm_{counts['batch_norm']}/beta"]
                modules[-1].bias.data = torch.tensor(beta.copy())
        else:
            modules.append(torch.nn.Tanh())
    return torch.nn.Sequential(*modules)


def logistic() -> tuple[fb.Network, Any]:
    """Convex: one minimum from everywhere."""
    layers = [
        fb.Input(5), fb.BatchNorm(center=False, scale=False),
        fb.Dense(3, l2=1e-2, regularize_bias=True),
    ]  # fmt: skip
    options: Any = {"optimizer": fb.LBFGS(**EXACT), "dtype": "float64", "seed": 0}
    return fb.Network(layers, loss="cross_entropy", **options), Y


def mlp() -> tuple[fb.Network, Any]:
    """From close by a minimum."""
    layers = [
        fb.Input(5), fb.Dense(4, l2=0.1), fb.BatchNorm(scale=False, epsilon=1.0),
        fb.Activation("tanh"), fb.Dense(1, l2=0.1),
    ]  # fmt: skip
    options: Any = {"optimizer": fb.LBFGS(**EXACT), "dtype": "float64", "seed": 3}
    network = fb.Network(layers, **options)
    network.fit(X, VALUE, epochs=2000)
    rng = np.random.default_rng(0)
    near = [w + 1e-2 * rng.uniform(size=w.shape) for w in network.get_weights()]
    network.set_weights(near)
    return network, VALUE


@pytest.mark.parametrize("make_network", [logistic, mlp])
def test_the_minimum_of_torch(make_network: Any, backend: str) -> None:
    torch = pytest.importorskip("torch")
    start, y = make_network()
    options: Any = {"optimizer": fb.LBFGS(**EXACT), "dtype": "float64", "backend": backend}
    network = fb.Network(start.layers, loss=start.loss, **options)
    network.set_weights(start.get_weights())
    other, rows = torch_modules(torch, start), torch.tensor(X.astype(np.float64))
    linear = [own for own in other if isinstance(own, torch.nn.Linear)]
    optimizer = torch.optim.LBFGS(
        [own for own in other.parameters() if own.requires_grad], max_iter=500, max_eval=2000,
        tolerance_grad=1e-9, tolerance_change=0.0, history_size=10, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Any:
        optimizer.zero_grad()
        out = other(rows)
        if y is Y:
            penalised = [*linear[0].parameters()]
            loss = torch.nn.functional.cross_entropy(out, torch.tensor(y, dtype=torch.long))
            loss = loss + sum((w * w).sum() for w in penalised) * 1e-2 / 2
        else:
            loss = ((out[:, 0] - torch.tensor(y)) ** 2).mean()
            loss = loss + sum((own.weight**2).sum() for own in linear) * 0.1 / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    network.fit(X, y, epochs=3000)
    assert network.history.stopped == "converged"
    point = objective_of(network, y)(network._state.parameters.copy())
    least = float(closure().detach())
    assert abs(point.value - least) <= ESTIMATOR_LBFGS * least
    for i, own in enumerate(linear):
        for name, want in (("kernel", own.weight.T), ("bias", own.bias)):
            if name == "bias" and i + 1 < len(linear):
                continue  # the mean takes it away
            got, expected = network.parameters[f"dense_{i + 1}/{name}"], want.detach().numpy()
            scale = max(1.0, np.abs(expected).max())
            assert np.abs(got - expected).max() <= 10 * ESTIMATOR_LBFGS * scale


# running statistics


def test_running_statistics_follow_once_a_step(backend: str) -> None:
    """Those of the input by hand; however many passes a step takes."""
    network, passes = make(backend, momentum=0.5), []
    mean, variance, own = X.mean(axis=0), X.var(axis=0), Objective.__call__

    def call(self: Any, at: Any) -> Any:
        passes.append(at)
        return own(self, at)

    with patch.object(Objective, "__call__", call):
        for steps in range(1, 9):
            fit(network, steps)
            stays, found = 0.5**steps, statistics(network)
            want = (1 - stays) * mean, stays + (1 - stays) * variance
            for name, value in zip(("mean", "variance"), want, strict=True):
                got = found[f"batch_norm_1/moving_{name}"]
                assert_near(got, value, dtype="float64", length=80, magnitude=np.abs(X).max() ** 2)
    assert len(passes) > 16  # a first one of each fit, and those of the searches


def test_they_are_those_of_the_parameters_before_the_step(backend: str) -> None:
    """As in an epoch of one batch by any other optimizer; with a momentum of 0 nothing else."""
    network = make(backend, momentum=0.0)
    for steps in range(1, 5):
        w = network.get_weights()
        h = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1e-3) * w[0] + w[1]
        z = h @ w[4] + w[5]
        fit(network, steps)
        found = statistics(network)
        for name, want in (("mean", z.mean(axis=0)), ("variance", z.var(axis=0))):
            got = found[f"batch_norm_2/moving_{name}"]
            assert_near(got, want, dtype="float64", length=200, magnitude=8)


def test_what_fit_reports_is_what_evaluate_finds_in_the_end(backend: str) -> None:
    layers = [
        fb.Input(5), fb.Dense(4, l2=0.1), fb.BatchNorm(0.0, scale=False, epsilon=1.0),
        fb.Activation("tanh"), fb.Dense(1, l2=0.1),
    ]  # fmt: skip
    own: Any = {"optimizer": fb.LBFGS(tolerance_grad=1e-6), "dtype": "float64", "seed": 3}
    network = fb.Network(layers, backend=backend, **own)
    history = network.fit(X, VALUE, epochs=500)
    assert history.stopped == "converged"
    found = network.evaluate(X, VALUE)["loss"]
    assert abs(found - history["loss"][-1]) < 1e-4 * found


def test_where_no_step_is_taken_they_stay(backend: str) -> None:
    network = make(backend, optimizer=fb.LBFGS(tolerance_grad=100.0))
    before = statistics(network)
    assert fit(network).stopped == "converged"
    for name, there in statistics(network).items():
        np.testing.assert_array_equal(there, before[name])


# promises


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_goes_on_to_the_bit(dtype: str, backend: str, tmp_path: Any) -> None:
    whole = make(backend, dtype)
    fit(whole)
    for epochs in (1, 5, 11):
        network = make(backend, dtype)
        fit(network, epochs)
        network.save(tmp_path / "net.npz")
        network = fb.Network.load(tmp_path / "net.npz", backend=backend)
        fit(network)
        assert result(network) == result(whole), epochs
    network = make(backend, dtype)
    with pytest.raises(Stopped):
        fit(network, callbacks=[Stop("error", 6)])
    network = pickle.loads(pickle.dumps(network))
    fit(network)
    assert result(network) == result(whole)


@needs_kernels
@pytest.mark.usefixtures("eager_threads")
def test_same_bits_on_any_threads(dtype: str) -> None:
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(700, 5)), rng.integers(0, 3, 700)
    told = set()
    for n_threads in (1, 2, 3):
        network = make("cython", dtype)
        network.fit(rows, y, epochs=6, n_threads=n_threads)
        told.add(digest(network))
    assert len(told) == 1


FIT = """
import json
from runtime.test_full_batch import fit
from runtime.test_full_batch_statistics import make
from support.network_state import digest

networks = [make("cython", dtype) for dtype in ("float32", "float64")]
for network in networks:
    fit(network)
print(json.dumps([digest(network) for network in networks]))
"""


@needs_kernels
@pytest.mark.slow
def test_on_other_builds() -> None:
    from fastbp.backend import supported

    builds = [isa for isa in ("v3", "v4") if isa in supported()]
    assert len({repr(child.result(FIT, FASTBP_ISA=isa)) for isa in builds}) == 1


def test_backends_agree() -> None:
    one, other = make("cython"), make("numpy")
    pasts = [fit(network, 4) for network in (one, other)]
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_same_training(a, b, dtype="float64")
    assert_rounded(pasts[0]["loss"], pasts[1]["loss"], dtype="float64", roundings=SAME_TRAINING)


def test_all_rows_are_one_pass(backend: str) -> None:
    """However many; those without such layers are taken some at a time."""
    network = make(backend)
    with patch("fastbp.runtime.full_batch._MOST_ROWS", 7):
        assert objective_of(network, Y).at_once == len(X)
        fit(network, 2)
    other = make(backend)
    fit(other, 2)
    assert digest(network) == digest(other)


def test_several_outputs(backend: str) -> None:
    heads = fb.Heads({"class": ([fb.BatchNorm(), fb.Dense(3)], "cross_entropy"),
                      "value": ([fb.Dense(1)], "mse", 0.5)})  # fmt: skip
    layers = [fb.Input(5), fb.Dense(8, "tanh"), heads]
    network = fb.Network(layers, optimizer=fb.LBFGS(), dtype="float64", seed=0, backend=backend)
    history = network.fit(X, {"class": Y, "value": VALUE}, epochs=30)
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert list(history.history) == ["loss", "class_loss", "value_loss"]


# what is refused, and what is not


@bad_input("optimizer of all rows")
def test_refuses(backend: str) -> None:
    dropped = fb.Network(
        [fb.Input(4), fb.Dropout(0.5), fb.Dense(3)], loss="cross_entropy", optimizer="lbfgs",
        seed=0, backend=backend,
    )  # fmt: skip
    text = (
        "^LBFGS compares the loss at several points, and with Dropout or GaussianNoise it is "
        "another one at each call: leave these layers out, or train by Adam$"
    )
    refused(dropped, lambda: dropped.fit(X[:, :4], Y), ValueError, text)
    squares = fb.Network(
        [fb.Input(4), fb.BatchNorm(), fb.Dense(1)], optimizer=fb.LevenbergMarquardt(), seed=0,
        backend=backend,
    )  # fmt: skip
    text = (
        "^LevenbergMarquardt needs the derivatives of each row by itself, and with BatchNorm a "
        r"row's output is a function of all rows: take LBFGS, or BatchNorm\(trainable=False\)$"
    )
    refused(squares, lambda: squares.fit(X[:, :4], VALUE), ValueError, text)


@pytest.mark.parametrize("optimizer", [fb.LBFGS(), fb.LevenbergMarquardt()], ids=str)
def test_a_batch_norm_that_is_not_trained(optimizer: Any, backend: str) -> None:
    """Goes by its running statistics: a `Scale`."""
    rng = np.random.default_rng(0)
    gamma, variance = rng.uniform(0.5, 2, (2, 4))
    beta, mean = rng.normal(size=(2, 4))
    factor = gamma / np.sqrt(variance + 1e-3)
    networks = [
        fb.Network([fb.Input(5), fb.Dense(4), layer, fb.Activation("tanh"), fb.Dense(1)],
                   optimizer=optimizer, dtype="float64", seed=0, backend=backend)
        for layer in (fb.BatchNorm(trainable=False), fb.Scale(factor, beta - factor * mean))
    ]  # fmt: skip
    kernel, bias, *_, last, end = networks[0].get_weights()
    networks[0].set_weights([kernel, bias, gamma, beta, mean, variance, last, end])
    networks[1].set_weights([kernel, bias, last, end])
    for network in networks:
        network.fit(X, VALUE, epochs=2)
    found, want = (network.parameters for network in networks)
    for name, own in want.items():
        assert_agrees(found[name], own)
    for name, own in zip(("gamma", "beta", "moving_mean", "moving_variance"),
                         (gamma, beta, mean, variance), strict=True):  # fmt: skip
        np.testing.assert_array_equal(found[f"batch_norm_1/{name}"], own)
