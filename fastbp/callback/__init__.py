"""What `Network.fit` calls on its way: `Callback`, and those that come with the library."""

from fastbp.callback.base import Callback
from fastbp.callback.checkpoint import ModelCheckpoint
from fastbp.callback.early_stopping import EarlyStopping
from fastbp.callback.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from fastbp.callback.simple import CSVLogger, LambdaCallback, TerminateOnNaN
from fastbp.callback.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
