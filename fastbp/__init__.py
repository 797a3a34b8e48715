"""Dense neural networks trained on a CPU as fast as the CPU allows.

>>> import fastbp as fb
>>> net = fb.Network([2, 4, 1], activation="tanh", seed=0)
>>> net.predict([[0.5, -0.5]]).shape
(1, 1)
"""

from fastbp import backend as _backend
from fastbp import examples
from fastbp.activation import Activation
from fastbp.error import DivergenceError, ModelBusyError, ModelFormatError
from fastbp.history import History
from fastbp.initializer import Constant
from fastbp.layer import Branch, Dense, Input, Residual
from fastbp.loss import Loss
from fastbp.network import Network
from fastbp.optimizer import SGD, Adam, AdamW
from fastbp.show_config import show_config

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "Branch",
    "Constant",
    "Dense",
    "DivergenceError",
    "History",
    "Input",
    "Loss",
    "ModelBusyError",
    "ModelFormatError",
    "Network",
    "Residual",
    "backend",
    "examples",
    "show_config",
]


def backend() -> str:
    """The backend of networks that do not ask for one: "cython" or "numpy"."""
    return _backend.default
