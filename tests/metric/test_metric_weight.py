"""A row of weight k counts as k rows, one of weight 0 as none, in every metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tolerance import assert_metric

from fastbp.metric import METRICS, metric

NAMES = [
    *METRICS, "top_2_accuracy", "precision_macro", "recall_micro", "f1_macro", "f1_weighted",
    "roc_auc_ovo", "pinball_0.9",
]  # fmt: skip
CASES = []
for name in NAMES:
    for loss in ("cross_entropy", "binary_cross_entropy", "mse"):
        try:
            metric(name, loss=loss)
        except ValueError:
            continue
        CASES.append((name, loss))


@pytest.mark.parametrize(("name", "loss"), CASES)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12), k=st.integers(1, 4))
def test_weight_is_copies(name, loss, seed, n, k):
    rng = np.random.default_rng(seed)
    response = rng.integers(1, 8, (n, k)) / 8  # with ties
    if loss == "cross_entropy":
        y = rng.integers(0, k, n).astype(np.int32)
        response /= response.sum(axis=1, keepdims=True)
    elif loss == "mse":
        y = rng.integers(0, 4, (n, k)) / 4
    else:
        y = rng.integers(0, 2, (n, k)) / 1.0
    weight = rng.integers(0, 4, n)
    measure = metric(name, loss=loss)
    found = measure(response, y, weight.astype(np.float64))
    copies = np.repeat(np.arange(n), weight)
    if not len(copies):
        assert np.isnan(found)
        return
    assert_metric(found, measure(response[copies], y[copies]), name=name)
    some = weight > 0
    assert found == measure(response[some], y[some], weight[some].astype(np.float64)) or (
        np.isnan(found)
    )
    whole = measure(response, y, np.ones(n))
    assert_metric(whole, measure(response, y), name=name)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30))
def test_size_of_all_weights_is_without_effect(seed, n):
    """Also of the median, whose half is found among rounded sums."""
    rng = np.random.default_rng(seed)
    response, y = rng.normal(size=(2, n, 2))
    weight = rng.integers(0, 3, n).astype(np.float64)
    for name in ("median_absolute_error", "mae", "rmse", "pinball"):
        measure = metric(name, loss="mse")
        expected = measure(response, y, weight)
        for factor in (0.1, 1 / 3, 7e5):
            assert_metric(measure(response, y, weight * factor), expected, name=name)
