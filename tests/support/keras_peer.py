"""Keras itself, in a process of its own: what its callbacks do, as JSON."""

from importlib.util import find_spec
from typing import Any

import pytest
from support import child

needs_keras = pytest.mark.skipif(
    find_spec("keras") is None or find_spec("torch") is None, reason="Keras is not installed"
)

_PRELUDE = """
import json, os
os.environ["KERAS_BACKEND"] = "torch"
import warnings
warnings.simplefilter("ignore")
import numpy as np
import keras

class Optimizer:
    learning_rate = 1.0

class Model:
    def __init__(self):
        self.stop_training, self.optimizer, self.epoch = False, Optimizer(), None
        self.metrics = []

    def get_weights(self):
        return [np.array([self.epoch])]

    def set_weights(self, weights):
        self.epoch = int(weights[0][0])

    # what a callback for fastbp asks for
    learning_rate = property(
        lambda self: self.optimizer.learning_rate,
        lambda self, rate: setattr(self.optimizer, "learning_rate", rate),
    )
"""


def keras_result(code: str) -> Any:
    """What the code printed last, read as JSON; it may use `keras`, `np`, `json` and `Model`."""
    return child.result(_PRELUDE + code, timeout=120)
