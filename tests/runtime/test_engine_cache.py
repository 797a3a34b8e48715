"""How many engines a network keeps after batches of many sizes, and which."""

import gc

import numpy as np
import pytest

import fastbp as fb
from fastbp.plan import Plan


def _kept(sizes: list[int], network: fb.Network) -> list[int]:
    """The batch sizes of the engines that are there after a step of each size; a plan an engine."""
    X = np.zeros((max(sizes), network.n_features))
    y = np.zeros((max(sizes), network.n_outputs))
    gc.collect()
    before = {id(one): one for one in gc.get_objects() if isinstance(one, Plan)}
    for rows in sizes:
        network.train_on_batch(X[:rows], y[:rows])
    gc.collect()
    found = [one for one in gc.get_objects() if isinstance(one, Plan) and id(one) not in before]
    return sorted(plan.max_rows for plan in found)


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
