"""Several outputs of which some targets are missing: a row counts for the heads that it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.head_case import Y, assert_as_lone, data, network, taken, targets
from support.network_state import digest
from support.random_network import EACH_LOSS
from support.tolerance import SAME_TRAINING, assert_near, assert_rounded, assert_same_training

import fastbp as fb

NAN = np.nan
METRICS = {"class": ["accuracy", "f1_macro"], "value": ["mae", "r2"]}


def holed(y: Y, seed: int = 0, share: float = 0.5) -> tuple[Y, dict[str, np.ndarray]]:
    """Some targets gone, of each head others; and which are there."""
    rng = np.random.default_rng([seed, 1])
    there = {name: rng.random(len(own)) > share for name, own in y.items()}
    return {name: np.where(there[name], own, NAN) for name, own in y.items()}, there


def test_by_hand(backend: str, dtype: str) -> None:
    """a = 2 x, b = -x; row 0 has both targets, row 1 that of a, row 2 none."""
    net = fb.Network(
        [fb.Input(1), fb.Heads({"a": ([fb.Dense(1, weights=[[2]])], "half_sse"),
                                "b": ([fb.Dense(1, weights=[[-1]])], "half_sse", 0.5)})],
        optimizer=fb.SGD(1.0), dtype=dtype, backend=backend,
    )  # fmt: skip
    X, y = [[1.0], [3.0], [5.0]], {"a": [1.0, 4.0, NAN], "b": [1.0, NAN, NAN]}
    # a: (1/2 + 4/2) / 2; b: 4/2 / 1
    want = {"loss": 1.25 + 0.5 * 2, "a_loss": 1.25, "b_loss": 2.0}
    assert net.evaluate(X, y, ignore_nan=True) == want
    assert net.train_on_batch(X, y, ignore_nan=True) == want["loss"]
    # by a's kernel (1 1 + 2 3) / 2, its bias (1 + 2) / 2; by b's 0.5 (-2 1), 0.5 (-2)
    assert [w.tolist() for w in net.get_weights()] == [[[2 - 3.5]], [-1.5], [[-1 + 1.0]], [1.0]]


@pytest.mark.parametrize("weighted", [False, True])
def test_each_head_is_measured_on_its_rows(weighted: bool, backend: str, dtype: str) -> None:
    """As on those alone, metrics too."""
    X, y = data(90)
    gaps, there = holed(y)
    net = network(dtype, backend, metrics=METRICS)
    weight = np.arange(90) % 4 * 0.5 if weighted else None
    found = net.evaluate(X, gaps, ignore_nan=True, sample_weight=weight)
    for name, rows in there.items():
        own = None if weight is None else weight[rows]
        lone = net.evaluate(X[rows], taken(y, rows), sample_weight=own)
        for figure, value in lone.items():
            if figure.startswith(f"{name}_"):
                assert_near(found[figure], value, dtype=dtype, length=100, magnitude=abs(value) + 1)
    total = found["class_loss"] + 0.5 * found["value_loss"]
    assert_near(found["loss"], total, dtype="float64", length=8)


@pytest.mark.parametrize("loss", EACH_LOSS, ids=str)
def test_every_loss_as_a_network_of_that_output(loss: fb.Loss, backend: str, dtype: str) -> None:
    """Beside a head of weight 0: on all rows at once as one that leaves its targets out.  Of
    several columns single ones are missing.
    """
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(37, 4)), targets(loss, 37, rng).astype(float)
    y[rng.random(y.shape) < 0.4] = NAN
    assert_as_lone(
        loss, X, y, dtype=dtype, backend=backend, batch_size=37, ignore_nan=True,
    )  # fmt: skip


def test_a_head_alone_trains_as_a_lone_network(backend: str, dtype: str) -> None:
    """In mini-batches too."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    y[rng.random(y.shape) < 0.5] = NAN
    options: Any = {"optimizer": fb.SGD(0.05), "seed": 0, "dtype": dtype, "backend": backend}
    net = fb.Network([fb.Input(4), fb.Heads({"a": ([fb.Dense(2)], "mse")})], **options)
    lone = fb.Network([4, 2], **options)
    lone.set_weights(net.get_weights())
    pasts = [
        net.fit(X, {"a": y}, epochs=3, batch_size=8, ignore_nan=True),
        lone.fit(X, y, epochs=3, batch_size=8, ignore_nan=True),
    ]
    for a, b in zip(net.get_weights(), lone.get_weights(), strict=True):
        assert_same_training(a, b, dtype=dtype)
    assert_rounded(pasts[0]["a_loss"], pasts[1]["loss"], dtype=dtype, roundings=SAME_TRAINING)


