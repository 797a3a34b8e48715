"""Where the sizes decide what a plan does: at the very size, and not one row before it."""

import pytest

import fastbp as fb
from fastbp.runtime import engine_cache

# 964 parameters, so that 87 rows are the first with 500,000 = 6 x parameters x rows
BY_ROWS = [10, 64, 4]


@pytest.mark.parametrize(("rows", "regime"), [(1, "latency"), (8, "latency"), (9, "data-parallel")])
def test_latency_path_of_up_to_eight_rows(rows, regime):
    """The table says so in the same words: its threshold is the first size that is too large."""
    found = fb.Network([2, 8, 1], seed=0, backend=None).plan(rows)
    assert found.regime == (regime if found.backend == "cython" else "data-parallel")
    (compared,) = (one for one in found.comparisons if one.threshold == 9)
    assert compared.value == rows
    assert compared.reached == (regime == "data-parallel")


@pytest.mark.parametrize("units", [16, 17])
def test_latency_path_of_layers_up_to_64_bytes(units, backend):
    found = fb.Network([2, units, 1], seed=0, backend=backend).plan(4)
    narrow = backend == "cython" and units == 16
    assert found.regime == ("latency" if narrow else "data-parallel")
    assert any(one.threshold == 9 for one in found.comparisons) == (units == 16)


@pytest.mark.parametrize("units", [32, 33])
@pytest.mark.parametrize("rows", [15, 16])
def test_rows_in_lanes(units, rows, backend):
    """Of layers up to 32 wide, from 16 rows on."""
    network = fb.Network([5, units, 20], seed=0, backend=backend)
    plan, told = engine_cache.training_plan(network._state, rows, 1)[0], network.plan(rows)
    assert plan.rows_in_lanes == (units == 32 and rows == 16)
    assert told.rows_in_lanes == (plan.rows_in_lanes and backend == "cython")
    text = " ".join(str(told).split())
    assert ("rows lie in the lanes of vectors" in text) == told.rows_in_lanes
    found = {one.threshold: one.reached for one in told.comparisons}
    assert found[33] == (units == 33) and found.get(16) == (rows == 16 if units == 32 else None)


@pytest.mark.parametrize(("sizes", "work"), [([4, 32, 16, 1], 100), ([17, 30, 21, 6], 138)])
def test_rows_in_lanes_for_what_padding_costs(sizes, work, backend):
    """2 (17 32 + 30 32 + 21 16) + 21 32 + 6 32 = 4544, of 2 17 30 + 3 30 21 + 3 21 6 = 3288."""
    network = fb.Network(sizes, seed=0, backend=backend)
    (compared,) = (one for one in network.plan(20).comparisons if one.threshold == 108)
    assert compared.value == work and compared.reached == (work > 108)
    plan = engine_cache.training_plan(network._state, 20, 1)[0]
    assert plan.rows_in_lanes == compared.reached


def test_no_rows_in_lanes_with_softmax_inside():
    """Which needs the units of a row side by side."""
    network = fb.Network([fb.Input(3), fb.Dense(4, "softmax"), fb.Dense(2)], seed=0)
    assert not engine_cache.training_plan(network._state, 20, 1)[0].rows_in_lanes


@pytest.mark.parametrize(
    ("rows", "n_blocks", "block_rows"), [(86, 1, 88), (87, 2, 48), (255, 2, 128), (256, 4, 64)]
)
def test_row_blocks(rows, n_blocks, block_rows, dtype, backend):
    """How many sums a gradient has decides its bits: from 500,000 on two, with 256 rows four."""
    network = fb.Network(BY_ROWS, seed=0, dtype=dtype, backend=backend)
    assert network.n_parameters == 964
    found = network.plan(rows)
    assert found.regime == "data-parallel"
    assert (found.n_blocks, found.block_rows) == (n_blocks, min(block_rows, rows))


@pytest.mark.parametrize(("rows", "n_blocks"), [(31, 1), (32, 2)])
def test_row_blocks_of_few_rows(rows, n_blocks, backend):
    """However much work a row is, no block has fewer than sixteen."""
    network = fb.Network([64, 64, 32], seed=0, backend=backend)
    found = network.plan(rows)
    assert (found.regime, found.n_blocks) == ("data-parallel", n_blocks)
    assert 6 * network.n_parameters * rows > 500_000


@pytest.mark.parametrize(("rows", "reached"), [(138, False), (139, True)])
def test_threads_of_a_step(rows, reached, backend):
    """A second thread from 800,000 = 6 x parameters x rows on."""
    found = fb.Network(BY_ROWS, seed=0, backend=backend).plan(rows)
    work = 6 * 964 * rows
    (compared,) = (one for one in found.comparisons if (one.value, one.threshold) == (work, 8e5))
    assert compared.reached == reached


@pytest.mark.parametrize(("n_rows", "reached"), [(139 * 124, False), (139 * 125, True)])
def test_threads_of_a_call(n_rows, reached, backend):
    """And where the whole call has 100,000,000."""
    found = fb.Network(BY_ROWS, seed=0, backend=backend).plan(139, n_rows=n_rows)
    work = 6 * 964 * n_rows
    (compared,) = (one for one in found.comparisons if one.value == work)
    assert compared.threshold == 1e8 and compared.reached == reached
    threads = fb.show_config("dict")["threads"] if backend == "cython" else 1
    assert found.n_threads == (min(threads, found.n_blocks) if reached else 1)
