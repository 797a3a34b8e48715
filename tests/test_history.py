"""What a history holds and shows."""

from __future__ import annotations

import numpy as np

from fastbp.history import History


def test_history():
    past = History()
    assert repr(past) == "History(epochs=0)" and len(past) == 0
    past.append(0, {"loss": np.float32(0.5)})
    past.append(1, {"loss": 0.25, "accuracy": 1})
    assert past.epoch == [0, 1] and past.history == {"loss": [0.5, 0.25], "accuracy": [1.0]}
    assert repr(past) == "History(epochs=2, loss=0.25, accuracy=1)"
    assert type(past.history["loss"][0]) is float


def test_extend():
    past = History()
    past.extend(0, [])
    assert past.epoch == [] and past.history == {}
    past.extend(0, np.array([0.5, 0.25], np.float32))
    past.append(2, {"loss": 1, "accuracy": 1})
    past.extend(3, [0.125])
    assert past.epoch == [0, 1, 2, 3]
    assert past.history == {"loss": [0.5, 0.25, 1.0, 0.125], "accuracy": [1.0]}
    assert type(past.history["loss"][0]) is float