def test_mini_batches(backend: str) -> None:
    """Of n rows a head with m targets gives each of these the weight n / m, in every batch, which
    is divided by its rows that have any.
    """
    X, y = data(50)
    gaps, there = holed(y, share=0.7)
    options: Any = {"backend": backend, "optimizer": fb.SGD(0.1)}
    net, other = (network("float64", **options) for _ in range(2))
    past = net.fit(X, gaps, epochs=1, batch_size=8, shuffle=False, ignore_nan=True)
    counts = there["class"] | there["value"]
    factor = {name: counts.sum() / own.sum() * own for name, own in there.items()}
    sums = dict.fromkeys(("class", "value"), 0.0)
    for begin in range(0, 50, 8):
        rows = slice(begin, begin + 8)
        out, n = other.forward(X[rows]), max(1, counts[rows].sum())
        e = np.exp(out["class"] - out["class"].max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        one_hot, error = np.eye(3)[y["class"][rows]], out["value"][:, 0] - y["value"][rows]
        slope = {
            "class": (p - one_hot) * factor["class"][rows, None] / n,
            "value": error * factor["value"][rows] / n,
        }
        other.backward(slope)
        other.step()
        sums["class"] -= (factor["class"][rows] * np.log((p * one_hot).sum(axis=1))).sum()
        sums["value"] += (factor["value"][rows] * error**2).sum()
    for a, b in zip(net.get_weights(), other.get_weights(), strict=True):
        assert_same_training(a, b, dtype="float64")
    for name, total in sums.items():
        assert_near(past[f"{name}_loss"], [total / counts.sum()], dtype="float64", length=200)
    total = past["class_loss"][0] + 0.5 * past["value_loss"][0]
    assert_near(past["loss"], [total], dtype="float64", length=60)


def test_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    X, y = data(64)
    gaps, there = holed(y)
    net = network("float64", optimizer=fb.Adam(0.01))
    w = [torch.tensor(own, requires_grad=True) for own in net.get_weights()]
    adam, cross, mse = torch.optim.Adam(w, 0.01), torch.nn.CrossEntropyLoss(), torch.nn.MSELoss()
    labels, values = torch.tensor(y["class"]), torch.tensor(y["value"])[:, None]
    c, v = (torch.tensor(there[name]) for name in ("class", "value"))
    losses = net.fit(X, gaps, epochs=50, batch_size=64, shuffle=False, ignore_nan=True)["loss"]
    for expected in losses:
        h = torch.relu(torch.tensor(X) @ w[0] + w[1])
        z = torch.relu(h @ w[2] + w[3]) @ w[4] + w[5]
        loss = cross(z[c], labels[c]) + 0.5 * mse((h @ w[6] + w[7])[v], values[v])
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert_rounded(expected, loss.item(), dtype="float64", roundings=SAME_TRAINING)
    for own, other in zip(net.get_weights(), w, strict=True):
        assert_same_training(own, other.detach().numpy(), dtype="float64")


def test_nothing_missing_is_nothing_ignored(backend: str, dtype: str) -> None:
    X, y = data(40)
    nets = [network(dtype, backend) for _ in range(2)]
    pasts = [net.fit(X, y, ignore_nan=own) for net, own in zip(nets, (True, False), strict=True)]
    assert digest(nets[0]) == digest(nets[1]) and pasts[0].history == pasts[1].history


def test_a_batch_without_a_head(backend: str) -> None:
    """Is a step for the others; without any a step of no gradient."""
    X, y = data(6)
    net = network("float64", backend, optimizer=fb.SGD(0.1))
    before = net.parameters["dense_4/kernel"].copy()
    loss = net.train_on_batch(X, y | {"value": np.full(6, NAN)}, ignore_nan=True)
    np.testing.assert_array_equal(net.parameters["dense_4/kernel"], before)
    assert loss > 0 and net.steps == 1
    gone = {name: np.full(6, NAN) for name in y}
    whole = net.get_weights()
    assert net.train_on_batch(X, gone, ignore_nan=True) == 0 and net.steps == 2
    for a, b in zip(net.get_weights(), whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_signed_weights(backend: str) -> None:
    """With `normalize=False` by the rows that are there, whatever they weigh."""
    X, y = data(8)
    gaps, there = holed(y)
    net, weight = network("float64", backend), np.arange(8.0) - 3
    loss, want = 0.0, network("float64", backend)
    for name, factor in (("class", 1.0), ("value", 0.5)):
        for i in np.flatnonzero(there[name]):
            one = want.evaluate(X[i : i + 1], taken(y, slice(i, i + 1)))[f"{name}_loss"]
            loss += factor * weight[i] * one / there[name].sum()
    found = net.train_on_batch(X, gaps, sample_weight=weight, normalize=False, ignore_nan=True)
    assert_near(found, loss, dtype="float64", length=60, magnitude=20)


def test_rows_of_probabilities(backend: str) -> None:
    """One with a NaN is missing as a whole."""
    X, y = data(40)
    gaps, there = holed(y)
    rows = np.eye(3)[y["class"]]
    rows[~there["class"], 1] = NAN
    net = network("float64", backend)
    found = net.evaluate(X, gaps | {"class": rows}, ignore_nan=True)
    assert_near(
        [*found.values()], [*net.evaluate(X, gaps, ignore_nan=True).values()], dtype="float64",
        length=60,
    )  # fmt: skip


@pytest.mark.parametrize("first", ["gaps", "weights", "neither"])
def test_chunks(first: str, backend: str) -> None:
    """A batch of two chunks, of which one has gaps: each row as it counts in its own chunk."""
    X, y = data(10)
    gaps, _ = holed(taken(y, slice(5, 10)), seed=2)
    options: Any = {"backend": backend, "optimizer": fb.SGD(0.1)}
    net, other = (network("float64", **options) for _ in range(2))
    head: Any = X[:5], taken(y, slice(5))
    weight = np.ones(10)
    if first == "weights":
        weight[:5] = np.arange(5) + 0.5
        head = (*head, weight[:5])
    elif first == "gaps":
        head = X[:5], taken(y, slice(5)) | {"value": np.full(5, NAN)}
    net.fit([head, (X[5:], gaps)], batch_size=10, shuffle=False, ignore_nan=True)
    there = {name: ~np.isnan(np.concatenate([head[1][name], gaps[name]])) for name in y}
    counts = there["class"] | there["value"]
    n, factor = (weight * counts).sum(), {}
    for name, own in there.items():
        m = own[5:].sum()
        share = np.where(np.arange(10) < 5, 1.0, counts[5:].sum() / m if m else 0.0)
        factor[name] = weight * share * own
    out = other.forward(X)
    e = np.exp(out["class"] - out["class"].max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    other.backward({
        "class": (p - np.eye(3)[y["class"]]) * factor["class"][:, None] / n,
        "value": (out["value"][:, 0] - y["value"]) * factor["value"] / n,
    })  # fmt: skip
    other.step()
    for a, b in zip(net.get_weights(), other.get_weights(), strict=True):
        assert_same_training(a, b, dtype="float64")


def test_validation_and_parts(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In compiled code, and of arrays that are converted part by part: the same."""
    X, y = data(120)
    gaps, _ = holed(y)
    gaps["value"] = gaps["value"].astype(np.float16)
    nets = [network("float64", backend, metrics=METRICS) for _ in range(2)]
    held = X[:30], taken(gaps, slice(30))
    options: Any = {"epochs": 2, "validation_data": held, "ignore_nan": True}
    pasts = [nets[0].fit(X.astype(np.float16), gaps, **options)]
    monkeypatch.setattr("fastbp.runtime.rows.MOST_BYTES", 0)
    monkeypatch.setattr("fastbp.runtime.feed.PART_BYTES", 1000)
    pasts.append(nets[1].fit(X.astype(np.float16), gaps, **options))
    assert digest(nets[0]) == digest(nets[1])
    measured = nets[0].evaluate(*held, ignore_nan=True)
    for name, value in measured.items():
        for past in pasts:
            assert_rounded(past[f"val_{name}"][-1], value, dtype="float64", roundings=400)
    split = network("float64", backend).fit(X, gaps, validation_split=0.3, ignore_nan=True)
    assert np.isfinite([*split.history.values()]).all()


def test_lbfgs(backend: str) -> None:
    """What it makes smaller is what `evaluate` reports."""
    X, y = data(60)
    gaps, _ = holed(y)
    layers = [fb.Input(20), fb.Heads({"class": ([fb.Dense(3)], "cross_entropy"),
                                      "value": ([fb.Dense(1)], "mse", 0.5)})]  # fmt: skip
    net = fb.Network(layers, optimizer=fb.LBFGS(), dtype="float64", backend=backend, seed=0)
    first = net.evaluate(X, gaps, ignore_nan=True)["loss"]
    past = net.fit(X, gaps, epochs=20, ignore_nan=True)
    assert_near(past["loss"][0], first, dtype="float64", length=100)
    assert past["loss"][-1] < 0.5 * first


def test_backends_agree(dtype: str) -> None:
    X, y = data(90)
    gaps, _ = holed(y)
    nets = [network(dtype, own, metrics=METRICS) for own in ("cython", "numpy")]
    pasts = [net.fit(X, gaps, epochs=3, batch_size=20, ignore_nan=True) for net in nets]
    for a, b in zip(*(net.get_weights() for net in nets), strict=True):
        assert_same_training(a, b, dtype=dtype)
    for name in ("loss", "class_loss", "value_loss"):
        assert_rounded(pasts[0][name], pasts[1][name], dtype=dtype, roundings=SAME_TRAINING)
