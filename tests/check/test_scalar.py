"""Numbers, sizes, seeds and threads: what is accepted, type and message of each refusal."""

from __future__ import annotations

import numpy as np
import pytest
from support.refusal import refuses

from fastbp.check import scalar as argument
from fastbp.check import threads


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)], ids=repr)
def test_integer(value):
    result = argument.check_integer(value, name="epochs", minimum=0)
    assert result == 3 and type(result) is int


@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-5, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError),
     ("3", TypeError), (np.True_, TypeError), (np.float64(2), TypeError)],
)  # fmt: skip
def test_bad_integer(value, error):
    shown = repr(value.item() if isinstance(value, np.generic) else value)
    with refuses(error, f"batch_size must be an integer >= 1, got {shown}"):
        argument.check_integer(value, name="batch_size", minimum=1)


def test_integer_maximum():
    with refuses(ValueError, "k must be an integer in 1..3, got 4"):
        argument.check_integer(4, name="k", minimum=1, maximum=3)


def test_size():
    assert argument.check_size(np.int64(7), name="layer 2 size") == 7
    with refuses(ValueError, "layer 2 size must be >= 1, got 0"):
        argument.check_size(0, name="layer 2 size")
    with refuses(TypeError, "layer 2 size must be an integer >= 1, got 2.5"):
        argument.check_size(2.5, name="layer 2 size")


UNIT = {"minimum": 0, "maximum": 1, "exclude_maximum": True}


@pytest.mark.parametrize(
    ("value", "limits", "error", "text"),
    [
        (float("nan"), {"minimum": 0}, ValueError, "r must be finite and >= 0, got nan"),
        (float("inf"), {"minimum": 0}, ValueError, "r must be finite and >= 0, got inf"),
        (-1e-9, {"minimum": 0}, ValueError, "r must be finite and >= 0, got -1e-09"),
        (10**400, {}, ValueError, "r must be finite, got 1" + "0" * 56 + "..."),
        (1.0, UNIT, ValueError, "r must be in [0, 1), got 1"),
        (-0.5, UNIT, ValueError, "r must be in [0, 1), got -0.5"),
        (0, {"minimum": 0, "exclude_minimum": True}, ValueError,
         "r must be finite and > 0, got 0"),
        (2, {"maximum": 1}, ValueError, "r must be finite and <= 1, got 2"),
        (True, {"minimum": 0}, TypeError, "r must be a number, finite and >= 0, got True"),
        ("1", UNIT, TypeError, "r must be a number, in [0, 1), got '1'"),
        (None, {}, TypeError, "r must be a number, finite, got None"),
    ],
)  # fmt: skip
def test_bad_real(value, limits, error, text):
    with refuses(error, text):
        argument.check_real(value, name="r", **limits)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), np.int8(0)], ids=repr)
def test_real(value):
    result = argument.check_real(value, name="r", **UNIT)
    assert result == value and type(result) is float


def test_seed():
    for seed in (0, 2**64 - 1, np.uint64(5)):
        assert argument.check_seed(seed) == seed
    assert argument.check_seed(None) != argument.check_seed(None)
    first, second = np.random.default_rng(1), np.random.default_rng(1)
    assert argument.check_seed(first) == argument.check_seed(second)
    assert argument.check_seed(first) != argument.check_seed(np.random.default_rng(1))
    expected = "seed must be None, an integer in 0..2**64-1 or a numpy.random.Generator, got "
    for seed, shown in ((-1, "-1"), (2**64, str(2**64)), (1.5, "1.5"), (True, "True")):
        with refuses(ValueError, expected + shown):
            argument.check_seed(seed)


def test_n_threads(monkeypatch):
    monkeypatch.setattr(threads, "_limit", None)
    for value, expected in (("auto", 2), (-1, 2), (1, 1), (8, 8)):
        assert argument.check_n_threads(value, available=2) == expected
    assert argument.check_n_threads("auto") >= 1
    for value, error in ((0, ValueError), (-2, ValueError), (1.5, TypeError), ("all", TypeError)):
        text = f'n_threads must be "auto", -1 or an integer >= 1, got {value!r}'
        with refuses(error, text):
            argument.check_n_threads(value, available=2)
    with pytest.warns(RuntimeWarning, match=r"n_threads = 9 is more than 4 times the available 2"):
        assert argument.check_n_threads(9, available=2) == 8
