"""Weights of rows: k is k copies, 0 is absence; targets left out; classes; their refusals."""

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import NAN, Bad, bad_input, refused
from support.tolerance import assert_near, assert_same_training
from support.training_case import CASES
from support.weight import BACKENDS, OPTIMIZERS, TARGETS, data, each_backend, network

import fastbp as fb
from fastbp.metric import metric

each_target = pytest.mark.parametrize("target", TARGETS)


def same(a: fb.Network, b: fb.Network) -> None:
    dtype = str(a.dtype)
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert_same_training(x, y, dtype=dtype)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@each_target
@each_backend
def test_weight_is_that_many_copies(target, optimizer, backend):
    """Batches with the copies of each row side by side, those of weight 0 missing."""
    rng = np.random.default_rng(1)
    X, y = data(target, 41)
    weight = rng.integers(0, 4, 41)
    batches = [rows for rows in np.array_split(rng.permutation(41), 7)]
    weight[[rows[0] for rows in batches]] = 2  # no batch of nothing
    copies = [np.repeat(rows, weight[rows]) for rows in batches]
    weighted = network(target, optimizer, backend=backend)
    copied = network(target, optimizer, backend=backend)
    past = weighted.fit(X, y, sample_weight=weight, batches=batches, epochs=3).history["loss"]
    expected = copied.fit(X, y, batches=copies, epochs=3).history["loss"]
    same(weighted, copied)
    assert_near(past, expected, dtype="float64", length=2**10)
    rows = np.repeat(np.arange(41), weight)
    a = weighted.evaluate(X, y, sample_weight=weight)["loss"]
    assert_near(a, copied.evaluate(X[rows], y[rows])["loss"], dtype="float64", length=2**12)


@pytest.mark.parametrize("n", [1, 5, 33, 300])
@each_target
@each_backend
def test_batch_is_weighted(target, n, backend):
    X, y = data(target, n)
    weight = np.random.default_rng(n).integers(0, 3, n)
    weight[0] = 1
    a, b = (network(target, backend=backend) for _ in range(2))
    loss = a.train_on_batch(X, y, sample_weight=weight)
    rows = np.repeat(np.arange(n), weight)
    expected = b.train_on_batch(X[rows], y[rows])
    assert_near(loss, expected, dtype="float64", length=n + 8)
    same(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@each_target
@each_backend
def test_weights_of_one_are_none(target, dtype, backend):
    X, y = data(target, 50)
    a, b = (network(target, backend=backend, dtype=dtype) for _ in range(2))
    a.fit(X, y, sample_weight=np.ones(50), epochs=2, batch_size=8)
    b.fit(X, y, epochs=2, batch_size=8)
    assert digest(a) == digest(b)
    a.train_steps(X, y, steps=9, batch_size=8, sample_weight=np.full(50, 4.0))  # exact
    b.train_steps(X, y, steps=9, batch_size=8)
    assert digest(a) == digest(b)


@each_target
@each_backend
def test_weight_zero_silences_what_is_not_finite(target, backend):
    """The loss of the row is infinite or NaN; its output is, its inputs are not."""
    layers = [fb.Input(1), fb.Dense(3, weights=np.full((1, 3), 1e30))]
    net = fb.Network(layers, loss=TARGETS[target], optimizer=fb.SGD(1e-40), seed=0, backend=backend)
    _, y = data(target, 2)
    X = np.array([[1e30], [1e-30]])
    assert not np.isfinite(net.evaluate(X, y)["loss"])
    assert np.isfinite(net.evaluate(X, y, sample_weight=[0, 1])["loss"])
    assert np.isfinite(net.train_on_batch(X, y, sample_weight=[0, 1]))
    assert all(np.isfinite(part).all() for part in net.get_weights())


@each_target
@each_backend
def test_batch_of_weight_zero_takes_a_step_of_no_gradient(target, backend):
    X, y = data(target, 6)
    net = fb.Network([4, 3], loss=TARGETS[target], optimizer="sgd", seed=0, backend=backend)
    before = net.get_weights()
    assert net.train_on_batch(X, y, sample_weight=np.zeros(6)) == 0
    assert net.steps == 1
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))
    weight = [0, 0, 1, 1, 1, 1]  # a batch of nothing counts nothing in the epoch's loss
    past = net.fit(X, y, sample_weight=weight, batch_size=2, shuffle=False).history["loss"]
    other = fb.Network([4, 3], loss=TARGETS[target], optimizer="sgd", seed=0, backend=backend)
    expected = other.fit(X[2:], y[2:], batch_size=2, shuffle=False).history["loss"]
    assert_near(past, expected, dtype="float32", length=16)
    assert net.steps == 4


