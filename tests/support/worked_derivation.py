"""The five worked examples derived once more: scalars, loops and the chain rule written out.

No array, no fastbp: each function takes one page of `worked_examples.json` and returns the
parameters after every step, by the names the page uses ("w1", "w1[0,0]", ...). Everything is
float64, because Python's float is.
"""

import math
from fractions import Fraction

Page = dict[str, object]
Parameters = dict[str, float]


def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)), written so that neither sign of z overflows."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    return math.exp(z) / (1.0 + math.exp(z))


def affine(*term: float) -> float:
    """w1 x1 + w2 x2 + ... + b from w1, x1, w2, x2, ..., b; rounded once, at the end.

    `adam_l2` reaches a pre-activation that is zero by cancellation: with rounded partial sums its
    sign, and with it the ReLU, would depend on the order of the terms.
    """
    total = Fraction(term[-1])
    for weight, value in zip(term[:-1:2], term[1:-1:2], strict=True):
        total += Fraction(weight) * Fraction(value)
    return float(total)


def descend(p: Parameters, gradient: Parameters, learning_rate: float) -> Parameters:
    """w - learning_rate g for every parameter."""
    return {name: w - learning_rate * gradient[name] for name, w in p.items()}


def linear_sigmoid(page: Page) -> list[Parameters]:
    """Linear hidden layer, sigmoid output, (y - y')^2."""
    (i1, i2), ((y,),) = page["inputs"][0], page["targets"]
    p, steps = {k: float(v) for k, v in page["parameters"].items()}, []
    for _ in range(page["steps"]):
        h1 = affine(p["w1"], i1, p["w2"], i2, p["b1"])
        h2 = affine(p["w3"], i1, p["w4"], i2, p["b2"])
        out = sigmoid(affine(p["w5"], h1, p["w6"], h2, p["b"]))
        dz = 2.0 * (out - y) * out * (1.0 - out)
        dh1, dh2 = dz * p["w5"], dz * p["w6"]
        gradient = {
            "w1": dh1 * i1, "w2": dh1 * i2, "w3": dh2 * i1, "w4": dh2 * i2,
            "w5": dz * h1, "w6": dz * h2, "b1": dh1, "b2": dh2, "b": dz,
        }  # fmt: skip
        p = descend(p, gradient, 0.1)
        steps.append(p)
    return steps


def skip_connection(page: Page) -> list[Parameters]:
    """out = b3 + w3.x + relu(tanh(b1 + x W1).w2 + b2), (out - y)^2 / 2."""
    x, ((y,),), given = page["inputs"][0], page["targets"], page["parameters"]
    p = {f"w1[{i},{j}]": float(given["W1"][i][j]) for i in range(2) for j in range(3)}
    p |= {f"{k}[{i}]": float(w) for k in ("b1", "w2", "w3") for i, w in enumerate(given[k])}
    p |= {k: float(given[k]) for k in ("b2", "b3")}
    steps = []
    for _ in range(page["steps"]):
        t = [
            math.tanh(affine(p[f"w1[0,{j}]"], x[0], p[f"w1[1,{j}]"], x[1], p[f"b1[{j}]"]))
            for j in range(3)
        ]
        z = affine(p["w2[0]"], t[0], p["w2[1]"], t[1], p["w2[2]"], t[2], p["b2"])
        e = affine(p["w3[0]"], x[0], p["w3[1]"], x[1], p["b3"]) + max(z, 0.0) - y
        dz = e if z > 0.0 else 0.0
        gradient = {"b2": dz, "b3": e}
        for j in range(3):
            dt = dz * p[f"w2[{j}]"] * (1.0 - t[j] * t[j])
            gradient |= {f"w2[{j}]": dz * t[j], f"b1[{j}]": dt}
            gradient |= {f"w1[{i},{j}]": dt * x[i] for i in range(2)}
        gradient |= {f"w3[{i}]": e * x[i] for i in range(2)}
        p = descend(p, gradient, 0.1)
        steps.append(p)
    return steps


