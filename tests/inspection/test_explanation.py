"""Network.plan says what the compiled plan holds and what a training call uses."""

import dataclasses

import pytest
from support.training_case import CASES

import fastbp as fb
from fastbp.benchmark.workload import Workload
from fastbp.plan import threshold
from fastbp.runtime import engine_cache


@pytest.mark.parametrize("name", CASES)
def test_what_runs(name, dtype, backend):
    case = CASES[name]
    network = case.network(dtype, backend)
    found = network.plan(case.batch_size)
    own = network._state
    _, plan, threads = engine_cache.take_trainer(own, case.batch_size, "auto", 1)
    tiny = backend == "cython" and case.batch_size <= plan.latency_rows
    general = "weight-parallel" if case.weight_parallel else "data-parallel"
    general = "staged" if name.startswith("batch") else general
    assert found.regime == ("latency" if tiny else general)
    assert tiny == (backend == "cython" and name == "tiny")
    assert (found.n_blocks, found.block_rows) == (case.n_blocks, plan.block_rows)
    assert (found.tile_rows, found.n_tiles) == (plan.tile_rows, plan.n_tiles)
    assert found.n_threads == threads and found.n_rows == found.batch_size == case.batch_size
    assert (found.backend, found.instruction_set) == (backend, network.instruction_set)
    assert found.dtype == dtype
    arena = dict(found.arena)
    scratch = engine_cache.engine(own, "train", case.batch_size, plan.n_workers)[2]
    assert arena.pop("size") == sum(arena.values()) == scratch.nbytes
    assert found.memory == {
        "parameters": own.parameters.nbytes, "optimizer state": own.optimizer_state.nbytes
    }  # fmt: skip


def test_layers_and_arithmetic(backend):
    """Two products a layer, and the gradient by its input for all but the first."""
    network = fb.Network([10, 20, 3], seed=0, backend=backend)
    first, last = network.plan(7).layers
    assert (first.name, first.shape, first.storage) == ("dense_1", (10, 20), "by rows")
    assert (last.name, last.shape, last.storage) == ("dense_2", (20, 3), "by columns")
    assert first.flops == 7 * 2 * 2 * 10 * 20 and last.flops == 7 * 3 * 2 * 20 * 3
    assert network.plan(7).flops == first.flops + last.flops
    deep = fb.Network([10, 20, 30], seed=0, backend=backend).plan(7)
    assert [layer.has_transpose for layer in deep.layers] == [False, True]


@pytest.mark.parametrize("name", CASES)
def test_flops_are_those_of_the_operations(name):
    """Two for each element of an operand and column of the other, whatever runs it."""
    case = CASES[name]
    network = case.network("float64")
    plan = engine_cache.training_plan(network._state, case.batch_size, 1)[0]
    total = 0
    for op in (
        *plan.forward.operations,
        *plan.backward.operations,
        *plan.weight_gradient.operations,
    ):
        if op.kind in ("dense", "dense_input", "dense_turned"):
            total += 2 * op.n_a * op.n_c
        elif op.kind == "dense_gradient":
            total += 2 * op.n_a * op.n_y
    assert network.plan(case.batch_size).flops == case.batch_size * total


def test_one_count_of_flops(backend):
    """The text has that of the step and those of the layers, and the benchmarks count the same."""
    network = fb.Network([10, 20, 30, 3], seed=0, backend=backend)
    found = network.plan(7)
    assert found.flops == 6 * 7 * (200 + 600 + 90) - 2 * 7 * 200
    assert found.flops == Workload((10, 20, 30, 3), "relu", "mse", 7, 1).flop
    named = [line for line in str(found).splitlines() if "FLOP" in line]
    assert len(named) == 2
    assert named[0] == f"products  {found.flops:,} floating-point operations (FLOP) a step"
    assert named[1].split() == ["layer", "kernel", "stored", "bytes", "transposed", "copy", "FLOP"]
    work = 6 * 7 * network.n_parameters
    compared = {one.question: one.value for one in found.comparisons}
    assert compared["work of a step, for more than one block"] == work
    assert compared["work of a step, for another thread"] == work
    assert network.plan(7, n_rows=70).comparisons[-1].value == 10 * work


