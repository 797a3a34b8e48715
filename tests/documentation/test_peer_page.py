"""The pages for users of Keras and PyTorch say what these do, where they are installed."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from support.keras_peer import keras_result, needs_keras

import fastbp as fb

DOCS = Path(__file__).parents[2] / "docs"
ROWS = re.compile(r"^\| (.+?) \| (.+?) \| (.+?) \|$", re.M)


def table(page: str) -> dict[str, list[str]]:
    """default -> what the page says of the peer's and of ours, by its table of defaults."""
    text = (DOCS / page).read_text(encoding="utf-8").split("## Defaults that differ")[1]
    return {name: cells for name, *cells in ROWS.findall(text.split("\n## ")[0])}


def default(function, name: str) -> str:
    """As a page writes it."""
    function = function.__init__ if inspect.isclass(function) else function
    return f"`{inspect.signature(function).parameters[name].default!r}`"


def starts(rows: dict[str, list[str]], expected: dict[str, tuple[str, str]]) -> None:
    """Each of these rows says so; the rest of a cell explains."""
    for name, values in expected.items():
        for cell, value in zip(rows[name], values, strict=True):
            assert cell.startswith(value), (name, cell, value)


def test_defaults_of_fastbp():
    """What both pages say of ours, whoever is installed."""
    rows = table("from_keras.md")
    assert rows['slope of "leaky_relu"'][1] == f"`{fb.Activation('leaky_relu').alpha!r}`"
    assert rows["patience of EarlyStopping"][1] == default(fb.EarlyStopping, "patience")
    rows = table("from_pytorch.md")
    assert rows["learning rate of SGD"][1] == default(fb.SGD, "learning_rate")
    assert rows["rows of a batch"][1] == default(fb.Network.train_steps, "batch_size")
    assert rows["shuffled"][1] == default(fb.Network.fit, "shuffle")


# Keras's defaults, and its kernel after a step of gradient descent at rate 1 on two rows.
KERAS = """
import inspect

def default(thing, name):
    thing = thing.__init__ if inspect.isclass(thing) else thing
    return f"`{inspect.signature(thing).parameters[name].default!r}`"

def step(l2, weight):
    layer = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(l2))
    model = keras.Sequential([keras.layers.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(1.0), "mean_squared_error")
    model.set_weights([np.array([[0.5], [0.25]]), np.zeros(1)])
    model.fit(np.eye(2), np.array([[1.0], [-1.0]]), sample_weight=weight, verbose=0)
    return model.get_weights()[0].ravel().tolist()

o, c, a = keras.optimizers, keras.callbacks, keras.activations
asked = [(o.Adam, "epsilon"), (o.Adam, "learning_rate"), (o.Adam, "beta_1"), (o.Adam, "beta_2"),
         (o.AdamW, "weight_decay"), (o.SGD, "learning_rate"), (a.leaky_relu, "negative_slope"),
         (a.gelu, "approximate"), (c.EarlyStopping, "patience"),
         (c.EarlyStopping, "restore_best_weights"), (c.EarlyStopping, "monitor"),
         (keras.layers.Dense, "kernel_initializer"), (keras.layers.Dense, "bias_initializer"),
         (keras.losses.Huber, "delta"), (keras.Model.fit, "epochs"), (keras.Model.fit, "shuffle")]
found = {f"{thing.__name__}.{name}": default(thing, name) for thing, name in asked}
found["penalty"], found["weight"] = step(2**-7, None), step(0.0, np.array([1.0, 3.0]))
print(json.dumps(found))
"""


def _step(l2: float, weight: list[float] | None) -> list[float]:
    """The same step with fastbp."""
    layer = fb.Dense(1, weights=[[0.5], [0.25]], l2=l2)
    net = fb.Network([fb.Input(2), layer], optimizer=fb.SGD(1.0))
    net.fit(np.eye(2), np.array([1.0, -1.0]), sample_weight=weight)
    return net.get_weights()[0].ravel().tolist()


@needs_keras
@pytest.mark.slow
def test_keras():
    found = keras_result(KERAS)
    initial = ", ".join(found[f"Dense.{what}_initializer"] for what in ("kernel", "bias"))
    expected = {
        "epsilon of Adam": (found["Adam.epsilon"], default(fb.Adam, "epsilon")),
        "weight_decay of AdamW": (found["AdamW.weight_decay"], default(fb.AdamW, "weight_decay")),
        'slope of "leaky_relu"': (found["leaky_relu.negative_slope"], ""),
        "initial kernels, biases": (initial, "[chosen"),
    }
    names = {"patience of EarlyStopping": "patience"}
    for row in (*names, "restore_best_weights", "monitor"):
        name = names.get(row, row)
        expected[row] = found[f"EarlyStopping.{name}"], default(fb.EarlyStopping, name)
    starts(table("from_keras.md"), expected)
    for theirs, ours in {
        "Adam.learning_rate": default(fb.Adam, "learning_rate"),
        "Adam.beta_1": default(fb.Adam, "beta1"),
        "Adam.beta_2": default(fb.Adam, "beta2"),
        "SGD.learning_rate": default(fb.SGD, "learning_rate"),
        "Huber.delta": default(fb.Loss, "delta"),
        "gelu.approximate": "`False`",
        "fit.epochs": default(fb.Network.fit, "epochs"),
        "fit.shuffle": default(fb.Network.fit, "shuffle"),
    }.items():
        assert found[theirs] == ours, theirs
    # all numbers are halves of halves, so that nothing is rounded
    assert found["penalty"] == _step(2 * 2**-7, None) != _step(0.0, None)
    moved = np.array(found["weight"]) - [0.5, 0.25]  # Keras divides by the rows, 2
    assert (moved / 2 == np.array(_step(0.0, [1.0, 3.0])) - [0.5, 0.25]).all()  # we by the weights


@pytest.mark.slow
def test_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.optim import SGD, Adam, AdamW, lr_scheduler

    loader = torch.utils.data.DataLoader([(1, 2)])
    sampler = "False" if type(loader.sampler).__name__ == "SequentialSampler" else "True"
    starts(table("from_pytorch.md"), {
        "learning rate of SGD": (default(SGD, "lr"), default(fb.SGD, "learning_rate")),
        "rows of a batch": (default(torch.utils.data.DataLoader, "batch_size"),
                            default(fb.Network.train_steps, "batch_size")),
        "shuffled": (f"`{sampler}`", default(fb.Network.fit, "shuffle")),
    })  # fmt: skip
    assert default(Adam, "lr") == default(fb.Adam, "learning_rate")
    assert default(Adam, "eps") == default(fb.Adam, "epsilon")
    assert default(Adam, "betas") == f"`({fb.Adam().beta1!r}, {fb.Adam().beta2!r})`"
    assert default(AdamW, "weight_decay") == default(fb.AdamW, "weight_decay")
    assert default(torch.nn.HuberLoss, "delta") == default(fb.Loss, "delta")
    slope = default(torch.nn.LeakyReLU, "negative_slope")
    assert slope == f"`{fb.Activation('leaky_relu').alpha!r}`"
    assert default(torch.nn.ELU, "alpha") == f"`{fb.Activation('elu').alpha!r}`"
    for name in ("pct_start", "div_factor", "final_div_factor", "three_phase"):
        assert default(lr_scheduler.OneCycleLR, name) == default(fb.OneCycle, name)
