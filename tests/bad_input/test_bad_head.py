"""Several outputs: descriptions, targets and options that are refused, and what is as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.refusal import NAN, Bad, bad_input, data, refused

import fastbp as fb

Y = {"class": np.array([0, 1, 2, 0, 1, 2]), "value": np.arange(6.0)}
HEADS: dict[str, Any] = {
    "class": ([fb.Dense(3)], "cross_entropy"), "value": ([fb.Dense(1)], "mse", 0.5),
}  # fmt: skip


def two_heads(dtype: str, backend: str) -> fb.Network:
    layers = [fb.Input(4), fb.Dense(6, "tanh"), fb.Heads(HEADS)]
    net = fb.Network(layers, dtype=dtype, seed=1, backend=backend)
    net.fit(data()[0], Y, epochs=2, batch_size=4)
    return net


def made(*layers: Any, **options: Any) -> fb.Network:
    return fb.Network([fb.Input(4), *layers], **options)


def head(*given: Any, name: Any = "a") -> fb.Heads:
    return fb.Heads({name: given})


DENSE = [fb.Dense(1)]
DESCRIPTIONS = [
    Bad("heads", lambda: fb.Heads([DENSE]), TypeError, "^Heads must be a dict {name: "),  # type: ignore[arg-type]
    Bad("heads", lambda: fb.Heads({}), ValueError, "^Heads must hold at least one head, got 0$"),
    Bad("heads", lambda: head(DENSE), TypeError, r"^Heads\['a'\] must be \(layers, loss\) or"),
    Bad("heads", lambda: head(fb.Dense(1), "mse"), TypeError, r"^Heads\['a'\] layers must be a li"),
    Bad("heads", lambda: head(["relu"], "mse"), TypeError, r"^Heads\['a'\] layers\[0\] must be a "),
    Bad("heads", lambda: head([], "mse"), ValueError, r"^Heads\['a'\] must hold at least one lay"),
    Bad("heads", lambda: head(DENSE, "mse", -1), ValueError, r"^weight of Heads\['a'\] must be f"),
    Bad("heads", lambda: head(DENSE, "mse", NAN), ValueError, r"^weight of Heads\['a'\] must be f"),
    Bad("heads", lambda: head(DENSE, "mse", "1"), TypeError, r"^weight of Heads\['a'\] must be a "),
    Bad("heads", lambda: head(DENSE, fb.Loss("mse", with_penalties=True)), ValueError,
        r"^Heads\['a'\]: penalties are of the whole network"),
    Bad("heads", lambda: head(DENSE, "mse", name=""), ValueError, "^name of a head must not be e"),
    Bad("heads", lambda: head(DENSE, "mse", name="a/b"), ValueError, "^name of a head must not be"),
    Bad("heads", lambda: head(DENSE, "mse", name=1), TypeError, "^name of a head must be a str, g"),
    Bad("heads", lambda: head(DENSE, "mse", name=None), TypeError, "^name of a head must be a st"),
    Bad("heads", lambda: head(DENSE, "mse", name="val"), ValueError, "must not begin with 'val', "),
    Bad("heads", lambda: head(DENSE, "mse", name="val_a"), ValueError, "must not begin with 'val'"),
    Bad("unknown name", lambda: head(DENSE, "mze"), ValueError, r"^Heads\['a'\]: unknown loss 'mz"),
    Bad("heads", lambda: made(fb.Heads(HEADS), fb.Dense(1)), ValueError,
        r"^layers\[1\] is Heads: only a network ends in it$"),
    Bad("heads", lambda: fb.Branch([[fb.Heads(HEADS)]]), ValueError,
        r"^branches\[0\]\[0\] is Heads: only a network ends in it$"),
    Bad("heads", lambda: head([fb.Heads(HEADS)], "mse"), ValueError,
        r"^Heads\['a'\] layers\[0\] is Heads: only"),
    Bad("heads", lambda: made(fb.Dense(3), head([fb.Activation("linear")], "mse")), ValueError,
        r"^Heads\['a'\] computes nothing: give it a Dense layer$"),
    Bad("random output", lambda: made(head([fb.Dense(3), fb.Dropout(0.5)], "mse")), ValueError,
        "^Dropout and GaussianNoise need a layer after them"),
    Bad("outputs for a loss", lambda: made(head(DENSE, "cross_entropy")), ValueError,
        r"^Heads\['a'\]: loss 'cross_entropy' needs at least 2 outputs, got 1"),
    Bad("heads", lambda: made(head([fb.Dense(2, "relu")], "cross_entropy")), ValueError,
        r"^Heads\['a'\]: loss 'cross_entropy' needs an output activation of 'softmax'"),
    Bad("of one output", lambda: made(fb.Heads(HEADS), loss="mse"), ValueError,
        "^loss='mse': a network that ends in Heads takes none, each head has its own$"),
    Bad("layers", lambda: fb.Network([fb.Heads(HEADS)]), ValueError, "^the first layer must be"),
]  # fmt: skip


@pytest.mark.parametrize("case", DESCRIPTIONS, ids=lambda case: f"{case.row}: {case.text}")
def test_descriptions(case: Bad) -> None:
    with pytest.raises(case.error, match=case.text) as caught:
        case.call()
    assert type(caught.value) is case.error


def own(**parts: Any) -> dict[str, Any]:
    return {**Y, **parts}


CLASS = {"class": Y["class"]}
TARGETS = [
    Bad("targets of heads", Y["class"], TypeError,
        r"^y must be a dict with an entry for each head \('class', 'value'\), got array"),
    Bad("targets of heads", CLASS, ValueError, "^y lacks an entry for the head 'value'$"),
    Bad("targets of heads", {}, ValueError, "^y lacks an entry for the head 'class'$"),
    Bad("targets of heads", CLASS | {"valeu": 1}, ValueError,
        "^y has an entry 'valeu' and no such head: did you mean 'value'[?]$"),
    Bad("targets of heads", own(third=1), ValueError,
        "^y has an entry 'third' and no such head: the heads are 'class', 'value'$"),
    Bad("targets of heads", {**Y, 3: 1}, ValueError, "^y has an entry 3 and no such head"),
    Bad("rows of y", own(value=np.zeros(5)), ValueError, r"^X has 6 rows, y\['value'\] has 5$"),
    Bad("class outside", own(**{"class": [0, 1, 2, 3, 0, 0]}), ValueError,
        r"^y\['class'\]\[3\] = 3 is outside 0..2$"),
    Bad("class not whole", own(**{"class": [0, 1, 0.5, 0, 0, 0]}), ValueError,
        r"^y\['class'\]\[2\] = 0.5 is not a class index$"),
    Bad("not a distribution", own(**{"class": np.full((6, 3), 0.5)}), ValueError,
        r"^y\['class'\]\[0\] is not a distribution \(sum 1.5\)$"),
    Bad("y not finite", own(value=[0, 1, NAN, 0, 0, 0]), ValueError,
        r"^Input y\['value'\] contains NaN \(first at \[2\]\)(; pass ignore_nan=True to .*)?$"),
    Bad("columns of y", own(value=np.zeros((6, 2))), ValueError,
        r"^y\['value'\] has 2 columns, head 'value' has 1 output$"),
    Bad("text", own(value=["a"] * 6), ValueError, r"^could not convert y\['value'\] to float"),
    Bad("rows of y", own(value=1.0), ValueError, r"^y\['value'\] must be 1-D \(rows\) or 2-D"),
]  # fmt: skip


@pytest.mark.parametrize("verb", ["fit", "train_on_batch", "train_steps", "evaluate", "trace"])
@pytest.mark.parametrize("case", TARGETS, ids=lambda case: f"{case.row}: {case.text}")
def test_targets(case: Bad, verb: str, backend: str) -> None:
    net, X = two_heads("float32", backend), data()[0]
    options = {"steps": 2} if verb == "train_steps" else {}
    refused(net, lambda: getattr(net, verb)(X, case.call, **options), case.error, case.text)


@pytest.mark.parametrize("case", TARGETS[:6], ids=lambda case: case.text)
def test_targets_of_validation(case: Bad, backend: str) -> None:
    net, X = two_heads("float32", backend), data()[0]
    text = f"^validation_data: {case.text[1:]}"
    refused(net, lambda: net.fit(X, Y, validation_data=(X, case.call)), case.error, text)
    refused(net, lambda: net.fit(X, case.call, validation_split=0.5), case.error, case.text)


OPTIONS = [
    Bad("ignore_nan", lambda net, X: net.fit(X, own(value=6 * [NAN]), ignore_nan=True), ValueError,
        r"^y\['value'\] is NaN in every row: no target is left$"),
    Bad("ignore_nan", lambda net, X: net.evaluate(X, own(value=6 * [NAN]), ignore_nan=True),
        ValueError, r"^y\['value'\] is NaN in every row: no target is left$"),
    Bad("ignore_nan", lambda net, X: net.fit(
        X, own(value=[1, 2, 3, NAN, NAN, NAN]), ignore_nan=True,
        sample_weight=[0, 0, 0, 1, 1, 1]), ValueError,
        r"^the weights of the rows that have a target in y\['value'\] are all 0$"),
    Bad("ignore_nan", lambda net, X: net.fit(
        X, own(**{"class": [0, 1, NAN, np.inf, 0, 0]}), ignore_nan=True), ValueError,
        r"^Input y\['class'\] contains infinity"),
    Bad("ignore_nan", lambda net, X: net.train_on_batch(
        X, own(**{"class": [0, 1, NAN, 3, 0, 0]}), ignore_nan=True), ValueError,
        r"^y\['class'\]\[3\] = 3 is outside 0..2"),
    Bad("ignore_nan", lambda net, X: net.train_on_batch(X, CLASS, ignore_nan=True), ValueError,
        "^y lacks an entry for the head 'value'$"),
    Bad("ignore_nan", lambda net, X: net.evaluate(X, Y, ignore_nan=1), TypeError,
        "^ignore_nan must be True or False, got 1$"),
    Bad("of one output", lambda net, X: net.fit(X, Y, class_weight={0: 2}), ValueError,
        "^class_weight is not there for Heads: pass a sample_weight$"),
    Bad("of one output", lambda net, X: net.fit(X, Y, class_weight="balanced"), ValueError,
        "^class_weight is not there for Heads: pass a sample_weight$"),
    Bad("of one output", lambda net, X: net.predict(X, out=np.zeros((6, 4), "f4")), ValueError,
        "^out is for a network of one output, this one ends in Heads$"),
    Bad("sample_weight", lambda net, X: net.fit(X, Y, sample_weight=Y), ValueError,
        "^sample_weight must be 1-D, a weight for each row, got"),
    Bad("metric parameter", lambda net, X: setattr(net, "metrics", {"class": ["top_k_accuracy"]}),
        ValueError, r"^metrics\['class'\]: metric 'top_k_accuracy' with k=5 is always 1, "),
    Bad("gradient passed to backward", lambda net, X: net.backward(np.zeros((6, 4))), TypeError,
        "^dL_dout must be a dict with an entry for each head"),
    Bad("gradient passed to backward",
        lambda net, X: net.backward({"class": np.zeros((6, 3)), "value": np.zeros(5)}), ValueError,
        r"^dL_dout\['value'\] .*"),
    Bad("gradient passed to backward",
        lambda net, X: net.backward({"class": np.zeros((6, 2)), "value": np.zeros(6)}), ValueError,
        r"^dL_dout\['class'\] has 2 columns, head 'class' has 3 outputs$"),
    Bad("monitor",
        lambda net, X: net.fit(X, Y, callbacks=fb.EarlyStopping("val_class_loss")), ValueError,
        "^EarlyStopping: 'val_class_loss' needs validation data"),
]  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS, ids=lambda case: f"{case.row}: {case.text}")
def test_options(case: Bad, backend: str) -> None:
    net, X = two_heads("float32", backend), data()[0]
    net.forward(X)
    refused(net, lambda: case.call(net, X), case.error, case.text)


@bad_input("chunks")
def test_chunks(backend: str) -> None:
    net, X = two_heads("float32", backend), data()[0]
    with pytest.raises(TypeError, match="^chunk 1: y must be a dict with an entry for each head"):
        net.fit([(X, Y), (X, Y["class"])])


def test_a_lone_network_takes_no_dict(backend: str) -> None:
    net = fb.Network([4, 3], loss="cross_entropy", backend=backend)
    refused(net, lambda: net.fit(data()[0], Y), ValueError, "^y must be 1-D")  # type: ignore[arg-type]


def test_a_boundary_is_of_one_output() -> None:
    net = made(fb.Heads(HEADS))
    with pytest.raises(TypeError, match="^the model has several heads"):
        fb.plot_decision_boundary(net, np.zeros((3, 2)))
