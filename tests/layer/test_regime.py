"""All layers together, whatever the sizes: both backends, threads, weights of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.kernels import needs_kernels
from support.network_state import digest
from support.tolerance import assert_near, depth

import fastbp as fb

regimes: set[tuple[str, bool]] = set()


@needs_kernels
@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 20),
    hidden=st.sampled_from([2, 3, 5, 8, 9, 16, 17, 31, 40, 120]),
    rows=st.integers(1, 70),
    batch=st.integers(1, 40),
    weighted=st.booleans(),
    batched=st.booleans(),
    merge=st.sampled_from(["concat", "add", "multiply", "average"]),
    activation=st.sampled_from(["relu", "tanh", "gelu", "softplus", "sigmoid"]),
    seed=st.integers(0, 2**64 - 1),
)
@example(
    n=20, hidden=120, rows=33, batch=16, weighted=True, batched=False, merge="add",
    activation="tanh", seed=1,
)  # fmt: skip
@example(
    n=3, hidden=9, rows=70, batch=33, weighted=True, batched=False, merge="concat",
    activation="relu", seed=1,
)  # fmt: skip
@example(
    n=9, hidden=40, rows=70, batch=33, weighted=True, batched=True, merge="concat",
    activation="relu", seed=1,
)  # fmt: skip
def test_backends_and_threads(n, hidden, rows, batch, weighted, batched, merge, activation, seed):
    rng = np.random.default_rng([n, rows, hidden])
    ways = [[fb.Dense(hidden, "tanh"), fb.Dropout(0.3)], [fb.GaussianNoise(0.2)]]
    layers = [
        fb.Input(n),
        fb.Standardize(rng.normal(size=n), std=rng.uniform(0.5, 2, size=n)),
        fb.Dropout(0.1),
        fb.Dense(hidden),
        fb.BatchNorm(0.9, epsilon=0.5) if batched else fb.LayerNorm(0.1),
        fb.Activation(activation),
        fb.Branch(ways, merge=merge),
        fb.Residual([fb.LayerNorm(0.1), fb.Dropout(0.2)]),
        fb.Dense(2),
    ]
    X, y = rng.normal(size=(rows, n)), rng.normal(size=(rows, 2))
    weight = rng.uniform(0.5, 2, size=rows) if weighted else None
    nets = []
    for backend, n_threads in (("cython", 1), ("cython", 3), ("numpy", 1)):
        options = {"optimizer": fb.SGD(0.002), "dtype": "float64", "seed": seed}
        net = fb.Network(layers, backend=backend, **options)
        net.fit(
            X, y, epochs=2, batch_size=batch, sample_weight=weight, n_threads=n_threads,
            verbose=False,
        )  # fmt: skip
        nets.append(net)
    plan = nets[0].plan(batch, n_rows=rows)
    regimes.add((plan.regime, plan.rows_in_lanes))
    assert digest(nets[0]) == digest(nets[1])
    length = 4 * depth([n, hidden, hidden], rows)
    for one, other in zip(nets[0].get_weights(), nets[2].get_weights(), strict=True):
        size = np.abs(other).max() + 1
        assert_near(one, other, dtype="float64", length=length, magnitude=size)


@needs_kernels
def test_every_regime_was_met():
    if not regimes:
        pytest.skip("goes with the test above")
    needed = {("weight-parallel", False), ("data-parallel", False), ("data-parallel", True)}
    needed.add(("staged", False))
    assert needed <= regimes
