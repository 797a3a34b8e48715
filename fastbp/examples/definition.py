"""The five networks, and how each number on the page follows from the engine's own trace.

Every definition says where the page's names stand in the network (`layers`) and holds one
mapping from a trace to the page's quantities. The mappings only pick, multiply and divide what
the engine reports: no forward or backward pass is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..layer import Branch, Dense, Input
from ..network import Network
from ..optimizer import SGD, Adam

Trace = Mapping[str, Any]
Parameters = Mapping[str, float]
Quantity = Callable[[Trace, Parameters, NDArray[np.float64]], dict[str, float]]


def _branch_and_skip(layers: Sequence[Dense]) -> list[Any]:
    tanh, relu, skip = layers
    return [Branch([[tanh, relu], [skip]], merge="add")]


@dataclass(frozen=True)
class Definition:
    """One worked example's network and its dictionary of quantities."""

    # of each dense layer its activation, the page's names in its kernel's shape and in its bias'
    layers: Sequence[tuple[str, list[list[str]], list[str]]]
    loss: str
    quantity: Quantity  # trace, parameters by name, X (n, n_features) -> quantities by name
    arrange: Callable[[Sequence[Dense]], list[Any]] = list
    l2: float = 0.0
    symbol: str = "L"  # what the page calls its loss

    def network(self, page: Mapping[str, Any], *, backend: str | None) -> Network:
        """The float64 network at the page's stated start."""
        start = stated_parameters(page["parameters"])
        layers = [
            Dense(
                len(bias),
                activation,
                weights=[[start[w] for w in row] for row in kernel],
                bias=[start[b] for b in bias],
                l2=self.l2,
                regularize_bias=self.l2 > 0.0,
            )
            for activation, kernel, bias in self.layers
        ]
        return Network(
            [Input(len(page["inputs"][0])), *self.arrange(layers)],
            loss=self.loss,
            optimizer=stated_optimizer(page["optimizer"]),
            dtype="float64",
            seed=0,
            backend=backend,
        )

    def named(self, arrays: Mapping[str, Any], *, prefix: str = "") -> dict[str, float]:
        """The page's name -> value, from arrays by parameter name ("dense_1/kernel", ...)."""
        return {
            name: float(arrays[f"{prefix}dense_{number}/{part}"][index])
            for number, (_, kernel, bias) in enumerate(self.layers, 1)
            for part, names in (("kernel", kernel), ("bias", bias))
            for index, name in np.ndenumerate(np.array(names))
        }


def stated_parameters(parameters: Mapping[str, Any]) -> dict[str, float]:
    """The page's parameters one by one: {"W1": [[1.3]]} becomes {"w1[0,0]": 1.3}."""
    stated = {}
    for name, value in parameters.items():
        for index, number in np.ndenumerate(np.array(value, dtype=np.float64)):
            place = f"[{','.join(map(str, index))}]" if index else ""
            stated[name.lower() + place] = float(number)
    return stated


def stated_optimizer(stated: Mapping[str, Any]) -> SGD | Adam:
    """The page's optimizer."""
    rate = stated["learning_rate"]
    if stated["name"] == "SGD":
        return SGD(rate)
    beta1, beta2 = stated["beta_1"], stated["beta_2"]
    return Adam(rate, beta1=beta1, beta2=beta2, epsilon=stated["epsilon"])


def _linear_sigmoid(trace: Trace, p: Parameters, X: NDArray[np.float64]) -> dict[str, float]:
    h, z, y = trace["dense_1/a"][0], trace["dense_2/z"][0, 0], trace["dense_2/a"][0, 0]
    dy, dz = trace["dense_2/da"][0, 0], trace["dense_2/dz"][0, 0]
    return {
        "h1": h[0], "h2": h[1], "z": z, "y'": y, "loss": trace["loss"],
        "dL/dy'": dy, "dy'/dz": dz / dy, "dL/dz": dz,
    }  # fmt: skip


def _skip_connection(trace: Trace, p: Parameters, X: NDArray[np.float64]) -> dict[str, float]:
    t = trace["dense_1/a"][0]
    da, dz = trace["dense_2/da"][0, 0], trace["dense_2/dz"][0, 0]
    return {
        **{f"tanh[{unit}]": value for unit, value in enumerate(t)},
        "t.t": (t * t).sum(),
        "relu argument": trace["dense_2/z"][0, 0],
        "relu'": dz / da if da else math.nan,
        "out": trace["output"][0, 0],
    }


