"""The hand's arithmetic replayed, slips and all, from the numbers the hand itself printed.

Each function takes `hand`, the printed numbers of one page by (step, quantity), and returns what
the page's arithmetic makes of them, by the same keys: every slip, every number after a slip, and
those agreeing numbers that carry rounded ones. Plain floats; nothing comes from fastbp. A slip for
which no reason was found is replayed without it: the printed number must then differ.
"""

import math
from collections.abc import Mapping

Hand = Mapping[tuple[int | str, str], float]
Replay = dict[tuple[int | str, str], float]


def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z))."""
    return 1.0 / (1.0 + math.exp(-z))


def linear_sigmoid(hand: Hand) -> Replay:
    """A decimal place lost in b1, and h1 and h2 changing places in one line."""
    one = {quantity: value for (step, quantity), value in hand.items() if step == 1}
    two = {quantity: value for (step, quantity), value in hand.items() if step == 2}
    end = {quantity: value for (step, quantity), value in hand.items() if step == "predict"}
    return {
        (1, "dL/dy'"): -2.0 * (1.0 - one["y'"]),
        (1, "dL/dz"): one["dL/dy'"] * one["dy'/dz"],
        (1, "loss"): (1.0 - one["y'"]) ** 2,
        (1, "dL/dw3"): one["dL/dz"] * 0.3 * 3.0,
        (1, "dL/db"): one["dL/dz"],
        (1, "dL/db1"): one["dL/dz"] * 0.1,
        (1, "w3 after"): 0.2 - 0.1 * one["dL/dw3"],
        (1, "b1 after"): 0.7 - 0.1 * one["dL/db1"] / 10.0,  # the lost decimal place
        (1, "b after"): 0.4 - 0.1 * one["dL/db"],
        (2, "h1"): 3.0 * one["w1 after"] + 5.0 * one["w2 after"] + one["b1 after"],
        (2, "h2"): 3.0 * one["w3 after"] + 5.0 * one["w4 after"] + one["b2 after"],
        (2, "dL/dw5"): two["dL/dz"] * two["h2"],  # h1 and h2 changed places
        (2, "dL/dw6"): two["dL/dz"] * two["h1"],
        (2, "dL/dw3"): two["dL/dz"] * one["w6 after"] * 3.0,
        (2, "dL/dw4"): two["dL/dz"] * one["w6 after"] * 5.0,
        (2, "dL/db2"): two["dL/dz"] * one["w6 after"],
        (2, "w4 after"): one["w4 after"] - 0.1 * two["dL/dw4"],
        (2, "w5 after"): one["w5 after"] - 0.1 * two["dL/dz"] * two["h1"],  # the right one
        (2, "w6 after"): one["w6 after"] - 0.1 * two["dL/dw5"],  # written down as dL/dw5
        (2, "b2 after"): one["b2 after"] - 0.1 * two["dL/db2"],
        (2, "b after"): one["b after"] - 0.1 * two["dL/db"],
        (2, "b1 after"): one["b1 after"] - 0.1 * two["dL/db1"],
        ("predict", "z"): two["w5 after"] * end["h1"] + two["w6 after"] * end["h2"]
        + two["b after"],
    }  # fmt: skip


def skip_connection(hand: Hand) -> Replay:
    """The scalar 1 - t.t in place of the diagonal matrix diag(1 - t*t)."""
    x, w2 = (2.0, 3.0), (1.35, -0.5, 0.03)
    w1, b1 = ((1.3, -0.03, 0.0), (0.2, -1.3, 0.03)), (0.0, 0.1, 1.3)
    e = hand[1, "out"] - 6.0
    replay: Replay = {(1, "w2[0] after"): 1.35 - 0.1 * e * hand[1, "tanh[0]"]}
    for j in range(3):
        dz = e * w2[j] * (1.0 - hand[1, "t.t"])  # the slip
        replay[1, f"b1[{j}] after"] = b1[j] - 0.1 * dz
        for i in range(2):
            replay[1, f"w1[{i},{j}] after"] = w1[i][j] - 0.1 * dz * x[i]
        z = sum(x[i] * hand[1, f"w1[{i},{j}] after"] for i in range(2)) + hand[1, f"b1[{j}] after"]
        replay[2, f"tanh[{j}]"] = math.tanh(z)
    argument = sum(hand[2, f"tanh[{j}]"] * hand[1, f"w2[{j}] after"] for j in range(3))
    replay[2, "relu'"] = float(argument + hand[1, "b2 after"] > 0.0)
    for step, after in ((2, 1), ("predict", 2)):  # the ReLU is off: the skip path alone
        skip = sum(x[i] * hand[after, f"w3[{i}] after"] for i in range(2))
        replay[step, "out"] = skip + hand[after, "b3 after"]
    e = hand[2, "out"] - 6.0
    replay[2, "b3 after"] = hand[1, "b3 after"] - 0.1 * e
    for i in range(2):
        replay[2, f"w3[{i}] after"] = hand[1, f"w3[{i}] after"] - 0.1 * e * x[i]
    return replay


def two_outputs(hand: Hand) -> Replay:
    """A learning rate of 0.05 in place of 0.5 for one weight; two sigmoids stay unexplained."""
    return {
        (1, "a1"): sigmoid(hand[1, "z1"]),
        (1, "a2"): sigmoid(hand[1, "z2"]),
        (1, "J2"): 0.5 * hand[1, "dJ/da4"] ** 2,
        (1, "dz3/dw5"): hand[1, "a1"],
        (1, "dJ/dw5"): hand[1, "dJ/da3"] * hand[1, "da3/dz3"] * hand[1, "dz3/dw5"],
        (1, "w1 after"): 0.15 - 0.05 * hand[1, "dJ/dw1"],
    }


def logistic(hand: Hand) -> Replay:
    """No slip: starting weights of 1e-5 taken as 0, then three-digit weights carried on."""
    inputs = ((121.0, 16.8), (114.0, 15.2), (210.0, 9.4), (195.0, 8.1))
    replay: Replay = {
        (1, "dL/dw0"): hand[0, "f1"] * (121.0 + 114.0) / 2.0,
        (1, "w0 after"): 0.0 - 0.01 * hand[1, "dL/dw0"],
    }
    for sample, (x1, x2) in enumerate(inputs, 1):
        z = hand[1, "w0 after"] * x1 + hand[1, "w1 after"] * x2 + hand[1, "w2 after"]
        replay[1, f"f{sample} after"] = sigmoid(z)
    for step in (2, 3, 4):
        for w in ("w0", "w1", "w2"):
            before = hand[step - 1, f"{w} after"]
            replay[step, f"{w} after"] = before - 0.01 * hand[step, f"dL/d{w}"]
    z = hand[3, "w0 after"] * 121.0 + hand[3, "w1 after"] * 16.8 + hand[3, "w2 after"]
    replay[3, "1 - f1 after"] = sigmoid(-z)
    return replay


def cut(value: float, decimals: int) -> float:
    """`value` with its digits after the given decimal place dropped."""
    return math.trunc(value * 10**decimals) / 10**decimals


ADAM_START = {
    "w1": 1.0, "w2": -1.0, "w3": -0.5, "w4": 0.5, "w5": 2.0, "w6": -2.5,
    "b1": 0.5, "b2": 0.5, "b": 0.5,
}  # fmt: skip
ADAM_INPUT = ((3.0, 2.0), (15.0, 12.0))


def _summed_errors(hand: Hand, step: int, w: Mapping[str, float]) -> Replay:
    """The gradients from the sum of both samples' errors, multiplied with each sample's inputs."""
    error = hand[step, "y' (1)"] - 8.0 + hand[step, "y' (2)"] - 20.0
    replay: Replay = {(step, "dL/db"): 2.0 * error, (step, "dL/db1"): 2.0 * error * w["w5"]}
    for sample, (i1, i2) in enumerate(ADAM_INPUT, 1):
        replay[step, f"dL/dw5 ({sample})"] = error * hand[step, f"h1 ({sample})"]
        replay[step, f"dL/dw1 ({sample})"] = error * w["w5"] * i1
        replay[step, f"dL/dw2 ({sample})"] = error * w["w5"] * i2
    for name in ("dL/dw5", "dL/dw1", "dL/dw2"):
        replay[step, name] = hand[step, f"{name} (1)"] + hand[step, f"{name} (2)"]
    fires = float(hand[step, "h2 (1)"] > 0.0)  # the unit is off for sample 2 in both steps
    replay[step, "dL/dw6"] = error * hand[step, "h2 (1)"]
    replay[step, "dL/dw3"] = error * w["w6"] * fires * 3.0
    replay[step, "dL/dw4"] = error * w["w6"] * fires * 2.0
    replay[step, "dL/db2"] = error * w["w6"] * fires
    return replay


def _adam_step_1(hand: Hand) -> Replay:
    replay = _summed_errors(hand, 1, ADAM_START)
    for name, w in ADAM_START.items():
        g = hand[1, f"dL/d{name}"] + 0.1 * w
        replay[1, f"m of {name}"], replay[1, f"m_hat of {name}"] = 0.1 * g, g
        replay[1, f"v of {name}"], replay[1, f"v_hat of {name}"] = 0.001 * g * g, g * g
        # 0.0999...: the hand cuts every change of a parameter to three decimals
        replay[1, f"{name} after"] = w - cut(0.1 * g / (abs(g) + 1e-7), 3)
    return replay


def _adam_forward(
    hand: Hand, step: int | str, w: Mapping[str, float], *, b2: float, b: float
) -> Replay:
    """One forward pass over both samples with the given output and second hidden bias."""
    replay: Replay = {}
    for sample, (i1, i2) in enumerate(ADAM_INPUT, 1):
        z2 = w["w3"] * i1 + w["w4"] * i2 + b2
        replay[step, f"h1 ({sample})"] = max(w["w1"] * i1 + w["w2"] * i2 + w["b1"], 0.0)
        replay[step, f"h2 ({sample}) before relu"] = z2
        replay[step, f"h2 ({sample})"] = max(z2, 0.0)
        h1, h2 = hand[step, f"h1 ({sample})"], hand.get((step, f"h2 ({sample})"), 0.0)
        replay[step, f"y' ({sample})"] = w["w5"] * h1 + w["w6"] * h2 + b
    error = (hand[step, "y' (1)"] - 8.0, hand[step, "y' (2)"] - 20.0)
    replay[step, "loss"] = (error[0] ** 2 + error[1] ** 2) / 2.0
    return replay


def _adam_moments(hand: Hand, w: Mapping[str, float]) -> Replay:
    """Step 2's moments, from step 1's; 1 - 0.999^2 = 0.001999 is taken as 0.002."""
    replay: Replay = {}
    for name in w:
        g1 = hand[1, f"dL/d{name}"] + 0.1 * ADAM_START[name]
        g2 = hand[2, f"dL/d{name}"] + 0.1 * w[name]
        m1, v1, square = 0.1 * g1, 0.001 * g1 * g1, g2 * g2
        if name in ("w3", "w4"):  # carried on from m_hat and v_hat, and w4 with w3's sign
            m1, v1 = hand[1, "m_hat of w3"], hand[1, f"v_hat of {name}"]
        if name in ("w1", "w2"):  # carried on as 374.42 and 226.67
            v1 = cut(v1, 2)
        if name == "w2":  # the penalty was left out of the square
            square = hand[2, "dL/dw2"] ** 2
        if name == "b":  # "its m = 5.42 is not explained"
            replay[2, "m of b"] = 5.42
        else:
            replay[2, f"m of {name}"] = 0.9 * m1 + 0.1 * g2
        replay[2, f"v of {name}"] = 0.999 * v1 + 0.001 * square
        m = hand.get((2, f"m of {name}"), replay[2, f"m of {name}"])
        v = hand.get((2, f"v of {name}"), replay[2, f"v of {name}"])
        if name == "w1":  # the line after 520.068 reads it as 520.078
            v += 0.01
        replay[2, f"m_hat of {name}"], replay[2, f"v_hat of {name}"] = m / 0.19, v / 0.002
    return replay


def _adam_update(hand: Hand, w: Mapping[str, float], moment: Replay) -> Replay:
    """Step 2's update from the moments as printed, or as replayed where none was printed."""
    known, replay = {**moment, **hand}, {}
    for name in w:
        m = known[2, f"m_hat of {name}"]
        if name in ("w3", "b"):  # m in place of m_hat; b's is added with its sign lost
            m = known[2, f"m of {name}"] if name == "w3" else -known[2, "m of b"]
        root = math.sqrt(known[2, f"v_hat of {name}"])
        replay[2, f"{name} after"] = w[name] - cut(0.1 * m / (root + 1e-7), 3)
    return replay


def adam_l2(hand: Hand) -> Replay:
    """Summed errors, swapped biases, moments carried on from m_hat, m in place of m_hat."""
    one = {name: hand[1, f"{name} after"] for name in ADAM_START}
    two = {name: hand[2, f"{name} after"] for name in ADAM_START}
    moment = _adam_moments(hand, one)
    return {
        **_adam_step_1(hand),
        **_adam_forward(hand, 2, one, b2=one["b"], b=one["b2"]),  # the biases changed places
        **_summed_errors(hand, 2, one),
        **moment,
        **_adam_update(hand, one, moment),
        **_adam_forward(hand, "predict", two, b2=two["b2"], b=two["b"]),
    }


REPLAY = {
    "linear_sigmoid": linear_sigmoid,
    "skip_connection": skip_connection,
    "two_outputs": two_outputs,
    "logistic": logistic,
    "adam_l2": adam_l2,
}
