"""A loss of the user's own: the numbers of a built-in one, whatever trains, and what is refused."""

from __future__ import annotations

import copy
import functools
import gc
import io
import pickle
import weakref
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from support.network_state import classification, digest
from support.refusal import bad_input
from support.resume_case import Stop, Stopped, result
from support.tolerance import CHECKED_GRADIENT, assert_same_training

import fastbp as fb

X, LABEL = classification(60, 5, 3)
Y = np.random.default_rng(1).normal(size=(60, 3))
WEIGHT = np.arange(60) % 4 * 0.5


def squares(y: Any, output: Any, sample_weight: Any = None) -> tuple[float, Any]:
    """As "mse"."""
    e = output - y
    if sample_weight is None:
        return (e * e).mean(), 2 * e / e.size
    share = sample_weight[:, None] / max(sample_weight.sum(), 1e-30) / e.shape[1]
    return (share * e * e).sum(), 2 * share * e


def plain(y: Any, output: Any) -> tuple[float, Any]:
    return squares(y, output)


def logits(y: Any, output: Any) -> tuple[float, Any]:
    """As "cross_entropy", of labels."""
    rows = np.arange(len(y))
    p = np.exp(output - output.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(y)


def pair(
    backend: str, dtype: str = "float64", own: Any = squares, known: Any = "mse", **options: Any
) -> list[fb.Network]:
    """Two networks, by the function and by the loss that it computes."""
    given = {"optimizer": fb.Adam(0.02), "metrics": ["mae"]} | options
    layers = [fb.Input(5), fb.Dense(8, "tanh", l2=1e-2), fb.Dense(3)]
    return [
        fb.Network(layers, loss=loss, dtype=dtype, seed=1, backend=backend, **given)
        for loss in (own, known)
    ]


def assert_alike(own: fb.Network, known: fb.Network) -> None:
    for a, b in zip(own.get_weights(), known.get_weights(), strict=True):
        assert_same_training(a, b, dtype=own.dtype)
    assert own.history.history.keys() == known.history.history.keys()
    for name, values in known.history.history.items():
        assert_same_training(own.history[name], values, dtype=own.dtype)
    assert (own.steps, own.epochs) == (known.steps, known.epochs)


TRAININGS: dict[str, Any] = {
    "shuffled": lambda net: net.fit(X, Y, epochs=4, batch_size=16),
    "weighted": lambda net: net.fit(X, Y, epochs=4, batch_size=16, sample_weight=WEIGHT),
    "validated": lambda net: net.fit(
        X, Y, epochs=9, batch_size=16, validation_split=0.3,
        callbacks=[fb.EarlyStopping(patience=2, restore_best_weights=True)],
    ),
    "batches": lambda net: net.fit(X, Y, epochs=3, batches=[[0, 1, 2], [5, 9], [7, 3, 4, 6]]),
    "chunks": lambda net: net.fit([(X[:25], Y[:25]), (X[25:], Y[25:])], epochs=3, batch_size=8),
    "steps": lambda net: [net.train_steps(X, Y, steps=9, batch_size=16),
                          net.train_on_batch(X, Y),
                          net.train_on_batch(X, Y, sample_weight=WEIGHT)],
    "hooks": lambda net: net.fit(X, Y, epochs=2, callbacks=[
        fb.LambdaCallback(on_train_batch_end=lambda batch, logs: None)]),
    "accumulated": lambda net: net.fit(X, Y, epochs=2, batch_size=10, accumulate=3),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_trains_as_the_built_in_loss(name: str, dtype: str, backend: str) -> None:
    metrics = [] if name == "chunks" else ["mae"]  # of which the engine's own sums alone are there
    own, known = pair(backend, dtype, metrics=metrics)
    for network in (own, known):
        TRAININGS[name](network)
    assert_alike(own, known)
    for weight in (None, WEIGHT):
        found = [net.evaluate(X, Y, sample_weight=weight) for net in (own, known)]
        for key, value in found[1].items():
            assert_same_training(found[0][key], value, dtype=dtype)


def test_other_optimizers_and_schedules(backend: str) -> None:
    for optimizer in (
        fb.SGD(fb.CosineDecay(0.1, 20), momentum=0.9), fb.AdamW(0.02, global_clipnorm=0.1, ema=0.9),
        fb.LBFGS(),
    ):  # fmt: skip
        own, known = pair(backend, optimizer=optimizer)
        for network in (own, known):
            network.fit(X, Y, epochs=4, batch_size=60)
        assert_alike(own, known)


def test_layers_that_draw(backend: str) -> None:
    layers = [fb.Input(5), fb.Dense(8, "tanh"), fb.Dropout(0.5), fb.Dense(3)]
    own, known = (
        fb.Network(layers, loss=loss, optimizer="adam", dtype="float64", seed=1, backend=backend)
        for loss in (squares, "mse")
    )
    for network in (own, known):
        network.fit(X, Y, epochs=3, batch_size=16)
    assert_alike(own, known)


def test_labels_come_as_they_are(backend: str) -> None:
    own, known = pair(backend, own=logits, known="cross_entropy", metrics=[])
    for network in (own, known):
        network.fit(X, LABEL, epochs=4, batch_size=16)
    assert_alike(own, known)


def test_what_the_function_gets(backend: str) -> None:
    seen: list[Any] = []

    def spy(y: Any, output: Any) -> tuple[float, Any]:
        seen.append((y, output))
        return 0.0, np.zeros_like(output)

    network = fb.Network([5, 1], loss=spy, dtype="float32", seed=0, backend=backend)
    for y in (Y[:, 0], Y[:, :2].astype(np.float32), LABEL, [True] * 60):
        network.fit(X, y, epochs=1, batch_size=16, shuffle=False)
    shapes = [(one.shape, one.dtype.name) for one, _ in seen[::4]]
    assert shapes == [
        ((16, 1), "float32"), ((16, 2), "float32"), ((16, 1), "int64"), ((16, 1), "int64")
    ]  # fmt: skip
    assert len(seen) == 16 and all(output.shape[1] == 1 for _, output in seen)
    assert [len(output) for _, output in seen[:4]] == [16, 16, 16, 12]
    for arrays in seen:
        for array in arrays:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0
    assert (seen[0][0][:, 0] == Y[:16, 0].astype(np.float32)).all()


def test_goes_on_to_the_bit(backend: str, tmp_path: Any) -> None:
    whole, _ = pair(backend)
    whole.fit(X, Y, epochs=6, batch_size=16)
    for step in (1, 6, 11):
        network, _ = pair(backend)
        with pytest.raises(Stopped):
            network.fit(X, Y, epochs=6, batch_size=16, callbacks=[Stop("error", step)])
        network.save(tmp_path / "net.npz")
        network = fb.Network.load(tmp_path / "net.npz", loss=squares, backend=backend)
        network.fit(X, Y, epochs=6, batch_size=16, initial_epoch=network.epochs)
        assert result(network) == result(whole)


def test_files_copies_and_pickles(backend: str) -> None:
    network, _ = pair(backend)
    network.fit(X, Y, epochs=1)
    assert repr(network.loss) == "<loss function 'squares'>"
    assert network.get_config()["loss"] == {"name": "squares", "is_function": True}
    for twin in (network.copy(), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert digest(twin) == digest(network)
        assert twin.train_on_batch(X, Y) == network.copy().train_on_batch(X, Y)
    file = io.BytesIO()
    network.save(file)
    text = (
        r"^the loss is a function 'squares', which no file holds: Network.load\(path, "
        r"loss=squares\) has it again$"
    )
    alone = fb.Network.load(io.BytesIO(file.getvalue()), backend=backend)
    assert (alone.predict(X) == network.predict(X)).all()
    for call in (alone.fit, alone.evaluate, alone.train_on_batch, alone.trace):
        before = digest(alone)
        with pytest.raises(ValueError, match=text):
            call(X, Y)
        assert digest(alone) == before
    own = functools.partial(squares)
    again = fb.Network.load(io.BytesIO(file.getvalue()), loss=own, backend=backend)
    assert again.train_on_batch(X, Y) == network.train_on_batch(X, Y)
    with pytest.warns(UserWarning, match="loss function 'lambda' is not in the pickle"):
        pickle.dumps(fb.Network([5, 3], loss=lambda y, out: squares(y, out), seed=0))


def test_nothing_keeps_the_function(backend: str) -> None:
    """But the network: what networks of one description share does not."""

    class Held:
        def __call__(self, y: Any, output: Any) -> tuple[float, Any]:
            return squares(y, output)

    function = Held()
    alive = weakref.ref(function)
    network = fb.Network([5, 3], loss=function, seed=0, backend=backend)
    network.fit(X, Y, epochs=2)
    network.evaluate(X, Y)
    network.check_gradients(X[:3], Y[:3])
    del network, function
    gc.collect()
    assert alive() is None


def test_gradients_are_checked(backend: str) -> None:
    network, _ = pair(backend, own=logits, metrics=[])
    assert network.check_gradients(X[:7], LABEL[:7]) < CHECKED_GRADIENT
    found = network.trace(X, LABEL)
    assert_same_training(found["loss"], network.evaluate(X, LABEL)["loss"], dtype="float64")

    def twice(y: Any, output: Any) -> tuple[float, Any]:
        loss, gradient = logits(y, output)
        gradient[2, 1] *= 2
        return loss, gradient

    network, _ = pair(backend, own=twice, metrics=[])
    text = (
        r"^the gradient of loss function 'twice' is not that of its loss: at \[2, 1\] it is .*, "
        r"by differences .* \(of 7 rows; the backward pass was not checked\)$"
    )
    with pytest.raises(ValueError, match=text):
        network.check_gradients(X[:7], LABEL[:7])
    derivative = network._state.module.Engine.backward

    with patch("fastbp.inspection.gradient_check.trace", _wrong_trace):
        network, _ = pair("numpy", own=logits, metrics=[])
        assert network.check_gradients(X[:7], LABEL[:7]) > 0.1  # and then it is the backward pass
    assert derivative is network._state.module.Engine.backward or backend == "cython"


def _wrong_trace(state: Any, X: Any, y: Any) -> Any:
    from fastbp.inspection.trace import trace

    found = trace(state, X, y)
    state.gradient *= 2
    return found


def returns(value: Any) -> Any:
    def function(y: Any, output: Any) -> Any:
        return value(output) if callable(value) else value

    return function


WRONG: list[tuple[Any, type[Exception], str]] = [
    (1.0, TypeError, r"must return \(loss, gradient\), got 1$"),
    (lambda out: (1.0, out, 2.0), TypeError, r"must return \(loss, gradient\), got "),
    (lambda out: out, TypeError, r"must return \(loss, gradient\), got "),
    (lambda out: ("1.0x", out), TypeError, "must return a number as the loss, got '1.0x'$"),
    (lambda out: (out[:, 0], out), TypeError,
     r"must return a number as the loss, got an array of shape \(60,\): return its mean$"),
    (lambda out: (1.0, "abc"), TypeError, "must return an array as the gradient, got 'abc'$"),
    (lambda out: (1.0, out * 1j), TypeError, "must return an array as the gradient"),
    (lambda out: (1.0, out[:, :2]), ValueError,
     r"must return a gradient of the shape of the output, \(60, 3\), got \(60, 2\)$"),
    (lambda out: (1.0, 0.0), ValueError, r"the shape of the output, \(60, 3\), got \(\)$"),
    (lambda out: (1.0, np.where(np.arange(180).reshape(60, 3) == 7, np.nan, out)), ValueError,
     r"returned a gradient with nan at \[2, 1\], the loss is finite$"),
    (lambda out: (1.0, np.full(out.shape, 1e300)), ValueError, r"with 1e\+300 at \[0, 0\]"),
    (lambda out: (np.nan, out), fb.DivergenceError, "^loss is nan"),
    (lambda out: 1 / 0, ZeroDivisionError, "^division by zero$"),
]  # fmt: skip


@bad_input("loss function")
@pytest.mark.parametrize(("value", "error", "text"), WRONG, ids=[text for *_, text in WRONG])
def test_what_comes_back_wrong(value: Any, error: Any, text: str, backend: str) -> None:
    network = fb.Network(
        [5, 3], loss=returns(value), dtype="float32", seed=0, backend=backend
    )  # fmt: skip
    for call in (
        lambda: network.train_on_batch(X, Y),
        lambda: network.fit(X, Y, epochs=2, batch_size=60),
    ):
        before = digest(network)
        with pytest.raises(error, match=text):
            call()
        assert digest(network) == before


@bad_input("loss function")
def test_refuses(backend: str) -> None:
    with pytest.raises(TypeError, match=r"^loss function 'one' must take \(y, output\): "):
        fb.Network([5, 3], loss=_one)
    with pytest.raises(ValueError, match="^metric 'accuracy' needs .*, loss is 'squares'$"):
        fb.Network([5, 3], loss=squares, metrics=["accuracy"])
    network, _ = pair(backend, own=plain)
    before = digest(network)
    for call, text in (
        (lambda: network.fit(X, Y, sample_weight=WEIGHT),
         r"^loss function 'plain' takes no weights: sample_weight needs \(y, output, "),
        (lambda: network.fit(X, Y, ignore_nan=True), "^ignore_nan is not for loss function"),
        (lambda: network.fit(X, LABEL, class_weight="balanced"), "^metric 'mae' needs y of 3"),
        (lambda: network.fit(X, Y, class_weight="balanced"), "^class_weight needs a loss"),
        (lambda: network.fit(X, Y[:50]), "^X has 60 rows, y has 50$"),
        (lambda: network.fit(X, Y * np.nan), "^Input y contains NaN"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            call()
    assert digest(network) == before
    file = io.BytesIO()
    pair(backend)[1].save(file)
    file.seek(0)
    with pytest.raises(ValueError, match=r"^loss is for a network that has a function, this one "):
        fb.Network.load(file, loss=squares)


def _one(y: Any) -> Any: ...


_one.__name__ = "one"
