"""Bad input is refused: the exception, its text, and a network that has lost nothing."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from support.network_state import digest

import fastbp as fb

NAN, INF = float("nan"), float("inf")
Y = np.array([0, 1, 2, 0, 1, 2])
P = np.eye(3)[Y]


# Of a test: the rows of the table in docs/bad_input.md that it holds the program to.
bad_input = pytest.mark.bad_input


class Bad(NamedTuple):
    """What must be refused, a call or what it is given; `row` is that of docs/bad_input.md."""

    row: str
    call: Any
    error: type[BaseException]
    text: str


def refuses(error: type[BaseException], text: str) -> Any:
    """A context that ends with this error; the whole message must be `text`."""
    return pytest.raises(error, match=re.escape(text) + r"\Z")


def with_value(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    changed = np.array(array, dtype=np.float64)
    changed[index] = value
    return changed


def data() -> tuple[np.ndarray, np.ndarray]:
    """Six rows of four features, and their labels."""
    return np.random.default_rng(0).standard_normal((6, 4)), Y.copy()


def classifier(dtype: str, backend: str) -> fb.Network:
    """It has trained a little, so that the optimizer has a state to lose."""
    net = fb.Network([4, 6, 3], loss="cross_entropy", dtype=dtype, seed=1, backend=backend)
    net.fit(*data(), epochs=2, batch_size=4)
    return net


def refused(
    network: fb.Network, call: Callable[[], Any], error: type[BaseException], text: str
) -> None:
    """The call raises this and leaves the network as it was."""
    before, history = digest(network), network.history
    with pytest.raises(error, match=text) as caught:
        call()
    assert type(caught.value) is error
    assert digest(network) == before
    assert network.history is history
    network.predict(data()[0])  # not left busy
