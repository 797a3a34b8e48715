"""Trainings that are stopped and gone on with: what may go wrong there, and how to stop."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, suppress
from typing import Any
from unittest.mock import patch

import numpy as np
from support.network_state import digest

import fastbp as fb

N_ROWS, BATCH = 47, 8  # six batches, the last one short


class Counter(fb.Callback):
    """A user's own, with a state of JSON and arrays."""

    def __init__(self) -> None:
        self.seen, self.losses, self.called = 0, np.zeros(0), []

    def get_state(self) -> dict[str, Any]:
        return {"seen": self.seen, "losses": self.losses, "called": {"epochs": self.called}}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seen, self.losses = state["seen"], state["losses"]
        self.called = state["called"]["epochs"]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen += 1
        self.called.append(epoch)
        self.losses = np.append(self.losses, logs["loss"])
        logs["seen"] = self.seen
        logs["mean so far"] = self.losses.mean()


def _random_layers() -> list[Any]:
    """Some draw numbers, for each step others; some have parameters of their own."""
    return [
        fb.Input(5), fb.Standardize(mean=[0.1] * 5, std=[0.9] * 5), fb.GaussianNoise(0.3),
        fb.Dense(9, "tanh"), fb.LayerNorm(), fb.Dropout(0.4), fb.Dense(3),
    ]  # fmt: skip


def _heads() -> list[Any]:
    """Several outputs, for targets by name."""
    heads = fb.Heads({
        "class": ([fb.Dense(6, "tanh"), fb.Dense(3)], "cross_entropy"),
        "value": ([fb.Dropout(0.2), fb.Dense(1)], fb.Loss("huber"), 0.5),
    })  # fmt: skip
    return [fb.Input(5), fb.Dense(9, "tanh"), heads]


def _embedded_layers() -> list[Any]:
    """Of columns with small integers, some beyond what is known."""
    own = fb.Input(5, categorical={1: 3, 4: 9}, embedding_units=4, handle_unknown="slot")
    return [own, fb.Dense(9, "tanh"), fb.Dropout(0.2), fb.Dense(3)]


def _batched_layers() -> list[Any]:
    """Some have running statistics."""
    return [
        fb.Input(5), fb.BatchNorm(0.9), fb.Dense(9), fb.BatchNorm(), fb.Activation("relu"),
        fb.Dropout(0.2), fb.Dense(3),
    ]  # fmt: skip