@each_target
@each_backend
def test_signed_weights_are_divided_by_rows(target, backend):
    """Plus and minus: the difference of two gradients, of which each is that of copies."""
    X, y = data(target, 12)
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(12)
    layers = [fb.Input(4), fb.Dense(3)]
    options = {"loss": TARGETS[target], "optimizer": fb.SGD(1.0), "dtype": "float64"}
    nets = [fb.Network(layers, seed=0, backend=backend, **options) for _ in range(2)]
    before = nets[0].get_weights()
    loss = nets[0].train_on_batch(X, y, sample_weight=weight, normalize=False)
    moved = [np.zeros_like(part) for part in before]
    expected = 0.0
    for i in range(12):
        nets[1].set_weights(before)
        value = nets[1].train_on_batch(X[i : i + 1], y[i : i + 1])
        expected += weight[i] * value / 12
        for total, a, b in zip(moved, nets[1].get_weights(), before, strict=True):
            total += weight[i] * (a - b) / 12
    assert_near(loss, expected, dtype="float64", length=64, magnitude=10.0)
    for start, step, now in zip(before, moved, nets[0].get_weights(), strict=True):
        assert_near(now, start + step, dtype="float64", length=64, magnitude=10.0)


@each_backend
def test_train_steps_weights_the_loss_of_a_part_of_an_epoch(backend):
    X, y = data("mse", 30)
    weight = np.random.default_rng(0).integers(1, 5, 30)
    net = network("mse", backend=backend)
    one = net.copy()
    found = net.train_steps(X, y, steps=7, batch_size=8, sample_weight=weight)  # 4 + 3
    total = count = 0.0
    for step in range(7):
        order = fb.random.permutation(30, seed=net.seed, epoch=step // 4)
        rows = order[step % 4 * 8 :][:8]
        loss = one.train_on_batch(X[rows], y[rows], sample_weight=weight[rows])
        total, count = total + loss * weight[rows].sum(), count + weight[rows].sum()
    assert_near(found, total / count, dtype="float64", length=2**8)
    same(net, one)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["two blocks", "lanes, blocks", "parameters"])
