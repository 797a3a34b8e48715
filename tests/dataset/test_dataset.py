"""The shipped digits are the published ones, small, and unpickled."""

from importlib import resources

import numpy as np

from fastbp.dataset import load_digits


def test_shape_type_and_range():
    X, y = load_digits()
    assert X.shape == (1797, 64) and X.dtype == np.float32 and X.flags.c_contiguous
    assert y.shape == (1797,) and y.dtype == np.int64
    assert X.min() == 0.0 and X.max() == 1.0
    # Sixteenths, exactly.
    assert (X * 16 == np.round(X * 16)).all()


def test_known_values():
    X, y = load_digits()
    # Number of images per digit and the first image, as published with the set.
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    first = [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
    assert (X[0] * 16).reshape(8, 8).tolist() == first
    assert int((X * 16).sum()) == 561718


def test_each_call_gives_its_own_arrays():
    X, _ = load_digits()
    X[:] = 7.0
    assert load_digits()[0].max() == 1.0


def test_file_is_small_and_attributed():
    folder = resources.files("fastbp.dataset")
    assert len(folder.joinpath("digits.npz").read_bytes()) < 300_000
    attribution = folder.joinpath("digits.txt").read_text(encoding="utf-8")
    assert "UCI" in attribution and "CC BY 4.0" in attribution and "scikit-learn" in attribution