def two_outputs(page: Page) -> list[Parameters]:
    """2-2-2, sigmoid everywhere, half the squared error summed over the outputs."""
    (x1, x2), (y1, y2) = page["inputs"][0], page["targets"][0]
    p, steps = {k: float(v) for k, v in page["parameters"].items()}, []
    for _ in range(page["steps"]):
        a1 = sigmoid(affine(p["w1"], x1, p["w2"], x2, p["b1"]))
        a2 = sigmoid(affine(p["w3"], x1, p["w4"], x2, p["b2"]))
        a3 = sigmoid(affine(p["w5"], a1, p["w6"], a2, p["b3"]))
        a4 = sigmoid(affine(p["w7"], a1, p["w8"], a2, p["b4"]))
        dz3 = (a3 - y1) * a3 * (1.0 - a3)
        dz4 = (a4 - y2) * a4 * (1.0 - a4)
        dz1 = (dz3 * p["w5"] + dz4 * p["w7"]) * a1 * (1.0 - a1)
        dz2 = (dz3 * p["w6"] + dz4 * p["w8"]) * a2 * (1.0 - a2)
        gradient = {
            "w1": dz1 * x1, "w2": dz1 * x2, "w3": dz2 * x1, "w4": dz2 * x2,
            "w5": dz3 * a1, "w6": dz3 * a2, "w7": dz4 * a1, "w8": dz4 * a2,
            "b1": dz1, "b2": dz2, "b3": dz3, "b4": dz4,
        }  # fmt: skip
        p = descend(p, gradient, 0.5)
        steps.append(p)
    return steps


def logistic(page: Page) -> list[Parameters]:
    """Logistic regression: dL/dw = mean over the mini-batch of (f - y) x."""
    p, steps = {k: float(v) for k, v in page["parameters"].items()}, []
    for batch in page["batches"]:
        gradient = {"w0": 0.0, "w1": 0.0, "w2": 0.0}
        for sample in batch:
            (x1, x2), (y,) = page["inputs"][sample - 1], page["targets"][sample - 1]
            error = sigmoid(affine(p["w0"], x1, p["w1"], x2, p["w2"])) - y
            gradient["w0"] += error * x1 / len(batch)
            gradient["w1"] += error * x2 / len(batch)
            gradient["w2"] += error / len(batch)
        p = descend(p, gradient, 0.01)
        steps.append(p)
    return steps


def _adam_l2_gradient(page: Page, p: Parameters) -> Parameters:
    """The gradient of the mean over both samples of (y - y')^2, without the penalty."""
    gradient = dict.fromkeys(p, 0.0)
    for (i1, i2), (y,) in zip(page["inputs"], page["targets"], strict=True):
        z1 = affine(p["w1"], i1, p["w2"], i2, p["b1"])
        z2 = affine(p["w3"], i1, p["w4"], i2, p["b2"])
        h1, h2 = max(z1, 0.0), max(z2, 0.0)
        z = affine(p["w5"], h1, p["w6"], h2, p["b"])
        dz = 2.0 * (max(z, 0.0) - y) / len(page["inputs"]) if z > 0.0 else 0.0
        dz1 = dz * p["w5"] if z1 > 0.0 else 0.0
        dz2 = dz * p["w6"] if z2 > 0.0 else 0.0
        part = {
            "w1": dz1 * i1, "w2": dz1 * i2, "w3": dz2 * i1, "w4": dz2 * i2,
            "w5": dz * h1, "w6": dz * h2, "b1": dz1, "b2": dz2, "b": dz,
        }  # fmt: skip
        gradient = {name: g + part[name] for name, g in gradient.items()}
    return gradient


def adam_l2(page: Page) -> list[Parameters]:
    """2-2-1 ReLU network, lambda w in every gradient, Adam with bias correction."""
    p, steps = {k: float(v) for k, v in page["parameters"].items()}, []
    beta1, beta2, epsilon = 0.9, 0.999, 1e-7
    m, v = dict.fromkeys(p, 0.0), dict.fromkeys(p, 0.0)
    for t in range(1, page["steps"] + 1):
        gradient, after = _adam_l2_gradient(page, p), {}
        for name, w in p.items():
            g = gradient[name] + 0.1 * w
            m[name] = beta1 * m[name] + (1.0 - beta1) * g
            v[name] = beta2 * v[name] + (1.0 - beta2) * g * g
            m_hat, v_hat = m[name] / (1.0 - beta1**t), v[name] / (1.0 - beta2**t)
            after[name] = w - 0.1 * m_hat / (math.sqrt(v_hat) + epsilon)
        p = after
        steps.append(p)
    return steps


DERIVATION = {
    "linear_sigmoid": linear_sigmoid,
    "skip_connection": skip_connection,
    "two_outputs": two_outputs,
    "logistic": logistic,
    "adam_l2": adam_l2,
}