def test_bits_do_not_depend_on_threads_or_calls(name, dtype):
    case = CASES[name]
    X, y = case.data(5 * case.batch_size // 2)
    options = {
        "sample_weight": np.random.default_rng(0).integers(0, 4, len(X)) / 2,
        "batch_size": case.batch_size,
    }
    seen = set()
    for n_threads in (1, 2, 3, 4):
        net = case.network(dtype)
        losses = net.fit(X, y, epochs=3, n_threads=n_threads, **options).history["loss"]
        seen.add((digest(net), *losses))
    net = case.network(dtype)
    losses = [net.fit(X, y, **options).history["loss"][0] for _ in range(3)]
    assert seen == {(digest(net), *losses)}


@each_backend
def test_validation_data_has_weights(backend):
    X, y = data("mse", 20)
    weight = np.arange(20)
    net = network("mse", backend=backend)
    past = net.fit(X, y, epochs=2, validation_data=(X, y, weight)).history["val_loss"]
    assert past[-1] == net.evaluate(X, y, sample_weight=weight)["loss"]
    assert past[-1] != net.evaluate(X, y)["loss"]


def _metrics_take_weights() -> bool:
    try:
        metric("mae")(np.ones((2, 1)), np.ones((2, 1)), weight=np.ones(2))
    except TypeError:
        return False
    return True


@pytest.mark.skipif(not _metrics_take_weights(), reason="metrics without weights")
@each_target
@each_backend
def test_metrics_are_weighted(target, backend):
    X, y = data(target, 30)
    weight = np.random.default_rng(0).integers(0, 3, 30)
    names = ["mse", "mae"] + ["accuracy"] * (fb.Loss(TARGETS[target]).domain != "real")
    net = network(target, backend=backend, metrics=names)
    rows = np.repeat(np.arange(30), weight)
    found, expected = net.evaluate(X, y, sample_weight=weight), net.evaluate(X[rows], y[rows])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_near(found[name], value, dtype="float64", length=2**8)


@pytest.mark.skipif(not _metrics_take_weights(), reason="metrics without weights")
@each_backend
def test_metrics_leave_missing_targets_out(backend):
    X, y = data("mse", 30)
    gaps = np.random.default_rng(0).random(y.shape) < 0.3
    net = network("mse", backend=backend, metrics=["mae"])
    found = net.evaluate(X, np.where(gaps, NAN, y), ignore_nan=True)["mae"]
    expected = np.abs(net.predict(X) - y)[~gaps].mean()
    assert_near(found, expected, dtype="float64", length=2**8)


# targets that are left out


@pytest.mark.parametrize("target", ["mse", "mae", "huber", "binary_cross_entropy", "half_sse"])
@each_backend
def test_missing_elements_are_left_out(target, backend):
    """The mean is over the elements that are there: by hand from those of single elements."""
    X, y = data(target, 9)
    rng = np.random.default_rng(0)
    gaps = rng.random(y.shape) < 0.4
    gaps[0], gaps[1] = True, False
    holed = np.where(gaps, NAN, y)
    weight = rng.integers(0, 3, 9) + 1
    net = network(target, backend=backend)
    values = np.zeros(y.shape)
    for r, k in np.argwhere(~gaps):
        alone = np.full((1, 3), NAN)
        alone[0, k] = y[r, k]
        values[r, k] = net.evaluate(X[r : r + 1], alone, ignore_nan=True)["loss"]
    cells = weight[:, None] * ~gaps
    divisor = cells.sum() if target != "half_sse" else (weight * (~gaps).any(axis=1)).sum()
    expected = (cells * values).sum() / divisor
    options = {"sample_weight": weight, "ignore_nan": True}
    assert_near(net.evaluate(X, holed, **options)["loss"], expected, dtype="float64", length=64)
    assert_near(
        net.copy().train_on_batch(X, holed, **options), expected, dtype="float64", length=64
    )
    a, b = net.copy(), net.copy()
    assert_near(
        a.fit(X, holed, batch_size=9, **options).history["loss"], [expected],
        dtype="float64", length=64,
    )  # fmt: skip
    b.train_steps(X, holed, steps=1, batch_size=9, **options)
    same(a, b)
    assert np.isnan(holed).sum() == gaps.sum()  # the caller's array is left alone


@pytest.mark.parametrize("target", ["cross_entropy", "cross_entropy of rows"])
@each_backend
def test_missing_labels_are_missing_rows(target, backend):
    X, y = data(target, 11)
    holed = y.astype(float)
    holed[[2, 7]] = NAN
    there = np.delete(np.arange(11), [2, 7])
    a, b = (network(target, backend=backend) for _ in range(2))
    loss = a.train_on_batch(X, holed, ignore_nan=True)
    assert_near(loss, b.train_on_batch(X[there], y[there]), dtype="float64", length=32)
    same(a, b)


@each_backend
def test_gradient_of_a_missing_element_is_zero(backend):
    """As for the actions that were not taken: their outputs are not touched."""
    net = fb.Network([2, 3], loss="half_sse", optimizer=fb.SGD(1.0), seed=0, backend=backend)
    y = np.full((4, 3), NAN)
    y[:, 1] = 5.0
    kernel = net.get_weights()[0]
    net.train_on_batch(np.ones((4, 2)), y, ignore_nan=True)
    moved = net.get_weights()[0] != kernel
    assert moved[:, 1].all() and not moved[:, [0, 2]].any()


@each_backend
def test_nothing_missing_is_nothing_ignored(backend):
    X, y = data("mse", 20)
    a, b = (network("mse", backend=backend, dtype="float32") for _ in range(2))
    a.fit(X, y, ignore_nan=True)
    b.fit(X, y)
    assert digest(a) == digest(b)


@each_backend
def test_all_targets_missing(backend):
    X, y = data("mse", 5)
    net = network("mse", backend=backend)
    gone = np.full_like(y, NAN)
    assert net.train_on_batch(X, gone, ignore_nan=True) == 0
    text = "^y is NaN in every row: no target is left$"
    refused(net, lambda: net.fit(X, gone, ignore_nan=True), ValueError, text)
    refused(net, lambda: net.evaluate(X, gone, ignore_nan=True), ValueError, text)


# classes


@each_backend
def test_balanced_is_the_formula(backend):
    X, y = data("cross_entropy", 30)
    y[:] = 0
    y[:5] = 1  # of three classes one has no rows
    weight = np.where(y == 1, 30 / (2 * 5), 30 / (2 * 25))
    nets = [network("cross_entropy", backend=backend) for _ in range(3)]
    nets[0].fit(X, y, class_weight="balanced")
    nets[1].fit(X, y, sample_weight=weight)
    nets[2].fit(X, y, class_weight={0: weight[-1], np.int64(1): weight[0]})
    assert digest(nets[0]) == digest(nets[1]) == digest(nets[2])


def test_balanced_is_that_of_scikit_learn():
    utils = pytest.importorskip("sklearn.utils.class_weight")
    from fastbp.check.weight import class_weights

    y = np.random.default_rng(0).integers(0, 4, 50)
    found = class_weights("balanced", y, n_out=4, domain="class")
    assert_near(found, utils.compute_sample_weight("balanced", y), dtype="float64", length=4)


@each_backend
def test_class_weight_times_sample_weight(backend):
    X, y = data("binary_cross_entropy", 20)
    y = (y[:, :1] > 0.5).astype(int)
    own = np.arange(20) + 1.0
    options = {"loss": "binary_cross_entropy", "dtype": "float64", "backend": backend}
    nets = [fb.Network([4, 1], seed=0, **options) for _ in range(2)]
    nets[0].fit(X, y, class_weight={1: 3.0}, sample_weight=own)
    nets[1].fit(X, y, sample_weight=own * np.where(y[:, 0] == 1, 3, 1))
    assert digest(nets[0]) == digest(nets[1])
    rows = np.eye(3)[[0, 2, 1, 1]]
    nets = [network("cross_entropy", backend=backend) for _ in range(2)]
    nets[0].train_steps(X[:4], rows, steps=1, class_weight={1: 3.0})
    nets[1].train_steps(X[:4], rows, steps=1, sample_weight=[1, 1, 3, 3])
    assert digest(nets[0]) == digest(nets[1])


@each_backend
def test_missing_labels_are_of_no_class(backend):
    X, y = data("cross_entropy", 20)
    holed = y.astype(float)
    holed[:4] = NAN
    nets = [network("cross_entropy", backend=backend) for _ in range(2)]
    nets[0].train_steps(X, holed, steps=1, class_weight="balanced", ignore_nan=True)
    nets[1].train_steps(X[4:], y[4:], steps=1, class_weight="balanced")
    same(*nets)


# refusals

BAD_WEIGHTS = [
    Bad("sample_weight", np.ones(5), ValueError, "^X has 6 rows, sample_weight has 5$"),
    Bad("sample_weight", 1.0, ValueError, "^sample_weight must be 1-D, a weight for each row, got"),
    Bad("sample_weight", np.ones((6, 1)), ValueError, r"must be 1-D.*got shape \(6, 1\)$"),
    Bad("sample_weight", [1, 1, NAN, 1, 1, 1], ValueError,
        r"^Input sample_weight contains NaN \(first at \[2\]\)$"),
    Bad("sample_weight", [1, np.inf, 1, 1, 1, 1], ValueError,
        r"^Input sample_weight contains infinity \(first at \[1\]\)$"),
    Bad("sample_weight", [1, 1, 1, -2, 1, 1], ValueError,
        r"^sample_weight\[3\] = -2 is negative; of signed weights train_on_batch\(\.\.\., "),
    Bad("sample_weight", [1, 1, 1, 1, 1e300, 1], ValueError, "does not fit float32$"),
    Bad("sample_weight", [1, 1, 1, 1, 1e-300, 1], ValueError,
        r"^sample_weight\[4\] = 1e-300 is too small for float32$"),
    Bad("sample_weight", ["a"] * 6, ValueError, "^could not convert sample_weight to float32"),
]  # fmt: skip
USES = {
    "fit": lambda net, X, y, w: net.fit(X, y, sample_weight=w),
    "train_on_batch": lambda net, X, y, w: net.train_on_batch(X, y, sample_weight=w),
    "train_steps": lambda net, X, y, w: net.train_steps(X, y, steps=1, sample_weight=w),
    "evaluate": lambda net, X, y, w: net.evaluate(X, y, sample_weight=w),
}


@bad_input("sample_weight")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("bad", BAD_WEIGHTS, ids=lambda bad: str(bad.call)[:30])
def test_bad_sample_weight(bad, use):
    X, y = data("cross_entropy", 6)
    net = fb.Network([4, 3], loss="cross_entropy", seed=0, backend=BACKENDS[0])
    before = digest(net)
    with pytest.raises(bad.error, match=bad.text):
        USES[use](net, X, y, bad.call)
    assert digest(net) == before


@bad_input("sample_weight")
def test_weights_that_are_all_zero():
    X, y = data("cross_entropy", 6)
    net = fb.Network([4, 3], loss="cross_entropy", seed=0, backend=BACKENDS[0])
    for use in ("fit", "train_steps", "evaluate"):
        with pytest.raises(ValueError, match="^sample_weight is 0 in every row: nothing is left$"):
            USES[use](net, X, y, np.zeros(6))
    with pytest.raises(ValueError, match="^validation_data: sample_weight is 0 in every row"):
        net.fit(X, y, validation_data=(X, y, np.zeros(6)))
    with pytest.raises(TypeError, match="^normalize must be True or False, got 'rows'$"):
        net.train_on_batch(X, y, sample_weight=np.ones(6), normalize="rows")


BAD_CLASSES = [
    Bad("class_weight", {3: 1.0}, ValueError, r"^class_weight has a class 3, classes are 0\.\.2$"),
    Bad("class_weight", {"a": 1.0}, ValueError, "^class_weight has a class 'a', classes are"),
    Bad("class_weight", {1.5: 1.0}, ValueError, r"^class_weight has a class 1\.5, classes are"),
    Bad("class_weight", {1: 1e39}, ValueError, "weight of 1e.39 does not fit float32$"),
    Bad("class_weight", {1: 1e-50}, ValueError, "weight of 1e-50 does not fit float32$"),
    Bad("class_weight", {0: -1.0}, ValueError, r"^class_weight\[0\] must be finite and >= 0"),
    Bad("class_weight", {0: NAN}, ValueError, r"^class_weight\[0\] must be finite and >= 0"),
    Bad("class_weight", {0: 0, 1: 0, 2: 0}, ValueError, "^the weights of the rows .* all 0$"),
    Bad("class_weight", "equal", TypeError, "^class_weight must be a dict .* or 'balanced', got"),
    Bad("class_weight", [1, 2, 3], TypeError, "^class_weight must be a dict"),
]


@bad_input("class_weight")
@pytest.mark.parametrize("bad", BAD_CLASSES, ids=lambda bad: str(bad.call))
def test_bad_class_weight(bad):
    X, y = data("cross_entropy", 6)
    net = fb.Network([4, 3], loss="cross_entropy", seed=0, backend=BACKENDS[0])
    refused(net, lambda: net.fit(X, y, class_weight=bad.call), bad.error, bad.text)


@bad_input("class_weight")
def test_class_weight_where_there_are_no_classes():
    X, y = data("mse", 6)
    text = "^class_weight needs a loss of classes, .* pass sample_weight$"
    net = fb.Network([4, 3], seed=0, backend=BACKENDS[0])
    refused(net, lambda: net.fit(X, y, class_weight="balanced"), ValueError, text)
    net = fb.Network([4, 3], loss="binary_cross_entropy", seed=0, backend=BACKENDS[0])
    text = "^class_weight needs one class a row, network has 3 outputs"
    refused(net, lambda: net.fit(X, y, class_weight={0: 1}), ValueError, text)
    net = fb.Network([4, 1], loss="binary_cross_entropy", seed=0, backend=BACKENDS[0])
    text = r"^class_weight needs targets 0 and 1, y\[0\] = 0\.\d+$"
    refused(net, lambda: net.fit(X, y[:, :1], class_weight={0: 1}), ValueError, text)


@bad_input("ignore_nan")
def test_missing_targets_without_ignore_nan():
    X, y = data("mse", 6)
    y[4, 1] = NAN
    net = fb.Network([4, 3], seed=0, backend=BACKENDS[0])
    text = r"^Input y contains NaN \(first at \[4, 1\]\); pass ignore_nan=True to leave them out$"
    for call in (net.fit, net.train_on_batch, net.evaluate):
        refused(net, lambda call=call: call(X, y), ValueError, text)
    y[2, 0] = np.inf
    text = r"^Input y contains infinity \(first at \[2, 0\]\)$"
    for call in (net.fit, net.train_on_batch, net.evaluate):
        refused(net, lambda call=call: call(X, y, ignore_nan=True), ValueError, text)
    text = "^ignore_nan must be True or False, got 'yes'$"
    refused(net, lambda: net.fit(X, y, ignore_nan="yes"), TypeError, text)