def _rate(step: int) -> float:
    return 0.05 / (1 + step // 4)


CASES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": lambda: fb.SGD(0.05)},
    "momentum": {"optimizer": lambda: fb.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=0.2)},
    "adam": {"optimizer": lambda: fb.Adam(0.02), "metrics": ["accuracy", "mae"]},
    "adamw": {"optimizer": lambda: fb.AdamW(0.02, global_clipnorm=0.3, ema=0.9)},
    "amsgrad": {"optimizer": lambda: fb.Adam(0.02, amsgrad=True, epsilon_hat=True, ema=0.9)},
    "nadam": {"optimizer": lambda: fb.NAdam(0.02), "loss": fb.Loss("focal_cross_entropy")},
    "radam": {
        "optimizer": lambda: fb.RAdam(0.02, beta2=0.9, weight_decay=0.1),
        "loss": fb.Loss("cross_entropy", label_smoothing=0.1, with_penalties=True),
    },
    "rprop": {"optimizer": lambda: fb.Rprop(0.01), "shuffle": False},
    "schedule": {"optimizer": lambda: fb.Adam(fb.CosineDecay(0.05, 40, warmup_target=0.1,
                                                             warmup_steps=7))},
    "one cycle": {"optimizer": lambda: fb.SGD(fb.OneCycle(0.1, 60), ema=0.8)},
    "function": {"optimizer": lambda: fb.SGD(_rate)},
    "once an epoch": {"optimizer": lambda: fb.SGD(fb.CallableSchedule(_rate, per="epoch"))},
    "stops": {
        "optimizer": lambda: fb.Adam(0.3), "validation": True,
        "callbacks": lambda: [fb.EarlyStopping(patience=7)],
    },
    "plateau": {
        "optimizer": lambda: fb.SGD(0.5, momentum=0.9), "validation": True,
        "callbacks": lambda: [
            fb.EarlyStopping(patience=9), fb.ReduceLROnPlateau(patience=1, factor=0.5, cooldown=1)
        ],
    },
    "scheduler": {
        "optimizer": lambda: fb.SGD(0.1),
        "callbacks": lambda: [fb.LearningRateScheduler(lambda epoch, rate: rate * 0.9)],
    },
    "own": {"optimizer": lambda: fb.Adam(0.02), "callbacks": lambda: [Counter()]},
    "outputs": {"optimizer": lambda: fb.Adam(0.02), "metrics": ["accuracy", "f1_macro"]},
    "converted": {"optimizer": lambda: fb.Adam(0.02), "metrics": ["accuracy"], "kind": "converted"},
    "chunks": {"optimizer": lambda: fb.Adam(0.02), "metrics": ["accuracy"], "kind": "chunks"},
    "in order": {"optimizer": lambda: fb.Adam(0.02), "shuffle": False, "dtype": "float64"},
    "batches": {"optimizer": lambda: fb.Adam(0.02), "kind": "batches"},
    "draws": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _random_layers, "metrics": ["accuracy"],
    },
    "draws in chunks": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _random_layers, "kind": "chunks",
    },
    "draws, converted": {
        "optimizer": lambda: fb.SGD(0.05, momentum=0.9), "layers": _random_layers,
        "kind": "converted", "metrics": ["accuracy", "f1_macro"], "validation": True,
        "callbacks": lambda: [Counter(), fb.ReduceLROnPlateau(patience=1)],
    },
    "heads": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _heads, "loss": None, "validation": True,
        "weighted": True,
        "callbacks": lambda: [Counter(), fb.EarlyStopping("val_class_loss", patience=8)],
    },
    "heads in chunks": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _heads, "loss": None, "kind": "chunks",
    },
    "heads with gaps": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _heads, "loss": None, "validation": True,
        "weighted": True, "gaps": True, "metrics": {"class": ["accuracy", "f1_macro"]},
    },
    "heads with gaps, in chunks": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _heads, "loss": None, "kind": "chunks",
        "gaps": True,
    },
    "heads, converted": {
        "optimizer": lambda: fb.Adam(0.02), "layers": _heads, "loss": None, "kind": "converted",
    },
    "embeddings": {"optimizer": lambda: fb.Adam(0.02), "layers": _embedded_layers},
    "embeddings in chunks": {
        "optimizer": lambda: fb.SGD(0.05, momentum=0.9), "layers": _embedded_layers,
        "kind": "chunks", "metrics": ["accuracy"],
    },
    "batch statistics": {
        "optimizer": lambda: fb.Adam(0.02, ema=0.9, clipnorm=0.5), "layers": _batched_layers,
        "validation": True, "callbacks": lambda: [fb.EarlyStopping(patience=7)],
    },
    "batch statistics, converted": {
        "optimizer": lambda: fb.SGD(0.05, momentum=0.9), "layers": _batched_layers,
        "kind": "converted", "metrics": ["accuracy", "f1_macro"],
    },
    "everything": {
        "optimizer": lambda: fb.Adam(0.05, clipvalue=0.01, ema=0.9), "validation": True,
        "weighted": True, "metrics": ["accuracy", "mae", "log_loss"],
        "callbacks": lambda: [
            Counter(), fb.ReduceLROnPlateau(patience=1), fb.EarlyStopping(patience=8)
        ],
    },
}  # fmt: skip


class Stopped(Exception):
    pass


class Stop(fb.Callback):
    """Ends a fit after a step of the network."""

    def __init__(self, how: str, step: int) -> None:
        self.how, self.step = how, step
        self.path = ""  # of a file that is written at that moment
        self.on_train_batch_end = self._ends  # type: ignore[method-assign]

    def _ends(self, batch: int, logs: Any = None) -> None:
        if self.model.steps != self.step:
            return
        if self.how == "stop_training":
            self.model.stop_training = True
            return
        if self.path:
            self.model.save(self.path)
        raise KeyboardInterrupt if self.how == "interrupt" else Stopped


