"""Metrics of several outputs: those of the engine and the others, of each head as of a lone one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from support.tolerance import SAME_TRAINING, assert_rounded

import fastbp as fb

HEADS = {
    "class": ([fb.Dense(3)], "cross_entropy"),
    "label": ([fb.Dense(2)], "binary_cross_entropy", 0.5),
    "value": ([fb.Dense(2)], "half_sse", 2.0),
    "spread": ([fb.Dense(2)], "gaussian_nll"),
}
METRICS = {
    "class": ["accuracy", "mae", "f1_macro"], "label": ["accuracy", "mse", "roc_auc"],
    "value": ["mae", "mse", "r2"], "spread": ["mae"],
}  # fmt: skip


def made(backend: str, dtype: str = "float32", **options: Any) -> fb.Network:
    layers = [fb.Input(4), fb.Dense(9, "tanh"), fb.Heads(HEADS)]
    return fb.Network(layers, seed=0, backend=backend, dtype=dtype, **options)


def data(n: int = 90) -> tuple[np.ndarray, dict[str, Any]]:
    rng = np.random.default_rng(0)
    y = {
        "class": rng.integers(0, 3, n), "label": rng.integers(0, 2, (n, 2)),
        "value": rng.normal(size=(n, 2)), "spread": rng.normal(size=n),
    }  # fmt: skip
    return rng.normal(size=(n, 4)), y


@pytest.mark.parametrize("weight", [None, np.arange(90) % 4 / 2])
def test_evaluate_is_that_of_lone_networks(weight: Any, backend: str, dtype: str) -> None:
    X, y = data()
    net = made(backend, dtype, metrics=METRICS)
    found = net.evaluate(X, y, sample_weight=weight)
    names = [f"{head}_{name}" for head, own in METRICS.items() for name in own]
    assert net.metrics == tuple(names)
    assert list(found)[:5] == ["loss", *(f"{head}_loss" for head in HEADS)]
    assert sorted(found) == sorted([*list(found)[:5], *names])
    weights = net.get_weights()
    for i, (head, (layers, loss, *_)) in enumerate(HEADS.items()):
        lone = fb.Network(
            [fb.Input(4), fb.Dense(9, "tanh"), *layers], loss=loss, metrics=METRICS[head],
            dtype=dtype, backend=backend,
        )  # fmt: skip
        lone.set_weights([*weights[:2], *weights[2 + 2 * i : 4 + 2 * i]])
        for name, value in lone.evaluate(X, y[head], sample_weight=weight).items():
            assert_rounded(
                found[f"{head}_{name}"], value, dtype=dtype, roundings=SAME_TRAINING,
                magnitude=abs(value) + 1, name=f"{head}_{name}",
            )  # fmt: skip


def test_of_an_epoch_before_its_steps(backend: str) -> None:
    """All rows in one batch: what `evaluate` says before the step; validation after it."""
    X, y = data()
    net = made(backend, metrics=METRICS, optimizer=fb.SGD(0.1))
    for _ in range(2):
        before = net.evaluate(X, y)
        past = net.fit(X, y, batch_size=90, validation_data=(X, y))
        after = net.evaluate(X, y)
        for name, value in before.items():
            size = abs(value) + 1
            assert_rounded(past[name][0], value, dtype="float32", roundings=256, magnitude=size)
            assert_rounded(
                past[f"val_{name}"][0], after[name], dtype="float32", roundings=256, magnitude=size
            )


def test_what_the_engine_sums_is_watched_inside(backend: str) -> None:
    X, y = data()
    net = made(backend, metrics={"class": ["accuracy"], "value": ["mae"]})
    stop = fb.EarlyStopping("val_class_accuracy", patience=2)
    past = net.fit(X, y, epochs=50, validation_data=(X, y), callbacks=stop)
    assert past.stopped == "early stopping"
    assert max(past["val_class_accuracy"]) == stop.best
    chunks = net.fit([(X, y)])
    assert list(chunks.history) == [
        "loss", *(f"{head}_loss" for head in HEADS), "class_accuracy", "value_mae",
    ]  # fmt: skip


def test_a_head_of_weight_0_is_measured_all_the_same(backend: str) -> None:
    X, y = data()
    layers = [fb.Dense(2)]
    heads = {"value": ([fb.Dense(2)], "mse"), "label": (layers, "binary_cross_entropy", 0)}
    net = fb.Network(
        [fb.Input(4), fb.Heads(heads)], metrics={"label": ["mae", "accuracy"]}, seed=0,
        backend=backend,
    )  # fmt: skip
    targets = {name: y[name] for name in heads}
    response = net.predict(X)["label"]
    found = net.fit(X, targets, batch_size=90)
    expected = np.abs(response.astype(float) - y["label"]).mean()
    assert_rounded(found["label_mae"], [expected], dtype="float32", roundings=64)


def test_files_and_copies_have_them(backend: str) -> None:
    net = made(backend, metrics=METRICS)
    file = io.BytesIO()
    net.save(file)
    file.seek(0)
    again = fb.Network.from_config(net.get_config(), backend=backend)
    for other in (fb.Network.load(file, backend=backend), net.copy(), again):
        assert other.metrics == net.metrics
    net.metrics = {}
    assert net.metrics == ()


def test_refusals(backend: str) -> None:
    def refused(kind: type[Exception], text: str, metrics: Any, heads: Any = HEADS) -> None:
        with pytest.raises(kind, match=text):
            fb.Network([fb.Input(4), fb.Heads(heads)], metrics=metrics, backend=backend)

    refused(ValueError, "did you mean 'class'", {"clas": ["accuracy"]})
    refused(ValueError, "^metric 'accuracy' is of no head: pass a dict", ["accuracy"])
    refused(TypeError, "^metrics of Heads must be a dict of lists by name, got 'acc", "accuracy")
    refused(
        TypeError, r"^metrics\['class'\] must be a list of names, got 'a", {"class": "accuracy"}
    )
    refused(ValueError, r"^metrics\['value'\]: metric 'accuracy' needs", {"value": ["accuracy"]})
    refused(TypeError, r"^metrics\['value'\] of Heads must be names", {"value": [np.mean]})
    two = {"a": ([fb.Dense(9)], "cross_entropy"), "a_top_3": ([fb.Dense(3)], "cross_entropy")}
    refused(ValueError, "'a_top_3_accuracy' would be", {"a": ["top_3_accuracy"]}, two)
    logs = {"a": ([fb.Dense(3)], "cross_entropy"), "a_log": ([fb.Dense(3)], "mse")}
    refused(ValueError, "'a_log_loss' would be", {"a": ["log_loss"]}, logs)
    refused(ValueError, "with k=5", {"class": ["top_k_accuracy"]})
