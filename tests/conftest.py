"""Fixtures of every test: backends, reproducible randomness, a header that says what runs."""

from __future__ import annotations

import os

import hypothesis
import numpy as np
import pytest

import fastbp as fb
from fastbp.backend import compiled_modules
from fastbp.plan import threshold

SEED = int(os.environ.get("FASTBP_TEST_SEED", "20240917"))

hypothesis.settings.register_profile(
    "fastbp",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    # fixtures here are names; nothing carries over from one example to the next
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("fastbp")


def pytest_report_header() -> list[str]:
    """What is under test, read from the modules in use."""
    config = fb.show_config("dict")
    assert config is not None
    builds = ", ".join("-".join(key) for key in compiled_modules()) or "none"
    return [
        f"fastbp: {os.path.dirname(fb.__file__)}",
        f"backend: {config['backend']}, instruction set {config['instruction set']}, "
        f"NumPy {config['numpy']}, {config['threads']} threads",
        f"builds: {builds}; {config.get('compiler', 'no compiler')}",
        f"seed: {SEED} (FASTBP_TEST_SEED)",
    ]


@pytest.fixture(params=["cython", "numpy"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend, after a look at whether a network that asks for it gets it."""
    name: str = request.param
    if name == "cython" and not compiled_modules():
        pytest.skip("no compiled kernels here")
    network = fb.Network([1, 1], backend=name, seed=0)
    assert network.backend == name
    assert (network.instruction_set == "numpy") == (name == "numpy")
    return name


@pytest.fixture
def eager_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions have as many threads as they are allowed, however short they are."""
    for rule in (threshold.PREDICT_THREAD_WORK, threshold.PREDICT_SHARE_WORK):
        monkeypatch.setattr(rule, "value", 0)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """The name of a real type."""
    name: str = request.param
    return name


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same for every test and run."""
    return np.random.default_rng(SEED)


@pytest.fixture
def network(backend: str) -> fb.Network:
    """A small classifier that has not trained."""
    return fb.Network(
        [5, 8, 3],
        activation="tanh",
        loss="cross_entropy",
        metrics=["accuracy"],
        seed=4,
        backend=backend,
    )