def _rows(y: Any, rows: slice) -> Any:
    """Of targets, or of those of each head."""
    return {name: part[rows] for name, part in y.items()} if isinstance(y, dict) else y[rows]


def make(name: str, backend: str) -> tuple[fb.Network, tuple[np.ndarray, Any]]:
    own = CASES[name]
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(N_ROWS, 5)), rng.integers(0, 3, N_ROWS)
    if own.get("layers") is _heads:
        y = {"class": y, "value": rng.normal(size=N_ROWS)}
    if own.get("gaps"):
        rows = np.arange(N_ROWS)
        y = {
            name: np.where(rows % (2 + i), part, np.nan) for i, (name, part) in enumerate(y.items())
        }
    if own.get("layers") is _embedded_layers:
        X[:, [1, 4]] = np.abs(X[:, [1, 4]]).round()
    metrics = own.get("metrics", [])
    network = fb.Network(
        own["layers"]() if "layers" in own else [5, 9, 3],
        activation=None if "layers" in own else "tanh", loss=own.get("loss", "cross_entropy"),
        optimizer=own["optimizer"](), metrics=metrics, dtype=own.get("dtype", "float32"), seed=4,
        backend=backend,
    )  # fmt: skip
    return network, (X, y)


def fit(
    name: str, network: fb.Network, data: tuple[np.ndarray, Any], *, epochs: int = 10,
    stop: Any = None, n_threads: int = 1, backup: Any = None,
) -> None:  # fmt: skip
    """From where the network stands to the end, or to where it is stopped."""
    own, (X, y) = CASES[name], data
    options: dict[str, Any] = {"batch_size": BATCH, "shuffle": own.get("shuffle", True)}
    if own.get("weighted"):
        options["sample_weight"] = np.arange(N_ROWS) % 3 + 0.5
    if own.get("gaps"):
        options["ignore_nan"] = True
    if own.get("validation"):
        options["validation_data"] = X[:20], _rows(y, slice(20))
    kind = own.get("kind")
    callbacks = own["callbacks"]() if "callbacks" in own else []
    limited = stop is not None and getattr(stop, "how", "") == "max_seconds"
    if stop is not None and not limited:
        callbacks = [stop, *callbacks]
    first: Any = X
    if kind == "chunks":
        cut = [0, 13, 14, 40, N_ROWS]
        edges = [slice(a, b) for a, b in zip(cut, cut[1:], strict=False)]
        first, y = [(X[rows], _rows(y, rows)) for rows in edges], None
    if kind == "batches":
        rows = np.random.default_rng(0).integers(0, N_ROWS, (6, 7))
        options = {"batches": [[int(i) for i in batch] for batch in rows]}
    with ExitStack() as stack:
        if kind == "converted":
            stack.enter_context(patch("fastbp.runtime.rows.MOST_BYTES", 0))
            stack.enter_context(patch("fastbp.runtime.feed.PART_BYTES", 1000))
            first = X.astype(np.float16)
        if limited:
            steps = network.steps
            stack.enter_context(patch("time.perf_counter", lambda: 1e3 + 0.5 * network.steps))
            options["max_seconds"] = (stop.step - steps) * 0.5
        with suppress(Stopped, KeyboardInterrupt):
            network.fit(
                first, y, epochs=epochs, initial_epoch=network.epochs, callbacks=callbacks,
                n_threads=n_threads, verbose=0, backup=backup, **options,
            )  # fmt: skip


def go_on(name: str, backend: str, path: str, *, n_threads: int) -> str:
    """What comes of the file of a run that was stopped."""
    _, data = make(name, backend)
    network = fb.Network.load(path, backend=backend)
    if "function" in str(network.get_config()["optimizer"]):
        network.learning_rate = CASES[name]["optimizer"]().learning_rate
    fit(name, network, data, n_threads=n_threads)
    return result(network)


def result(network: fb.Network) -> str:
    """Of all numbers, the counters and the history of all epochs."""
    past = network.history
    figures = [(name, past.rows(name)) for name in sorted(past.history)]
    text = repr([digest(network), network.epochs, past.epoch, past.stopped, past.reason, figures])
    return hashlib.sha256(text.encode()).hexdigest()
