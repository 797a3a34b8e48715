"""The roofline model against figures worked out by hand, and the probes of its constants."""

import dataclasses

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.tolerance import assert_rounded

from fastbp.backend import compiled_modules
from fastbp.benchmark import machine, oracle, roofline, sweep
from fastbp.benchmark.roofline import Constants
from fastbp.benchmark.workload import Workload

# Round figures: a vector of 4 floats; a quotient takes 10 s, with a root 16 s; L1 of 1000 bytes.
ROUND = Constants(
    lanes=4, itemsize=4, fma_per_s=2.0, vector_per_s=4.0, divide_s=10.0, quotient_s=16.0,
    fma_latency_s=4.0, divide_latency_s=11.0, sqrt_latency_s=13.0, caches=(1000, 10000, 100000),
    footprints=(500, 5000, 20000, 80000),
    read=(64.0, 32.0, 16.0, 8.0), rewrite=(128.0, 64.0, 32.0, 16.0),
)  # fmt: skip


def test_by_hand_sgd_relu():
    """2-8-4, batch 4: W = 48, P = 60, 6 B W - 2 B n_0 n_1 = 1152 - 128 = 1024 FLOPs."""
    workload = Workload((2, 8, 4), "relu", "mse", 4, 1, "sgd")
    assert workload.flop == 1024
    found = roofline.times(workload, ROUND)
    # vectors: products 128, update 60/4 = 15, mse 2 * 4 = 8
    assert found["FMA"] == (128 + 15 + 8) / 2
    # beside them: biases 4 * 12 / 4 = 12, relu 2 * 8 = 16, mse 4
    assert found["vector"] == (151 + 32) / 4
    assert found["divide"] == 0
    # loads 4 (0.44 * 128 * 4 + 60) = 1141.12 bytes; stores 4 (60 + 48) = 432
    assert_rounded(found["load/store"], 1141.12 / 64, dtype="float64", roundings=8)
    assert found["memory"] == 0  # 240 bytes
    # forward 2 + 8, dX 4 links of 4 s; relu, mse, update 4 s each; log2(4) links
    assert found["latency"] == (2 + 8 + 4 + 3 + 2) * 4
    assert roofline.limit(workload, ROUND) == (76, "latency")


def test_by_hand_adam_tanh():
    """2-8-4, batch 100: the state of 720 bytes is in L1; twice as wide it is not."""
    workload = Workload((2, 8, 4), "tanh", "mse", 100, 1)
    found = roofline.times(workload, ROUND)
    # products 25600 / 8, update 7 * 15, tanh 9 * 200, mse 2 * 100
    assert found["FMA"] == (3200 + 105 + 1800 + 200) / 2
    # biases 300, update 2 * 15, tanh 10 * 200, mse 100
    assert found["vector"] == (5305 + 300 + 30 + 2000 + 100) / 4
    assert found["divide"] == 200 * 10 + 15 * 16
    # stores 4 (3 * 60 + 1200) at half of 128; loads 4 (0.44 * 3200 * 4 + 180) at 64
    bytes_moved = max(5520 / 64, 4 * (5632 + 180) / 64)
    assert_rounded(found["load/store"], bytes_moved, dtype="float64", roundings=8)
    # 10 forward, 4 dX, 2 losses and 5 updates' links, 8 of tanh, log2(16)
    assert found["latency"] == (10 + 4 + 1 + 8 + 5 + 4) * 4 + 11 + 13 + 11
    assert roofline.limit(workload, ROUND) == (2652.5, "FMA")


def test_memory_by_level():
    """4-8-4, P = 76: 912 bytes of weights and moments, of which L1 and L2 hold what they can."""
    workload = Workload((4, 8, 4), "relu", "mse", 1, 1)
    reads, rewrites = 4 * 64, 2 * 4 * 3 * 76
    assert roofline.times(workload, ROUND)["memory"] == 0
    near = dataclasses.replace(ROUND, caches=(228, 10000, 100000))
    three_quarters = 0.75 * (reads / 32 + rewrites / 64)
    assert roofline.times(workload, near)["memory"] == three_quarters
    # two cores have twice the L1: half of what each works on lies in it
    assert roofline.times(workload, near, threads=2)["memory"] == three_quarters / 0.75 * 0.5 / 2
    # a quarter in L1, a quarter in L2, the half at the rates of the largest array below 912
    far = dataclasses.replace(ROUND, caches=(228, 456, 9999), footprints=(1, 2, 3, 912))
    away = reads / 8 + rewrites / 16
    assert roofline.times(workload, far)["memory"] == three_quarters / 3 + away / 2
    farther = dataclasses.replace(far, footprints=(1, 2, 3, 913))
    nearer = reads / 16 + rewrites / 32
    assert roofline.times(workload, farther)["memory"] == three_quarters / 3 + nearer / 2
    # one row: no weight is used twice, so every FMA loads one
    assert roofline.times(workload, ROUND)["load/store"] >= 4 * 1.0 * workload.flop / 2 / 64


