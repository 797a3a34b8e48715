"""Layers, optimizers and networks that are refused: which exception and what it says."""

import numpy as np
import pytest
from support.refusal import INF, NAN, Bad

import fastbp as fb
from fastbp.layer.base import inner_names

CONSTRUCTORS = [
    Bad(
        "learning rate",
        lambda: fb.SGD(NAN),
        ValueError,
        "^learning_rate must be finite and >= 0, got nan$",
    ),
    Bad(
        "learning rate",
        lambda: fb.Adam(INF),
        ValueError,
        "^learning_rate must be finite and >= 0, got inf$",
    ),
    Bad(
        "learning rate",
        lambda: fb.AdamW(-1),
        ValueError,
        "^learning_rate must be finite and >= 0, got -1$",
    ),
    Bad("learning rate", lambda: fb.SGD("fast"), TypeError, "^learning_rate must be a number"),
    Bad(
        "hyperparameter",
        lambda: fb.SGD(momentum=1.0),
        ValueError,
        r"^momentum must be in \[0, 1\), got 1$",
    ),
    Bad(
        "hyperparameter",
        lambda: fb.Adam(beta1=-0.1),
        ValueError,
        r"^beta1 must be in \[0, 1\), got -0.1$",
    ),
    Bad(
        "hyperparameter",
        lambda: fb.Adam(beta2=1),
        ValueError,
        r"^beta2 must be in \[0, 1\), got 1$",
    ),
    Bad(
        "hyperparameter",
        lambda: fb.Adam(epsilon=0),
        ValueError,
        "^epsilon must be finite and > 0, got 0$",
    ),
    Bad(
        "hyperparameter",
        lambda: fb.AdamW(weight_decay=-1),
        ValueError,
        "^weight_decay must be finite and >= 0, got -1$",
    ),
    Bad(
        "hyperparameter",
        lambda: fb.Dense(3, l2=-0.1),
        ValueError,
        "^l2 .*must be finite and >= 0, got -0.1$",
    ),
    Bad(
        "hyperparameter",
        lambda: fb.Dense(3, l1=NAN),
        ValueError,
        "^l1 .*must be finite and >= 0, got nan$",
    ),
    Bad("hyperparameter", lambda: fb.Loss("huber", delta=0), ValueError, "delta"),
    Bad("layers", lambda: fb.Network([]), TypeError, "^layers must be a non-empty list"),
    Bad("layers", lambda: fb.Network([4]), ValueError, "at least n_features and n_outputs"),
    Bad("layers", lambda: fb.Network([4, 8, 0]), ValueError, "^layer 2 size must be >= 1, got 0$"),
    Bad(
        "layers", lambda: fb.Network([4, -8, 1]), ValueError, "^layer 1 size must be >= 1, got -8$"
    ),
    Bad(
        "layers",
        lambda: fb.Network([4, 8.0, 1]),
        TypeError,
        "^layer 1 size must be an integer >= 1, got 8.0$",
    ),
    Bad(
        "layers",
        lambda: fb.Network([4, True, 1]),
        TypeError,
        "^layer 1 size must be an integer >= 1, got True$",
    ),
    Bad(
        "layers",
        lambda: fb.Network([4, "8", 1]),
        TypeError,
        "^layer 1 size must be an integer >= 1, got '8'$",
    ),
    Bad("layers", lambda: fb.Dense(0), ValueError, "^Dense units must be >= 1, got 0$"),
    Bad("layers", lambda: fb.Input(0), ValueError, "^Input units must be >= 1, got 0$"),
    Bad("layers", lambda: fb.Network("4, 8, 1"), TypeError, "^layers must be"),
    Bad(
        "layers", lambda: fb.Network([fb.Dense(3)]), ValueError, "^the first layer must be an Input"
    ),
    Bad("layers", lambda: fb.Network([fb.Input(3)]), ValueError, "at least one Dense"),
    Bad(
        "layers",
        lambda: fb.Network([fb.Input(3), 4]),
        TypeError,
        rf"^layers\[1\] must be a {inner_names()}, got 4$",
    ),
    Bad(
        "layers",
        lambda: fb.Network([fb.Input(3), fb.Residual([fb.Dense(4)])]),
        ValueError,
        "Residual changes the width from 3 to 4",
    ),
    Bad(
        "layers",
        lambda: fb.Network([fb.Input(3), fb.Branch([[fb.Dense(4)], []], merge="add"), fb.Dense(1)]),
        ValueError,
        r"Branch adds outputs of different widths \[4, 3\]",
    ),
    Bad(
        "given numbers of a layer",
        lambda: fb.Standardize([0, 0], std=[1, 0]),
        ValueError,
        r"^std of Standardize must be > 0, got 0.0 at \[1\]; a constant column has none",
    ),
    Bad("given numbers of a layer", lambda: fb.Scale(None), TypeError, "^scale must be a number"),
    Bad(
        "given numbers of a layer",
        lambda: fb.Network([fb.Input(3), fb.Scale([1, 2]), fb.Dense(1)]),
        ValueError,
        "^Scale has 2 numbers for 3 columns$",
    ),
    Bad(
        "random output",
        lambda: fb.Network([fb.Input(3), fb.Dense(1), fb.Dropout(0.5)]),
        ValueError,
        "^Dropout and GaussianNoise need a layer after them: they change no output$",
    ),
    Bad("hyperparameter", lambda: fb.Dropout(1), ValueError, r"^Dropout rate must be in \[0, 1\)"),
    Bad("hyperparameter", lambda: fb.BatchNorm(1), ValueError, "^BatchNorm momentum must be in"),
    Bad("hyperparameter", lambda: fb.LayerNorm(0), ValueError, "^LayerNorm epsilon must be"),
    Bad("layers", lambda: fb.Residual([]), ValueError, "at least one layer"),
    Bad("layers", lambda: fb.Branch([]), ValueError, "at least one branch"),
    Bad(
        "layers",
        lambda: fb.Dense(2, weights=[[1, 2, 3]]),
        ValueError,
        r"^weights of Dense must have shape \(n_in, 2\), got \(1, 3\)$",
    ),
    Bad(
        "layers",
        lambda: fb.Dense(3, weights=[[1, 2], [3, 4], [5, 6]]),
        ValueError,
        r"^weights of Dense must have shape \(n_in, 3\), got \(3, 2\): "
        r"transposed\? pass weights\.T$",
    ),
    Bad(
        "layers",
        lambda: fb.Network([fb.Input(3), fb.Dense(2, weights=[[1, 2]])]),
        ValueError,
        r"^weights of dense_1 are \(1, 2\), expected \(3, 2\)$",
    ),
    Bad("weights", lambda: fb.Dense(2, bias=[1, NAN]), ValueError, "bias.* contains NaN"),
    Bad(
        "too large for the dtype",
        lambda: fb.Network([fb.Input(1), fb.Dense(1, weights=[[1e300]])]),
        ValueError,
        "does not fit float32",
    ),
    Bad(
        "too many parameters",
        lambda: fb.Network([2**31, 2**31, 1]),
        ValueError,
        r"^network needs 4\.6e\+18 parameters; limit 2\^60$",
    ),
    Bad(
        "too many parameters",
        lambda: fb.Network([2**62, 2**62, 1]),
        ValueError,
        r"^network needs 2\.1e\+37 parameters; limit 2\^60$",
    ),
    Bad(
        "too many parameters",
        lambda: fb.Network([10**200, 10**200, 1]),
        ValueError,
        r"^network needs 1\.0e\+400 parameters; limit 2\^60$",
    ),
    Bad(
        "no memory",
        lambda: fb.Network([2**22, 2**22, 1]),
        MemoryError,
        r"^cannot allocate 65536\.3 GiB for parameters$",
    ),
    Bad(
        "no memory",
        lambda: fb.Network([2**29, 2**29, 1], dtype="float64"),
        MemoryError,
        "^cannot allocate .* GiB for parameters$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Dense(3, "rleu"),
        ValueError,
        "^unknown activation 'rleu'; known: linear, relu, ",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], activation="rleu"),
        ValueError,
        "^unknown activation 'rleu'; known: ",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], loss="msle"),
        ValueError,
        "^unknown loss 'msle'; known: mse, ",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], optimizer="adma"),
        ValueError,
        "^unknown optimizer 'adma'; known: sgd, adam, adamw, rmsprop, .*, rprop, lbfgs, lev.*t$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], optimizer=fb.AdamW),
        TypeError,
        r"^optimizer must be a name or .* object, got the class AdamW: write fb\.AdamW\(\)$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], optimizer=np.ones(2)),
        TypeError,
        r"^optimizer must be a name or .* object, got array\(\[1\., 1\.\]\)$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], loss=fb.Loss),
        TypeError,
        "^loss must be a name, got <class 'fastbp.loss.Loss'>; known: mse, half_sse, ",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], metrics=["kappa"]),
        ValueError,
        "^unknown metric 'kappa'; known: ",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], metrics="mse"),
        TypeError,
        "^metrics must be a list of names and functions, got 'mse'$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], metrics=None),
        TypeError,
        "^metrics must be a list of names and functions, got None$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], dtype="float16"),
        ValueError,
        "^unknown dtype 'float16'; known: float32, float64$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], dtype="flaot32"),
        ValueError,
        "^unknown dtype 'flaot32'; known: float32, float64$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], backend="torch"),
        ValueError,
        "^unknown backend 'torch'; known: cython, numpy$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Dense(3, kernel_initializer="xavier"),
        ValueError,
        "^unknown initializer 'xavier'; known: ",
    ),
    Bad(
        "unknown name",
        lambda: fb.Branch([[]], merge="mul"),
        ValueError,
        "^unknown merge 'mul'; known: add, concat, multiply, average$",
    ),
    Bad(
        "unknown name",
        lambda: fb.Residual([fb.Dense(1)], projection="yes"),
        ValueError,
        "^projection must be None or 'auto'",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([3, 1], loss="cross_entropy"),
        ValueError,
        "needs at least 2 outputs, got 1",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([fb.Input(3), fb.Dense(2, "tanh")], loss="cross_entropy"),
        ValueError,
        "needs an output activation of 'softmax' or 'linear'",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([fb.Input(3), fb.Dense(2)], activation="relu"),
        ValueError,
        "^activation goes with a list of sizes",
    ),
    Bad(
        "unknown name",
        lambda: fb.Network([fb.Input(3), fb.Dense(2, name="a"), fb.Dense(2, name="a")]),
        ValueError,
        "two layers are named 'a'",
    ),
    Bad(
        "unknown keyword",
        lambda: fb.Network([3, 1], learning_rate=0.1),
        TypeError,
        "unexpected keyword argument 'learning_rate'",
    ),
    Bad(
        "seed",
        lambda: fb.Network([3, 1], seed=-1),
        ValueError,
        r"^seed must be None, an integer in 0\.\.2\*\*64-1 or",
    ),
    Bad("seed", lambda: fb.Network([3, 1], seed=2**64), ValueError, "^seed must be None"),
    Bad("seed", lambda: fb.Network([3, 1], seed=1.0), ValueError, "^seed must be None"),
    Bad("seed", lambda: fb.Network([3, 1], seed="one"), ValueError, "^seed must be None"),
]


@pytest.mark.parametrize("bad", CONSTRUCTORS, ids=lambda bad: bad.row)
def test_constructors(bad):
    with pytest.raises(bad.error, match=bad.text) as caught:
        bad.call()
    assert type(caught.value) is bad.error