def _two_outputs(trace: Trace, p: Parameters, X: NDArray[np.float64]) -> dict[str, float]:
    (z1, z2), (a1, a2) = trace["dense_1/z"][0], trace["dense_1/a"][0]
    (z3, z4), (a3, a4) = trace["dense_2/z"][0], trace["dense_2/a"][0]
    (da3, da4), (dz3, dz4) = trace["dense_2/da"][0], trace["dense_2/dz"][0]
    da1, dz1, x1 = trace["dense_1/da"][0, 0], trace["dense_1/dz"][0, 0], X[0, 0]
    return {
        "z1": z1, "a1": a1, "z2": z2, "a2": a2, "z3": z3, "a3": a3, "z4": z4, "a4": a4,
        # the derivative of 1/2 e^2 is e, so each output's share of the loss is 1/2 (dJ/da)^2
        "J1": 0.5 * da3 * da3, "J2": 0.5 * da4 * da4, "J": trace["loss"],
        "dJ/da3": da3, "da3/dz3": dz3 / da3, "dz3/dw5": a1, "dz3/da1": p["w5"],
        "dJ/da4": da4, "da4/dz4": dz4 / da4, "dz4/da1": p["w7"],
        "da1/dz1": dz1 / da1, "dz1/dw1": x1, "da1/dw1": dz1 / da1 * x1, "dJ/da1": da1,
        "dJ/dw1, path through a3": dz3 * p["w5"],
        "dJ/dw1, path through a4": dz4 * p["w7"],
    }  # fmt: skip


def _logistic(trace: Trace, p: Parameters, X: NDArray[np.float64]) -> dict[str, float]:
    # The page's f1..f4 number all four samples: read them from a trace of the whole data.
    f = {f"f{sample}": value for sample, value in enumerate(trace["dense_1/a"][:, 0], 1)}
    z1 = trace["dense_1/z"][0, 0]
    # 1 - f rounds to 0 where f is 1 to sixteen digits; sigmoid(-z) keeps every digit.
    return {**f, "1 - f1": 1.0 / (1.0 + math.exp(z1))}


def _adam_l2(trace: Trace, p: Parameters, X: NDArray[np.float64]) -> dict[str, float]:
    h, z2 = trace["dense_1/a"], trace["dense_1/z"][:, 1]
    dz1, dz = trace["dense_1/dz"][:, 0], trace["dense_2/dz"][:, 0]
    quantity = {"loss": trace["loss"]}
    for row in range(len(X)):  # "(1)", "(2)" name samples: a row's own part of a sum over rows
        part = {
            "h1": h[row, 0], "h2": h[row, 1], "y'": trace["output"][row, 0],
            "dL/dw5": dz[row] * h[row, 0],
            "dL/dw1": dz1[row] * X[row, 0], "dL/dw2": dz1[row] * X[row, 1],
        }  # fmt: skip
        quantity |= {f"{name} ({row + 1})": value for name, value in part.items()}
        quantity[f"h2 ({row + 1}) before relu"] = z2[row]
    return quantity


_FIRST, _LAST = ([["w1", "w3"], ["w2", "w4"]], ["b1", "b2"]), ([["w5"], ["w6"]], ["b"])

_THREE_BIASES = ["b1[0]", "b1[1]", "b1[2]"]

DEFINITION = {
    "linear_sigmoid": Definition(
        [("linear", *_FIRST), ("sigmoid", *_LAST)], loss="mse", quantity=_linear_sigmoid
    ),
    "skip_connection": Definition(
        [
            ("tanh", [[f"w1[{i},{j}]" for j in range(3)] for i in range(2)], _THREE_BIASES),
            ("relu", [["w2[0]"], ["w2[1]"], ["w2[2]"]], ["b2"]),
            ("linear", [["w3[0]"], ["w3[1]"]], ["b3"]),
        ],
        loss="half_sse",
        quantity=_skip_connection,
        arrange=_branch_and_skip,
    ),
    "two_outputs": Definition(
        [("sigmoid", *_FIRST), ("sigmoid", [["w5", "w7"], ["w6", "w8"]], ["b3", "b4"])],
        loss="half_sse",
        quantity=_two_outputs,
        symbol="J",
    ),
    "logistic": Definition(
        [("sigmoid", [["w0"], ["w1"]], ["w2"])], loss="binary_cross_entropy", quantity=_logistic
    ),
    "adam_l2": Definition(
        [("relu", *_FIRST), ("relu", *_LAST)], loss="mse", quantity=_adam_l2, l2=0.1
    ),
}
