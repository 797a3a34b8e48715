"""What the kernels take without the checks in Python: the same arrays, and nothing that is bad."""

import numpy as np
import pytest
from support.kernels import needs_kernels
from support.refusal import bad_input

import fastbp as fb
from fastbp.backend import compiled_modules
from fastbp.check.input import check_X
from fastbp.check.target import check_y

pytestmark = needs_kernels

GOOD = np.random.default_rng(0).standard_normal((7, 4))


@pytest.fixture(params=compiled_modules(), ids="-".join)
def module(request):
    return compiled_modules()[request.param]


@pytest.fixture
def real(module):
    return np.dtype(f"f{module.build_info()['real_bytes']}")


@pytest.mark.parametrize("order", ["C", "F", "reversed", "broadcast"])
def test_own_type_is_not_copied(module, real, order):
    X = GOOD.astype(real, order="F" if order == "F" else "C")
    X = X[::-1, ::-1] if order == "reversed" else X
    X = np.broadcast_to(X[:1], X.shape) if order == "broadcast" else X
    assert module.accept(X, 4, True) is X


@pytest.mark.parametrize("step", [1, 2, -1])
def test_other_type_is_copied_as_numpy_does(module, real, step):
    other = np.dtype("f4") if real == np.float64 else np.dtype("f8")
    X = (GOOD * 1e-30).astype(other)[::step, ::step]
    found = module.accept(X, X.shape[1], True)
    assert found.dtype == real and found.flags.c_contiguous
    assert (
        found.tobytes()
        == X.astype(real).tobytes()
        == check_X(X, n_features=X.shape[1], dtype=real).tobytes()
    )


def _bad(real) -> dict:
    X = GOOD.astype(real)
    nan = X.copy()
    nan[5, 2] = np.nan
    raw = np.zeros(X.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(real).reshape(X.shape)
    table = np.zeros(X.shape, [("a", real), ("b", "u1")])["a"]
    return {
        "nan": nan, "nan beside strides": nan[:, ::2], "infinity": X + np.inf,
        "overflow": np.full((2, 4), 1e300) if real == np.float32 else np.full((2, 4), np.inf),
        "width": X[:, :3], "no rows": X[:0], "no columns": X[:, :0], "1-D": X[0], "3-D": X[None],
        "0-D": X[0, 0], "list": X.tolist(), "integers": X.astype(int), "None": None,
        "big-endian": X.astype(real.newbyteorder(">")), "unaligned": unaligned, "record": table,
        "masked": np.ma.array(X), "subclass": X.view(np.recarray), "complex": X.astype(complex),
    }  # fmt: skip


def test_everything_else_is_left_alone(module, real):
    for name, X in _bad(real).items():
        assert module.accept(X, 4, True) is None, name
    nan = _bad(real)["nan"]
    assert module.accept(nan, 4, False) is nan


@pytest.mark.parametrize("kind", ["i4", "i8"])
def test_class_index(module, kind):
    y = np.array([2, 0, 1, 2, 0], kind)
    for given in (y, y[::-2], np.broadcast_to(y[:1], 3)):
        found = module.class_index(given, 3, True)
        if kind == "i8" and given is not y:
            assert found is None
            continue
        assert found.dtype == np.int32 and (found == given).all()
        assert np.shares_memory(found, given)
        expected = check_y(given, n_rows=len(given), n_out=3, domain="class", dtype="f4")
        assert (found == expected).all()
    assert module.class_index(y, 2, True) is None
    assert module.class_index(np.where(y == 1, -1, y), 3, True) is None


@bad_input("labels written to during a call")
@pytest.mark.parametrize("n_classes", [3, 200])
@pytest.mark.parametrize("shuffle", [False, True])
def test_class_index_written_to_after_the_check(n_classes, shuffle, monkeypatch):
    """What another thread may do: the index counts as 0, and nothing else is read or written."""
    X = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    y = np.zeros(40, np.int32)
    found = []
    for bad in (0, -1, n_classes, 2**31 - 1, -(2**31)):
        network = fb.Network([5, n_classes], loss="cross_entropy", seed=0, backend="cython")
        wrong = y.copy()
        wrong[::3] = bad
        monkeypatch.setattr(network._state, "quick_target", lambda *_, wrong=wrong: wrong)
        network.fit(X, y, epochs=2, batch_size=16, shuffle=shuffle)
        found.append(network.get_weights()[0])
    assert all((one == found[0]).all() for one in found)


def test_class_index_leaves_the_rest_alone(module):
    y = np.array([2, 0, 1])
    wide = np.array([2**32, 0])
    for bad in (y[:, None], y.astype("u8"), y.astype(">i8"), y.astype(float), [0, 1], wide, y > 0):
        assert module.class_index(bad, 3, True) is None
