"""Layers that work element by element: an activation alone, given scales, products of branches."""

from __future__ import annotations

import numpy as np
import pytest
from support.network_state import digest
from support.tolerance import assert_near, assert_rounded, eps

import fastbp as fb
from fastbp.activation import ACTIVATIONS
from fastbp.layer import ActivationLayer

X = np.array([[1.0, 5.0], [3.0, -1.0], [0.0, 2.0]])


def given(layers, backend, **options):
    """A network whose last layer sums two columns, and whose output is worked out by hand."""
    layers = [fb.Input(2), *layers, fb.Dense(1, weights=[[1], [1]], use_bias=False)]
    return fb.Network(layers, dtype="float64", backend=backend, **options)


@pytest.mark.parametrize(
    ("layers", "want"),
    [
        ([fb.Scale(2, -1)], [10, 2, 2]),
        ([fb.Scale([1, 0.5], [0, 1])], [4.5, 3.5, 2]),
        ([fb.Standardize([1, 2], std=[2, 3])], [1, 0, -0.5]),
        ([fb.Standardize(1, variance=4)], [2, 0, 0]),
        ([fb.Activation("relu")], [6, 3, 2]),
        ([fb.Scale(-1), fb.Activation("relu")], [0, 1, 0]),
        ([fb.Branch([[], []], merge="multiply")], [26, 10, 4]),
        ([fb.Branch([[], [fb.Scale(3)], []], merge="multiply")], [378, 78, 24]),
        ([fb.Branch([[], [fb.Scale(3)]], merge="average")], [12, 4, 4]),
    ],
    ids=str,
)
def test_by_hand(layers, want, backend):
    net = given(layers, backend)
    assert net.predict(X).ravel().tolist() == want
    assert net.forward(X).ravel().tolist() == want
    batch = np.repeat(X, 7, axis=0)
    loss = net.train_on_batch(batch, np.zeros(21))  # more rows, which may lie in the lanes
    assert_rounded(loss, np.mean(np.square(want)), dtype="float64", roundings=32)


def test_gradients_by_hand(backend):
    """dL/dX of x -> scale x, of x -> x * 3 x, and of relu."""
    for layers, want in (
        ([fb.Scale([2, 3], 1)], [[2, 3]] * 3),
        ([fb.Standardize(0, std=[2, 4])], [[0.5, 0.25]] * 3),
        ([fb.Branch([[], [fb.Scale(3)]], merge="multiply")], 6 * X),
        ([fb.Branch([[], [fb.Scale(3)]], merge="average")], [[2, 2]] * 3),
        ([fb.Activation("relu")], X > 0),
    ):
        net = given(layers, backend)
        net.forward(X)
        assert net.backward(np.ones((3, 1))).tolist() == np.asarray(want, float).tolist()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_behind_a_layer_is_that_layers(name, backend, dtype):
    """The same initial values, bits and cost as where the layer names it."""
    X, y = np.random.default_rng(0).normal(size=(2, 40, 5))
    apart = [fb.Input(5), fb.Dense(9), fb.Activation(name), fb.Dense(6), fb.Activation(name)]
    together = [fb.Input(5), fb.Dense(9, name), fb.Dense(6, name)]
    found = []
    for layers in (apart, together):
        net = fb.Network([*layers, fb.Dense(5)], seed=0, dtype=dtype, backend=backend)
        losses = net.fit(X, y, epochs=2, batch_size=7, verbose=False).history["loss"]
        found.append((losses, digest(net), net.predict(X).tobytes()))
    assert found[0] == found[1]


def test_an_activation_is_not_taken_along_where_others_read(backend):
    """Both ways of a branch read what the layer before it gives."""
    body = [fb.Dense(4), fb.Branch([[fb.Activation("relu")], []]), fb.Dense(1)]
    net = fb.Network([fb.Input(3), *body], dtype="float64", seed=0, backend=backend)
    p, x = net.parameters, np.random.default_rng(0).normal(size=(5, 3))
    h = x @ p["dense_1/kernel"] + p["dense_1/bias"]
    want = np.hstack([np.maximum(h, 0), h]) @ p["dense_2/kernel"] + p["dense_2/bias"]
    assert_near(net.predict(x), want, dtype="float64", length=20, magnitude=np.abs(want).max() + 1)
    y = x[:, :1]
    assert net.check_gradients(x, y) < eps("float64") ** (1 / 3)


