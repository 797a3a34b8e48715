"""Weights and parameters: what is accepted, and type and message of each refusal."""

from __future__ import annotations

import numpy as np
import pytest
from support.array import FLOAT64
from support.refusal import refuses

from fastbp.check import input

SHAPES = [("dense_1/kernel", (2, 3)), ("dense_1/bias", (3,))]


def test_weights_are_private_float64():
    kernel, bias = np.ones((2, 3), np.float32), np.zeros(3)
    result = input.check_weights([kernel, bias], shapes=SHAPES)
    assert [array.dtype for array in result] == [FLOAT64, FLOAT64]
    assert not np.shares_memory(result[1], bias) and result[0].tolist() == kernel.tolist()
    assert input.check_weights([[[1, 2, 3]] * 2, [1, 2, 3]], shapes=SHAPES)[1][2] == 3


@pytest.mark.parametrize(
    ("weights", "error", "text"),
    [
        (None, TypeError, "weights must be a list of arrays, got None"),
        ({}, TypeError, "weights must be a list of arrays, got {}"),
        ([np.zeros((2, 3))], ValueError,
         "weights must be 2 arrays (dense_1/kernel, dense_1/bias), got 1"),
        ([np.zeros((3, 2)), np.zeros(3)], ValueError,
         "dense_1/kernel is (2, 3), got (3, 2): transposed? pass its .T"),
        ([np.zeros((3, 3)), np.zeros(3)], ValueError, "dense_1/kernel is (2, 3), got (3, 3)"),
        ([np.zeros((2, 3)), np.zeros((1, 3))], ValueError, "dense_1/bias is (3,), got (1, 3)"),
        ([np.zeros((2, 3)), [0, np.nan, 0]], ValueError,
         "Input dense_1/bias contains NaN (first at [1])"),
        ([np.zeros((2, 3)), [0, 1e39, 0]], ValueError,
         "dense_1/bias[1] = 1e+39 does not fit float32"),
        ([np.zeros((2, 3)), [0, 1j, 0]], ValueError,
         "Complex data not supported: dense_1/bias is complex128"),
    ],
)  # fmt: skip
def test_bad_weights(weights, error, text):
    with refuses(error, text):
        input.check_weights(weights, shapes=SHAPES, dtype="float32")


def test_parameters():
    kernel = np.zeros((2, 4))
    input.check_parameters({"dense_1/kernel": kernel})
    kernel[0, 3] = np.nan
    with refuses(ValueError, "parameter dense_1/kernel contains NaN at [0, 3]"):
        input.check_parameters({"dense_1/bias": np.zeros(4), "dense_1/kernel": kernel})
