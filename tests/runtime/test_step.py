"""forward, backward and step: what they give, keep and refuse, one row or many."""

from __future__ import annotations

import numpy as np
import pytest
from support.network_state import digest
from support.refusal import bad_input, refuses

import fastbp as fb
from fastbp.runtime import engine_cache, parts

RANDOM = np.random.default_rng(0)
X, D = RANDOM.standard_normal((9, 4)), RANDOM.standard_normal((9, 3))


@pytest.fixture
def net(backend, dtype):
    return fb.Network([4, 20, 3], activation="tanh", seed=0, dtype=dtype, backend=backend)


def _copies(net: fb.Network) -> dict[str, np.ndarray]:
    return {name: view.copy() for name, view in net.gradients.items()}


def test_results_are_the_callers_own(net):
    first = net.forward(X)
    kept = first.copy()
    dX = net.backward(D)
    kept_dX = dX.copy()
    second = net.forward(X + 1)
    net.backward(D + 1)
    assert first.tobytes() == kept.tobytes() != second.tobytes()
    assert dX.tobytes() == kept_dX.tobytes()
    assert first.flags.c_contiguous and first.flags.writeable and first.shape == (9, 3)
    assert dX.flags.c_contiguous and dX.shape == X.shape


@pytest.mark.parametrize("kept_bytes", [0, 2**22])
def test_gradients_are_what_step_uses(net, kept_bytes, monkeypatch):
    """Clipped in place, whether they lie where the engine left them or in a copy."""
    monkeypatch.setattr(parts, "_KEPT_BYTES", kept_bytes)
    twin = net.copy()
    net.forward(X)
    net.backward(D)
    for gradient in net.gradients.values():
        np.clip(gradient, -0.1, 0.1, out=gradient)
    clipped = _copies(net)
    net.step()
    twin.forward(X)
    twin.backward(D)
    for name, view in twin.gradients.items():
        view[...] = clipped[name]
    twin.step()
    assert digest(net) == digest(twin)
    assert all((net.gradients[name] == clipped[name]).all() for name in clipped)


def test_step_repeats_the_gradient_that_is_there(net):
    """Also after a forward of another batch size, and after a trace."""
    twin = net.copy()
    net.forward(X)
    net.backward(D)
    gradients = _copies(net)
    net.step()
    net.forward(X[:2])
    net.step()
    for _ in range(2):
        twin.trace(X, D)
        for name, view in twin.gradients.items():
            view[...] = gradients[name]
        twin.step()
    assert digest(net) == digest(twin) and net.steps == 2


def test_accumulation_is_a_sum(net, dtype):
    net.forward(X[:5])
    net.backward(D[:5], accumulate=True)  # nothing is there yet
    first = _copies(net)
    net.forward(X[5:])
    net.backward(D[5:], accumulate=True)
    both = _copies(net)
    net.forward(X[5:])
    net.backward(D[5:])
    second = _copies(net)
    for name in both:
        assert (both[name] == first[name] + second[name]).all()
    assert all(gradient.dtype == dtype for gradient in both.values())


def test_accumulation_over_one_batch_size(net):
    net.forward(X)
    net.backward(D)
    once = _copies(net)
    for _ in range(3):
        net.backward(D, accumulate=True)
    for name, gradient in net.gradients.items():
        assert (gradient == ((once[name] + once[name]) + once[name]) + once[name]).all()


def test_accumulate_is_a_switch(net):
    net.forward(X)
    with pytest.raises(TypeError, match="^accumulate must be True or False, got 1"):
        net.backward(D, accumulate=1)


@bad_input("gradient passed to backward")
def test_one_dimension(backend):
    net = fb.Network([4, 1], seed=0, backend=backend)
    net.forward(X)
    dX = net.backward(D[:, 0])
    gradients = _copies(net)
    assert dX.tobytes() == net.backward(D[:, :1]).tobytes()
    assert all((net.gradients[name] == gradients[name]).all() for name in gradients)
    text = "dL_dout must have the shape of the output, (9, 1), got "
    with refuses(ValueError, text + "shape (8,)"):
        net.backward(D[:8, 0])
    with refuses(ValueError, text + "1"):
        net.backward(1.0)
    wide = fb.Network([4, 3], seed=0, backend=backend)
    wide.forward(X[:1])
    with refuses(ValueError, "dL_dout must have the shape of the output, (1, 3), got shape (3,)"):
        wide.backward(D[0])


def test_layouts_types_and_backends_of_what_comes(net):
    net.forward(X)
    dX, plain = net.backward(D), _copies(net)
    assert net.forward(np.asfortranarray(X)).tobytes() == net.forward(X.tolist()).tobytes()
    for given in (D.tolist(), np.asfortranarray(D), np.repeat(D, 2, axis=1)[:, ::2]):
        assert net.backward(given).tobytes() == dX.tobytes()
        assert all((net.gradients[name] == plain[name]).all() for name in plain)


def test_an_evicted_engine_is_made_again(net, monkeypatch):
    monkeypatch.setattr(engine_cache, "_KEPT_ENGINES", 2)
    first = net.forward(X[:1])
    for rows in (2, 3, 4):
        net.forward(X[:rows])
    assert set(net._state.parts) == {rows for _, rows, _ in net._state.engines} == {3, 4}
    assert net.forward(X[:1]).tobytes() == first.tobytes()


@bad_input("no memory")
def test_no_memory_leaves_the_network_usable(net, monkeypatch):
    net.forward(X)
    net.backward(D)
    before = digest(net)

    def none_left(*args, **options):
        raise MemoryError("none left")

    for call in (
        lambda: net.forward(X[:3]),
        lambda: net.train_on_batch(X[:3], D[:3]),
        lambda: net.fit(X, D, batch_size=2, verbose=False),
        lambda: net.copy(),
        lambda: net.predictor(batch_size=3),
    ):
        with monkeypatch.context() as patch:
            for module in ("engine_cache", "state", "predict"):
                patch.setattr(f"fastbp.runtime.{module}.allocate", none_left)
            with pytest.raises(MemoryError, match="none left"):
                call()
        assert digest(net) == before and not net._state.guard.writers
    with pytest.raises(RuntimeError, match="backward needs a forward"):
        net.backward(D[:3])  # whose forward failed
    net.step()  # the gradient is still there
    assert digest(net) != before
    net.forward(X[:3])
    net.backward(D[:3])
    net.step()
