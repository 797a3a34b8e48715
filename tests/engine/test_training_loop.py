"""What surrounds a step keeps the promises on bits: calls, threads, instruction sets."""

from __future__ import annotations

import numpy as np
import pytest
from support import child
from support.kernels import needs_kernels
from support.network_state import digest
from support.refusal import refuses
from support.training_loop import LOOPS, SIZES, train

import fastbp as fb
from fastbp.backend import compiled_modules
from fastbp.runtime import engine_cache
from fastbp.runtime.train import Epochs

each_size = pytest.mark.parametrize("size", SIZES)
each_loop = pytest.mark.parametrize("loop", LOOPS)


@needs_kernels
@each_size
@each_loop
def test_threads(size: str, loop: str, dtype: str) -> None:
    found = {train(size, loop, dtype, n_threads=n) for n in (1, 2, 3, 4)}
    assert len(found) == 1


@each_size
@each_loop
def test_epochs_in_one_call_or_several(size: str, loop: str, dtype: str, backend: str) -> None:
    """But for early stopping, which every call begins anew, and which here never stops."""
    whole = train(size, loop, dtype, backend=backend)
    assert train(size, loop, dtype, calls=(1, 2, 1), backend=backend) == whole


@pytest.mark.slow
@pytest.mark.parametrize("pair", [("v3", "v4"), ("v2", "portable")], ids=str)
def test_instruction_sets(pair: tuple[str, str]) -> None:
    runs = [name for name in pair if (name, "float32") in compiled_modules()]
    if len(runs) < 2:
        pytest.skip(f"this processor and build have {runs}")
    code = "import json; from support.training_loop import digests; print(json.dumps(digests()))"
    first, second = (child.result(code, FASTBP_ISA=name) for name in runs)
    assert first == second
    assert len(set(first.values())) == 2 * len(SIZES) * len(LOOPS)


def test_the_sizes_take_every_path() -> None:
    found = {}
    for name, (widths, batch) in SIZES.items():
        network = fb.Network(widths, loss="cross_entropy", backend="cython", seed=0)
        plan = engine_cache.training_plan(network._state, batch, 1)[0]
        takes_latency_path = batch <= plan.latency_rows
        found[name] = takes_latency_path, plan.rows_in_lanes, plan.weight_parallel
    assert found == {
        "few": (True, False, False), "latency": (True, False, False),
        "lanes": (False, True, False), "data-parallel": (False, False, False),
        "weight-parallel": (False, False, True),
    }  # fmt: skip


def test_an_order_of_rows_for_each_epoch(dtype: str, backend: str) -> None:
    """Of three epochs in one call, or one at a time."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(23, 3)), rng.normal(size=23)
    orders = np.stack([rng.permutation(23) for _ in range(3)]).astype(np.uint32)
    networks = [fb.Network([3, 7, 1], seed=0, dtype=dtype, backend=backend) for _ in range(3)]
    calls = [Epochs(network._state, X, y, batch_size=5, shuffle=False, n_threads=1)
             for network in networks]  # fmt: skip
    for call in calls:
        call.batch_offsets = np.array([0, 5, 10, 15, 20, 23])
    calls[0].batch_rows = orders.ravel()
    whole = calls[0].run(3).tolist()
    single = []
    for order in orders:
        calls[1].batch_rows = order
        single += calls[1].run(1).tolist()
    assert whole == single and digest(networks[0]) == digest(networks[1])
    calls[2].batch_rows = orders[0]
    assert calls[2].run(3)[0] == whole[0] and digest(networks[2]) != digest(networks[0])
    calls[0].batch_rows = orders[:2].ravel()
    with refuses(ValueError, "batch_rows has 46 rows for 3 epochs of 23"):
        calls[0].run(3)
