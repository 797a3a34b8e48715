"""`python docs/draw.py`: the pictures of the pages, but for the benchmark's (`bench.report`).

Needs the extra `plot`.
"""

from pathlib import Path

import matplotlib
import numpy as np

import fastbp as fb
from fastbp.dataset import load_digits
from fastbp.history import show

FOLDER = Path(__file__).parent / "picture"


def digits() -> None:
    """The network of the tutorial, and how it learns."""
    X, y = load_digits()
    net = fb.Network(
        [fb.Input(64), fb.Dense(128, "relu"), fb.Dense(10)],
        loss="cross_entropy", optimizer=fb.Adam(1e-3), metrics=["accuracy"], seed=0,
    )  # fmt: skip
    net.plot().save(FOLDER / "network.svg")
    history = net.fit(
        X[:1347], y[:1347], epochs=100, validation_split=0.1, verbose=False,
        callbacks=[fb.EarlyStopping(patience=10)],
    )  # fmt: skip
    show.drawing(history._columns()).save(FOLDER / "history.svg")


def blocks() -> None:
    """Layers with ways around and side by side."""
    layers = [
        fb.Input(6),
        fb.Dense(8, "relu"),
        fb.Residual([fb.Dense(8, "relu"), fb.Dense(8)], activation="relu"),
        fb.Branch([[fb.Dense(3, "tanh")], []], merge="concat"),
        fb.Dense(2, "softmax"),
    ]
    fb.Network(layers, loss="cross_entropy", seed=0).plot().save(FOLDER / "block.svg")


def boundary() -> None:
    """Two spirals, told apart."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "fastbp"  # the same names in every run
    rng = np.random.default_rng(0)
    turn = np.sqrt(rng.uniform(0.02, 1, 400)) * 2.2 * np.pi
    y = np.arange(400) % 2
    angle = turn + np.pi * y
    X = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) / 7
    X += 0.03 * rng.standard_normal(X.shape)
    net = fb.Network(
        [2, 32, 32, 1], activation="tanh", loss="binary_cross_entropy",
        optimizer=fb.Adam(fb.CosineDecay(1e-2, 6000)), seed=0,
    )  # fmt: skip
    net.fit(X, y, epochs=460, verbose=False)
    ax = fb.plot_decision_boundary(net, X, y)
    ax.figure.savefig(FOLDER / "boundary.svg", metadata={"Date": None}, dpi=96)


if __name__ == "__main__":
    digits()
    blocks()
    boundary()
