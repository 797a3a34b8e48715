"""How many engines a network keeps after batches of many sizes, and which."""

import gc
from typing import Any

import numpy as np
import pytest

import fastbp as fb
from fastbp.layer import architecture
from fastbp.plan import cache, threshold
from fastbp.runtime import engine_cache


def _engines(network: fb.Network) -> list[Any]:
    gc.collect()
    kind = network._state.module.Engine
    return [one for one in gc.get_objects() if type(one) is kind]


def _kept(sizes: list[int], network: fb.Network) -> list[int]:
    """The batch sizes of the engines that are there after a step of each size."""
    X = np.zeros((max(sizes), network.n_features))
    y = np.zeros((max(sizes), network.n_outputs))
    before = {id(one): one for one in _engines(network)}
    for rows in sizes:
        network.train_on_batch(X[:rows], y[:rows])
    found = [one for one in _engines(network) if id(one) not in before]
    return sorted(engine.plan.max_rows for engine in found)


@pytest.mark.slow
def test_64_engines_are_kept_the_last_used():
    sizes = [*range(1, 100), 40, 100]
    kept = _kept(sizes, fb.Network([2, 3, 1], seed=0))
    assert kept == [*range(37, 101)]
    again = _kept([*range(1, 65), 1, 65], fb.Network([2, 3, 1], seed=0))
    assert again == [1, *range(3, 66)]  # 1 was used again, so 2 is the oldest


@pytest.mark.slow
def test_large_engines_are_kept_up_to_64_mebibytes():
    """Whatever was used before the last, oldest first, goes until the rest has no more."""
    network = fb.Network([1, 2**15, 1], seed=0)
    sizes = [*range(1, 25)]
    size = {rows: network.plan(rows).arena["size"] for rows in sizes}
    expected: list[int] = []
    for rows in sizes:
        while sum(size[one] for one in expected) > 64 * 2**20:
            del expected[0]
        expected.append(rows)
    assert 3 < len(expected) < 22  # neither the last alone nor nearly all
    assert _kept(sizes, network) == expected


@pytest.mark.slow
def test_the_last_is_kept_however_large():
    network = fb.Network([1, 2**20, 1], seed=0)
    assert network.plan(3).arena["size"] > 64 * 2**20
    assert _kept([1, 2, 3], network) == [3]
    assert _kept([3], network) == []  # no other than the one that was there


def test_networks_of_one_description_share_their_plans(backend, monkeypatch):
    """But neither engines nor memory; a threshold that moves has plans of its own."""

    def prepared(**options):
        net = fb.Network([4, 6, 2], seed=0, backend=backend, **options)
        return engine_cache.engine(net._state, "train", 8)

    monkeypatch.setattr(architecture, "_known", {})  # of other tests, which might be dropped
    engine, plan, scratch = prepared()
    again = prepared()
    assert again[1] is plan and again[0] is not engine and again[2] is not scratch
    assert prepared(optimizer=fb.Adam(1e-3))[1] is plan  # the same in other words
    assert prepared(optimizer=fb.Adam(1e-2))[1] is not plan
    assert prepared(optimizer=fb.AdamW(1e-3))[1] is not plan
    assert prepared(dtype="float64")[1] is not plan
    with monkeypatch.context() as patch:
        patch.setattr(threshold.TILE_BYTES, "value", threshold.TILE_BYTES.value + 64)
        assert prepared()[1] is not plan
    with monkeypatch.context() as patch:
        patch.setattr(cache.machine, "level_2", cache.machine.level_2 + 64)
        assert prepared()[1] is not plan
    assert prepared()[1] is plan


def test_no_more_plans_are_kept_than_some(monkeypatch):
    monkeypatch.setattr(engine_cache, "_KEPT_PLANS", 3)
    state = fb.Network([4, 6, 2], seed=0)._state
    for rows in range(1, 9):
        engine_cache.engine(state, "train", rows)
        assert len(state.architecture.plans) <= 3