def test_the_loss_takes_the_last_activation(backend):
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 4
    for end in ([fb.Dense(4, "softmax")], [fb.Dense(4), fb.Activation("softmax")]):
        net = fb.Network([fb.Input(3), *end], loss="cross_entropy", seed=0, backend=backend)
        net.fit(X, y, epochs=2, verbose=False)
        assert_near(net(X).sum(axis=1), np.ones(30), dtype="float32", length=4)
        assert_near(net(X), net.predict(X), dtype="float32", length=4)
    with pytest.raises(ValueError, match="needs an output activation of 'softmax' or 'linear'"):
        body = [fb.Dense(4), fb.Activation("relu")]
        fb.Network([fb.Input(3), *body], loss="cross_entropy")


def test_standardize_keeps_the_digits_of_columns_far_from_zero():
    """The mean is subtracted first: what is left of float32 numbers near 1e6 is exact."""
    x = 1e6 + np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    x = x.astype(np.float32)
    net = fb.Network(
        [fb.Input(2), fb.Standardize(1e6, std=1), fb.Dense(2, weights=np.eye(2))], seed=0
    )
    assert (net.predict(x) == x - np.float32(1e6)).all()


def test_initial_values_are_chosen_as_without_scales():
    plain = fb.Network([5, 8, 2], seed=0)
    scaled = [fb.Input(5), fb.Scale(2), fb.Dense(8, "relu"), fb.Scale(1, 1), fb.Dense(2)]
    other = fb.Network(scaled, seed=0)
    for a, b in zip(plain.get_weights(), other.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert not any(
        w.any() for w in fb.Network([fb.Input(5), fb.Scale(2), fb.Dense(2)]).get_weights()
    )


def test_the_numbers_are_in_the_file(tmp_path, backend):
    layers = [fb.Input(2), fb.Standardize([1 / 3, 1e-3], std=[0.7, 1e6]), fb.Dense(3)]
    net = fb.Network([*layers, fb.Activation("elu", alpha=0.3)], seed=0, backend=backend)
    net.save(tmp_path / "net.fbp")
    again = fb.Network.load(tmp_path / "net.fbp", backend=backend)
    assert again.layers == net.layers and isinstance(again.layers[-1], ActivationLayer)
    assert again.predict(X).tobytes() == net.predict(X).tobytes()
    assert [name for name in net.parameters] == ["dense_1/kernel", "dense_1/bias"]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: fb.Scale("2"), TypeError,
         "scale must be a number or one for each column, got '2'"),
        (lambda: fb.Scale(["a"]), ValueError, "could not convert scale to float64: 'a' at [0]"),
        (lambda: fb.Scale([[1, 2]]), ValueError,
         "scale must be a number or one for each column, got shape (1, 2)"),
        (lambda: fb.Scale(1, [np.nan, 1]), ValueError,
         "Input offset contains NaN (first at [0])"),
        (lambda: fb.Scale([1, 2], [1, 2, 3]), ValueError,
         "Scale got lists of different lengths: 2 in scale, 3 in offset"),
        (lambda: fb.Standardize(0), ValueError,
         "Standardize needs std or variance, got neither"),
        (lambda: fb.Standardize(0, 1, variance=1), ValueError,
         "Standardize needs std or variance, got both"),
        (lambda: fb.Standardize([0, 0], [1, 0]), ValueError,
         "std of Standardize must be > 0, got 0.0 at [1]; a constant column has none, give it 1"),
        (lambda: fb.Standardize(0, variance=-1), ValueError,
         "variance of Standardize must be > 0, got -1.0"),
        (lambda: fb.Network([fb.Input(3), fb.Scale([1, 2]), fb.Dense(1)]), ValueError,
         "Scale has 2 numbers for 3 columns"),
        (lambda: fb.Network([fb.Input(3), fb.Scale(1e39), fb.Dense(1)]), ValueError,
         "Scale of the network"),
        (lambda: fb.Network([fb.Input(3), "relu", fb.Dense(1)]), TypeError,
         "layers[1] must be a Dense, Activation, "),
        (lambda: fb.Network([fb.Activation("relu"), fb.Dense(1)]), ValueError,
         "the first layer must be an Input: fb.Input(n_features)"),
        (lambda: fb.Network([fb.Input(3), fb.Activation("relu")]), ValueError,
         "a network needs at least one Dense layer"),
        (lambda: fb.Network([fb.Input(3), fb.Branch([[fb.Dense(2)], []], merge="multiply")]),
         ValueError, "Branch multiplies outputs of different widths [2, 3]"),
    ],
)  # fmt: skip
def test_bad_layer(make, error, text):
    with pytest.raises(error) as raised:
        make()
    assert text in str(raised.value)


def test_summary(capsys):
    body = [fb.Standardize(0, 1), fb.Dense(4), fb.Activation("relu"), fb.Dense(1)]
    net = fb.Network([fb.Input(3), *body])
    net.summary()
    text = capsys.readouterr().out
    assert "standardize" in text and "relu" in text
    assert "3-standardize-4-relu-1" in repr(net)
