"""Model files on the way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fastbp.callback.base import Logs
from fastbp.callback.monitor import MonitorCallback, Patience
from fastbp.check.file_name import check_suffix
from fastbp.check.message import shown
from fastbp.check.scalar import as_index, check_bool, check_real


class ModelCheckpoint(MonitorCallback):
    """Save the network after every epoch, after every `save_freq` batches, or where it is best.

    Args:
        filepath: of the files, .npz or .safetensors; "{epoch:02d}-{val_loss:.2f}.npz" is filled
            with the number of the epoch, from 1, and what `logs` holds.  Folders that are missing
            are made.  An epoch without validation does not write a file named after one.
        monitor, mode: what is best, as in `EarlyStopping`.
        save_best_only: write only where the number is better than before.
        save_weights_only: only False, as a file holds the whole network.
        save_freq: "epoch" or a number of batches, counted through all epochs.
        initial_value_threshold: save only what is better than this.
        verbose: 1 prints a line for each file.

    Attributes:
        best: the best number that was saved.

    >>> import os, tempfile, numpy as np, fastbp as fb
    >>> X, net = np.arange(8.0)[:, None], fb.Network([1, 1], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save = fb.ModelCheckpoint(os.path.join(folder, "{epoch:02d}.npz"))
    ...     history = net.fit(X, X, epochs=2, callbacks=[save])
    ...     sorted(os.listdir(folder))
    ['01.npz', '02.npz']
    """

    saves = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str | None = None,
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        check_suffix(self.filepath)
        if any(not name or name[0].isdigit() for name in self._names()):
            raise ValueError(f"filepath must name what it is filled with: {shown(filepath)}")
        self.verbose = verbose
        self.save_best_only = check_bool(save_best_only, name="save_best_only")
        if check_bool(save_weights_only, name="save_weights_only"):
            raise ValueError("save_weights_only must be False: a file holds the whole network")
        threshold = initial_value_threshold
        if threshold is not None:
            threshold = check_real(threshold, name="initial_value_threshold")
        self.best = threshold
        self.save_freq = save_freq
        if save_freq != "epoch":
            if (as_index(save_freq) or 0) < 1:
                raise ValueError(
                    f"save_freq must be 'epoch' or an integer >= 1, got {shown(save_freq)}"
                )
            self.monitor = monitor or "loss"  # what there is after a batch
            # of the instance: only then is training left after each batch
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]
        self._epoch = 0
        self._batches = 0

    def set_params(self, params: Mapping[str, Any]) -> None:
        super().set_params(params)
        names = list(params.get("metrics", ["loss"]))
        for name in self._names():
            self.check_name(name, names)
        if self.save_freq != "epoch":
            asked = [name for name in self._names() if name not in ("epoch", "batch")]
            asked += [self.monitored] if self.save_best_only else []
            if any(name != "loss" for name in asked):
                raise ValueError(
                    f"ModelCheckpoint: after a batch there is the loss alone, not "
                    f"{', '.join(name for name in asked if name != 'loss')}; pass "
                    "save_freq='epoch', or monitor='loss'"
                )

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "epoch": self._epoch, "batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._epoch, self._batches = state["best"], state["epoch"], state["batches"]

    def is_growing(self) -> bool:
        return self.save_best_only and super().is_growing()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {}, {})

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save(self._epoch, logs or {}, {"batch": batch + 1})

    def _save(self, epoch: int, logs: Logs, batch: dict[str, int]) -> None:
        known = self.params.get("metrics", [])
        if any(name in known and name not in logs for name in self._names()):
            return  # not measured this time
        fields = {"epoch": epoch + 1} | batch | logs
        try:
            path = self.filepath.format(**fields)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath {self.filepath!r} cannot be filled ({error!r}); there "
                f"are {', '.join(fields)}"
            ) from None
        if self.save_best_only:
            value = self.value(logs)
            if value is None:
                return
            if not Patience(growing=self.is_growing()).improves(value, self.best):
                return
            self.best = value  # before the file is written, which holds it
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.model.save(path)
        if self.verbose:
            print(f"epoch {epoch + 1}: saved {path}")

    def _names(self) -> list[str]:
        """The names between braces in `filepath`."""
        from string import Formatter

        return [name for _, name, _, _ in Formatter().parse(self.filepath) if name is not None]
