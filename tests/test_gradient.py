"""Backpropagation of random networks against the chain rule of the oracle and a complex step."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from support import oracle
from support.comparison import assert_directions, assert_gradients
from support.mark import slow_but
from support.random_network import Case, random_case
from support.tolerance import WELL_CONDITIONED, assert_near, depth

import fastbp as fb
from fastbp.activation import ACTIVATIONS
from fastbp.loss import LOSSES

N_NETWORKS = 220
SEEDS = range(N_NETWORKS)


@cache
def case_of(seed: int) -> tuple[Case, float, Any, oracle.Tape]:
    """A case with the oracle's loss, dL/dX and tape."""
    case = random_case(seed)
    return (case, *oracle.gradient(case.layers, case.loss, case.weights, case.X, case.y))


def network_of(case: Case, backend: str, dtype: str = "float64", **options: Any) -> fb.Network:
    network = fb.Network(
        case.layers, loss=case.loss, dtype=dtype, backend=backend, seed=0, **options
    )
    assert network.backend == backend and network.dtype == dtype
    network.set_weights(case.weights)
    return network


def test_cases_meet_everything() -> None:
    """Each activation, loss, kind of layer and edge of a batch is among the cases."""
    text = " ".join(repr(case_of(seed)[0]) for seed in SEEDS)
    for name in [*ACTIVATIONS, *LOSSES]:
        assert name in text or name == "linear"
    for part in (
        "projection='auto'",
        "merge='add'",
        "merge='concat'",
        "branches=((),",
        "use_bias=False",
        "merge='multiply'",
        "merge='average'",
        "LayerNorm(",
        "BatchNorm(",
        "Scale(",
        "Standardize(",
        "Dropout(",
        "GaussianNoise(",
        "categorical=",
        "handle_unknown='slot'",
    ):
        assert part in text, part
    rows = {len(case_of(seed)[0].X) for seed in SEEDS}
    assert {1, 2, 70} <= rows and len(rows) > 40
    gradients = [np.abs(np.asarray(g)).max() for seed in SEEDS for g in case_of(seed)[3].gradients]
    assert (
        np.mean(np.array(gradients) > 1e-6) > 0.9
    )  # a single softmax has none, a relu may be dead


@pytest.mark.parametrize("seed", slow_but(SEEDS[::4], SEEDS))
def test_gradients_of_random_networks(seed: int, backend: str) -> None:
    case, loss, dX, tape = case_of(seed)
    network = network_of(case, backend)
    traced = network.trace(case.X, case.y)
    rows = len(case.X)
    gradients = list(network.gradients.values())
    assert_near(
        traced["loss"],
        loss,
        dtype="float64",
        length=depth(tape.layers_in, rows),
        magnitude=abs(loss) + 1,
    )
    assert_gradients(gradients, tape, rows=rows, dtype="float64", names=list(network.gradients))
    for name, gradient in network.gradients.items():
        np.testing.assert_array_equal(traced[name], gradient)
    assert_directions(gradients, dX, case, tape, seed=seed)


@pytest.mark.parametrize("seed", slow_but(SEEDS[::4], SEEDS))
def test_forward_and_backward_of_random_networks(seed: int, backend: str) -> None:
    """net(X), forward, backward from any cotangent: outputs as the layers declare them."""
    case, _, _, _ = case_of(seed)
    network = network_of(case, backend)
    want, pull, tape = oracle.run(case.layers, case.weights, case.X)
    rows = len(case.X)
    length = depth(tape.layers_in, rows)
    out = network.forward(case.X, training=False)
    assert_near(out, want, dtype="float64", length=length, magnitude=np.abs(want).max(), name="out")
    assert_near(network(case.X), out, dtype="float64", length=length, magnitude=np.abs(want).max())
    cotangent = np.random.default_rng([seed, 3]).normal(size=want.shape)
    dX = network.backward(cotangent)
    want_dX = pull(cotangent)
    assert_gradients(
        list(network.gradients.values()),
        tape,
        rows=rows,
        dtype="float64",
        names=list(network.gradients),
    )
    size = max(np.abs(want_dX).max(), np.abs(cotangent).max())
    assert_near(dX, want_dX, dtype="float64", length=length, magnitude=size, name="dX")


@pytest.mark.parametrize("seed", slow_but(SEEDS[::12], SEEDS[::3]))
def test_gradients_in_float32(seed: int, backend: str) -> None:
    case, loss, _, tape = case_of(seed)
    network = network_of(case, backend, "float32")
    traced = network.trace(case.X, case.y)
    rows = len(case.X)
    assert_near(
        traced["loss"],
        loss,
        dtype="float32",
        length=depth(tape.layers_in, rows),
        magnitude=abs(loss) + 1,
    )
    assert_gradients(
        list(network.gradients.values()),
        tape,
        rows=rows,
        dtype="float32",
        names=list(network.gradients),
    )


@pytest.mark.parametrize("seed", slow_but(SEEDS[:10], SEEDS[:40]))
def test_oracle_agrees_with_itself(seed: int) -> None:
    """The chain rule of the oracle against its own complex step: no line of fastbp in it."""
    case, _, dX, tape = case_of(seed)
    assert_directions([np.asarray(g) for g in tape.gradients], dX, case, tape, seed=seed)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rows", slow_but([1, 7, 33], [1, 7, 33, 700]))
@pytest.mark.parametrize(
    "sizes", [(4, 32, 16, 1), (300, 17, 3), (33, 150, 150, 5)], ids=lambda s: "-".join(map(str, s))
)
def test_step_of_training(
    sizes: tuple[int, ...], rows: int, activation: str, backend: str, dtype: str
) -> None:
    """One step of SGD at rate 1: the gradient that training takes, in every regime of its plan."""
    rng = np.random.default_rng(rows)
    layers = [
        fb.Input(sizes[0]),
        *(fb.Dense(n, activation) for n in sizes[1:-1]),
        fb.Dense(sizes[-1]),
    ]
    loss = fb.Loss("half_sse")
    weights = [
        part for n, m in zip(sizes, sizes[1:], strict=False)
        for part in (rng.normal(size=(n, m)) / np.sqrt(n), rng.normal(size=m) / 2)
    ]  # fmt: skip
    if activation == "exponential":  # of an exponential: it would magnify every rounding
        weights = [part / 4 for part in weights]
    real = np.dtype(dtype)
    weights = [part.astype(real).astype(np.float64) for part in weights]
    X = rng.normal(size=(rows, sizes[0])).astype(real).astype(np.float64)
    y = rng.normal(size=(rows, sizes[-1])).astype(real).astype(np.float64)
    case = Case(layers, loss, weights, X, y)
    value, _, tape = oracle.gradient(layers, loss, weights, X, y)
    network = network_of(case, backend, dtype, optimizer=fb.SGD(1.0))
    length = depth(tape.layers_in, rows, condition=WELL_CONDITIONED)
    assert_near(network.train_on_batch(X, y), value, dtype=dtype, length=length)
    for (name, got), want, g, size in zip(
        network.parameters.items(), weights, tape.gradients, tape.magnitudes, strict=True
    ):
        assert g is not None and size is not None
        assert_near(
            got,
            want - g,
            dtype=dtype,
            length=length,
            magnitude=size.max() + np.abs(want),
            name=name,
        )