def test_a_slow_divider_leaves_quotients_to_the_fma_units():
    """1-8, Adam: P = 16, four quotients with a root, which FMAs could compute in 64 turns."""
    workload = Workload((1, 8), "linear", "mse", 1, 1)
    found = roofline.times(workload, ROUND)
    # products 2 * 8 * 2 / 8, update 7 * 4, mse 2 * 2 vectors: 36 at two a second
    assert found["FMA"] == 18
    # the divider takes 4 * 16 = 64 s for all, the FMA units 32 s: s of them, 64 s = 18 + 32 (1 - s)
    assert_rounded(found["divide"], 64 * 50 / 96, dtype="float64", roundings=8)
    quick = dataclasses.replace(ROUND, quotient_s=4.0)
    assert roofline.times(workload, quick)["divide"] == 16


@pytest.mark.parametrize("name", oracle.ACTIVATIONS)
def test_every_activation_has_costs(name):
    if name != "softmax":
        workload = Workload((3, 4, 2), name, "mse", 5, 1)
        assert all(np.isfinite(seconds) for seconds in roofline.times(workload, ROUND).values())


@pytest.mark.parametrize("name", sweep.LOSSES)
def test_every_loss_has_costs(name):
    workload = Workload((3, 4, 2), "relu", name, 5, 1, "adamw")
    assert all(np.isfinite(seconds) for seconds in roofline.times(workload, ROUND).values())


def test_footprints_reach_from_cache_to_memory():
    assert machine.footprints((48, 2**10, 2**14)) == (24, 2**9, 2**11, 2**13, 2**15)
    assert machine.footprints((48, 2**21, 2**40))[-1] == machine.LARGEST


def test_threads_share_all_but_latency():
    workload = Workload((4, 32, 16, 1), "tanh", "mse", 200, 1)
    one, two = (roofline.times(workload, ROUND, threads=n) for n in (1, 2))
    for name in ("FMA", "vector", "divide", "load/store"):
        assert two[name] == one[name] / 2
    assert two["latency"] == one["latency"]


def test_float64_has_more_coefficients():
    workload = Workload((4, 32, 1), "tanh", "mse", 8, 1)
    double = dataclasses.replace(ROUND, itemsize=8)
    more = roofline.times(workload, double)["FMA"] - roofline.times(workload, ROUND)["FMA"]
    assert more == 3 * 8 * 32 / 4 / 2


@needs_kernels
def test_constants_of_this_machine(monkeypatch):
    monkeypatch.setattr(machine, "REPEATS", 1)
    monkeypatch.setattr(machine, "LARGEST", 2**22)
    probe = machine.Probe()
    probe.run()
    for dtype, constants in probe.constants().items():
        assert constants.itemsize == np.dtype(dtype).itemsize and constants.lanes >= 1
        values = dataclasses.astuple(constants)
        assert all(np.all(np.asarray(value) > 0) for value in values)
        assert constants.vector_per_s >= constants.fma_per_s
        assert len(constants.read) == len(constants.footprints) > len(constants.caches) - 1
    assert probe.clock() > 1e8
    assert machine.describe()["processors"] >= 1


@pytest.mark.parametrize("key", compiled_modules(), ids="-".join)
def test_probes_do_the_work(key):
    module, real = compiled_modules()[key], np.dtype(key[1])
    x = np.ones(8 * 64 // real.itemsize * 3, real)
    assert module.probe_stream(x, 4, 2.0) == 4 * x.size and (x == 1).all()
    assert module.probe_stream(x, 3, 2.0, True) == 0 and (x == 8).all()
    with pytest.raises(ValueError, match="multiple of"):
        module.probe_stream(np.ones(3, real), 1, 1.0)
    lanes, chains, probed = (module.sizes()[name] for name in ("lanes", "probe_chains", "probed"))
    # 12 vectors x = 1 become 1 x + 1 = 3 in two turns; y = 1 is added; the other numbers are 1
    total = module.probe_arithmetic("fma", 2, 1.0, 1.0)
    assert total == 2 + 1 + chains * lanes * (3 + 1) + (probed - chains * lanes)
    total = module.probe_arithmetic("sqrt_chain", 3, 1.0, 1.0)
    expected = 3 + 1 + chains * lanes * 2 + (probed - chains * lanes)
    assert_rounded(total, expected, dtype=real, roundings=8)
    with pytest.raises(ValueError, match="unknown kind 'x'"):
        module.probe_arithmetic("x", 1, 1.0, 1.0)