def test_thresholds_are_those_in_use(monkeypatch):
    network = fb.Network([10, 64, 64, 16], seed=0)
    shares_rows = network.plan(32)
    assert shares_rows.regime == "data-parallel" and not shares_rows.comparisons[0].reached
    monkeypatch.setattr(threshold.WEIGHT_PARALLEL_PARAMETERS, "value", 4096)
    found = network.plan(8)
    assert found.comparisons[0].threshold == 4096 and found.comparisons[0].reached
    assert found.regime == "weight-parallel"
    monkeypatch.setattr(threshold.THREAD_STEP_WORK, "value", 1)
    assert found.comparisons[-2].threshold != network.plan(8).comparisons[-2].threshold == 1
    assert all(one.source and one.sentence for one in found.comparisons)


def test_every_threshold_says_what_it_decides():
    """And those that explanations compare say what follows on either side."""
    table = [one for one in vars(threshold).values() if isinstance(one, threshold.Threshold)]
    assert len(table) == 21
    for one in table:
        assert one.value > 0 and one.size and one.decides and one.evidence
        assert bool(one.reached) == bool(one.missed)
        if one.reached:
            for size in (one.value - 1, one.value):
                sentence = one.compare(size).sentence
                assert f"{size:,}" in sentence and f"{one.value:,}" in sentence


@pytest.mark.parametrize("rows, regime", [(8, "latency"), (9, "data-parallel")])
def test_last_row_of_the_latency_path(rows, regime):
    """The explanation turns where the plan does."""
    network = fb.Network([3, 5, 1], seed=0, backend="numpy")
    plan = engine_cache.training_plan(network._state, rows, 1)[0]
    found = next(one for one in plan.comparisons if "64 bytes" in one.question)
    assert (regime == "latency") == (rows <= plan.latency_rows) == (not found.reached)
    assert found.threshold == plan.latency_rows + 1


def test_threads_of_an_epoch():
    network = fb.Network([784, 256, 10], seed=0)
    assert network.plan(8).n_threads == 1
    assert network.plan(128, n_rows=60_000).n_threads == min(
        fb.show_config("dict")["threads"], network.plan(128).n_tiles
    )
    assert network.plan(128, n_rows=20).batch_size == 20  # as fit has it


def test_tiles_that_threads_deal_out():
    """An even number of them, so that two threads have the same work, and all but the same size."""
    network = fb.Network([784, 256, 10], seed=0)
    for rows, tiles in ((31, [31]), (33, [17, 16]), (128, [64, 64]), (130, [33, 33, 33, 31])):
        found = network.plan(rows)
        begins = range(0, rows, found.tile_rows)
        assert [min(found.tile_rows, rows - begin) for begin in begins] == tiles
        assert found.n_tiles == len(tiles)


def test_text(backend):
    text = str(fb.Network([784, 256, 10], loss="cross_entropy", seed=0, backend=backend).plan(128))
    lines = text.splitlines()
    assert lines[0].startswith("Training in batches of 128 rows: float32")
    parts = ("weight-parallel: threads", "784 x 256", f"backend {backend}", "last good epoch")
    assert all(part in text for part in (*parts, "at least 8,192"))
    assert all(line == line.rstrip() and len(line) <= 98 for line in lines)


def test_frozen_and_nothing_changed(backend):
    network = fb.Network([3, 2], seed=0, backend=backend)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.plan(4).regime = "latency"
    assert not network._state.engines and network.steps == 0


@pytest.mark.parametrize("bad, error", [(0, ValueError), (1.5, TypeError), (True, TypeError)])
def test_refusals(bad, error):
    network = fb.Network([3, 2], seed=0)
    with pytest.raises(error, match="^batch_size must be an integer >= 1"):
        network.plan(bad)
    with pytest.raises(error, match="^n_rows must be an integer >= 1"):
        network.plan(1, n_rows=bad)
