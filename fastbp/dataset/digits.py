"""The handwritten digits of the UCI repository; see ``digits.txt`` for where they come from."""

from importlib import resources

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The 1797 images of 8x8 pixels and the digit each of them shows.

    Returns:
        X, (1797, 64) float32: grey values, row by row of the image, in 0..1 (sixteenths: the file
            holds 0..16).
        y, (1797,) int64: the digit, 0..9.

    >>> X, y = load_digits()
    >>> X.shape, str(X.dtype), y[:5].tolist()
    ((1797, 64), 'float32', [0, 1, 2, 3, 4])
    """
    with resources.files("fastbp.dataset").joinpath("digits.npz").open("rb") as stream:
        with np.load(stream, allow_pickle=False) as archive:
            pixels, label = archive["pixels"], archive["label"]
    # A sixteenth is a power of two: the scaled values are exact.
    return pixels.astype(np.float32) / np.float32(16.0), label.astype(np.int64)
