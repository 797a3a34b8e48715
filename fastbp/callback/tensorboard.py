"""Curves in TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastbp.callback.base import Callback, Logs
from fastbp.check.extra import missing_extra
from fastbp.check.message import shown
from fastbp.check.scalar import as_index, check_integer


class TensorBoard(Callback):
    """Write losses, metrics and the learning rate for TensorBoard.

    Args:
        log_dir: folder; its "train" and "validation" get the files, tagged "epoch_loss",
            "epoch_accuracy", ... as Keras does.
        histogram_freq: every so many epochs the distribution of each kernel and bias; 0 for never.
        update_freq: "epoch", "batch" or a number of batches: then also "batch_loss", for which
            training is left after each batch.

    Raises:
        ImportError: no writer is installed: `pip install 'fastbp[tensorboard]'`.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        update_freq: str | int = "epoch",
    ) -> None:
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = check_integer(histogram_freq, name="histogram_freq", minimum=0)
        self.update_freq = update_freq
        self._every = 1 if update_freq == "batch" else as_index(update_freq) or 0
        if update_freq != "epoch":
            if self._every < 1:
                raise ValueError(
                    "update_freq must be 'epoch', 'batch' or an integer >= 1, "
                    f"got {shown(update_freq)}"
                )
            self.on_train_batch_end = self._write_batch  # type: ignore[method-assign]
        self._make = _writer_class()
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._writers = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        for name, value in (logs or {}).items():
            run = "validation" if name.startswith("val_") else "train"
            tag = f"epoch_{name.removeprefix('val_')}"
            self._writer(run).add_scalar(tag, float(value), epoch)
        rate = getattr(self.model, "learning_rate", None)
        if rate is not None and "learning_rate" not in (logs or {}):
            self._writer("train").add_scalar("epoch_learning_rate", float(rate), epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, values in self.model.parameters.items():
                self._writer("train").add_histogram(name, values, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _write_batch(self, batch: int, logs: Logs | None = None) -> None:
        step = self.model.steps
        if logs and step % self._every == 0:
            self._writer("train").add_scalar("batch_loss", float(logs["loss"]), step)

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            self._writers[run] = self._make(os.path.join(self.log_dir, run))
        return self._writers[run]


def _writer_class() -> Callable[[str], Any]:
    """tensorboardX's, or that of PyTorch where TensorBoard itself is installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise missing_extra("TensorBoard", "a writer", "tensorboard") from None
    make: Callable[[str], Any] = SummaryWriter
    return make
