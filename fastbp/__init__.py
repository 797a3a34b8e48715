"""Dense neural networks trained on a CPU as fast as the CPU allows.

>>> import fastbp as fb
>>> net = fb.Network([2, 4, 1], activation="tanh", seed=0)
>>> net.predict([[0.5, -0.5]]).shape
(1, 1)
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from fastbp import backend as _backend
from fastbp.activation import Activation
from fastbp.backend.show_config import show_config
from fastbp.check.threads import get_num_threads, set_num_threads
from fastbp.error import DivergenceError, ModelBusyError, ModelFormatError
from fastbp.history import History
from fastbp.initializer import Constant, Orthogonal, VarianceScaling
from fastbp.layer import (
    BatchNorm,
    Branch,
    Dense,
    Dropout,
    GaussianNoise,
    Heads,
    Input,
    Layer,
    LayerNorm,
    NonCrossing,
    PReLU,
    Residual,
    Scale,
    Standardize,
)
from fastbp.loss import Loss
from fastbp.metric import Metric
from fastbp.network import Network
from fastbp.optimizer import SGD, Adam, AdamW
from fastbp.schedule import (
    CallableSchedule,
    ConstantSchedule,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseSquareRoot,
    InverseTimeDecay,
    MultiStepDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Schedule,
    StepDecay,
)
from fastbp.version import __version__ as __version__

if _TYPE_CHECKING:
    from fastbp import examples
    from fastbp.callback import (
        Callback,
        CSVLogger,
        EarlyStopping,
        LambdaCallback,
        LearningRateScheduler,
        ModelCheckpoint,
        ReduceLROnPlateau,
        TensorBoard,
        TerminateOnNaN,
    )
    from fastbp.optimizer import (
        LBFGS,
        Adadelta,
        Adagrad,
        Adamax,
        LevenbergMarquardt,
        Lion,
        NAdam,
        RAdam,
        RMSprop,
        Rprop,
    )
    from fastbp.picture.boundary import plot_decision_boundary
    from fastbp.runtime.backup import Backup
    from fastbp.tabular import TableModel

__all__ = [
    "LBFGS",
    "SGD",
    "Activation",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Backup",
    "BatchNorm",
    "Branch",
    "CSVLogger",
    "CallableSchedule",
    "Callback",
    "Constant",
    "ConstantSchedule",
    "CosineDecay",
    "CosineDecayRestarts",
    "Dense",
    "DivergenceError",
    "Dropout",
    "EarlyStopping",
    "ExponentialDecay",
    "GaussianNoise",
    "Heads",
    "History",
    "Input",
    "InverseSquareRoot",
    "InverseTimeDecay",
    "LambdaCallback",
    "Layer",
    "LayerNorm",
    "LearningRateScheduler",
    "LevenbergMarquardt",
    "Lion",
    "Loss",
    "Metric",
    "ModelBusyError",
    "ModelCheckpoint",
    "ModelFormatError",
    "MultiStepDecay",
    "NAdam",
    "Network",
    "NonCrossing",
    "OneCycle",
    "Orthogonal",
    "PReLU",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Residual",
    "Rprop",
    "Scale",
    "Schedule",
    "Standardize",
    "StepDecay",
    "TableModel",
    "TensorBoard",
    "TerminateOnNaN",
    "VarianceScaling",
    "backend",
    "examples",
    "get_num_threads",
    "plot_decision_boundary",
    "set_num_threads",
    "show_config",
]

_LATER = {
    **dict.fromkeys(
        (
            "LBFGS",
            "Adadelta",
            "Adagrad",
            "Adamax",
            "LevenbergMarquardt",
            "Lion",
            "NAdam",
            "RAdam",
            "RMSprop",
            "Rprop",
        ),
        "fastbp.optimizer",
    ),
    "Backup": "fastbp.runtime.backup",
    "TableModel": "fastbp.tabular",
    "plot_decision_boundary": "fastbp.picture.boundary",
}


def __getattr__(name: str) -> _Any:
    """`fastbp.examples`, and what few programs need, read in when it is first asked for."""
    from importlib import import_module

    if name == "examples":
        return import_module("fastbp.examples")
    if name in __all__:
        module = _LATER.get(name, "fastbp.callback")
        found = globals()[name] = getattr(import_module(module), name)
        return found
    raise AttributeError(f"module 'fastbp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def backend() -> str:
    """The backend of networks that do not ask for one: "cython" or "numpy"."""
    return _backend.default
