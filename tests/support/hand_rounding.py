"""How far rounding alone may carry a number of the page away from the exact one.

A printed number is rounded to its last digit (half a unit) unless it is listed under `CUT`: there
the hand dropped the digits that follow (up to a whole unit). Where the hand went on with rounded
numbers, its result is further away; `CARRIED` says how far, row by row, in units of the last
printed digit, and from what. Each entry is the distance between the exact number and the replay
of the row from the hand's rounded ones (`hand_replay`), taken up to the next tenth.
"""

from decimal import Decimal
from typing import NamedTuple

Key = tuple[int | str, str]


class Carried(NamedTuple):
    """Rounding inherited from the numbers a row is computed from."""

    units: float
    reason: str


def unit(printed: float) -> float:
    """One unit of the last digit of `printed`; a plain 0 stands for 0.000."""
    if printed == 0.0:
        return 0.001
    exponent = Decimal(repr(printed)).as_tuple().exponent
    return float(Decimal(1).scaleb(int(exponent)))


CUT: dict[str, set[Key]] = {
    "linear_sigmoid": {
        (1, "dL/dz"), (1, "dL/db1"), (2, "dL/dw6"), (2, "dL/dw3"), (2, "dL/db2"), (2, "w5 after"),
    },
    "skip_connection": set(),
    "two_outputs": {(1, "J2"), (1, "dJ/dw5")},
    "logistic": {(1, "w0 after"), (1, "f2 after"), (3, "1 - f1 after")},
    "adam_l2": {
        (2, "h1 (2)"),  # 16.485 - 10.812 + 0.599 = 6.272, printed 6.271
        (2, "y' (2)"), (2, "loss"), (2, "dL/dw5 (1)"), (2, "dL/dw5 (2)"), (2, "dL/dw1 (1)"),
        (2, "dL/dw1 (2)"), (2, "dL/dw2 (2)"), (2, "dL/dw3"), (2, "dL/dw4"), (2, "m of w1"),
        (2, "m of w2"), (2, "m_hat of w2"), (2, "m of w5"), (2, "m_hat of w5"), (2, "m of w6"),
        (2, "m_hat of w6"), (2, "m_hat of w3"), (2, "v of w3"), (2, "v of w4"),
    },
}  # fmt: skip

_SIGMOID = "y' = 0.8348 was rounded to 0.83"
_SLOPE = "dL/dy' = -0.3304 stands as -0.34 and dy'/dz = 0.1379 as 0.14"
_ERROR = "dL/dz = -0.0456 stands as -0.047"
_THREE = "parameters of three or four digits from step 1"
_HALF = "f = 0.50025 stands as 0.5: the starting weights of 1e-5 are taken as 0"
_EXPONENT = "w0 = -0.587791 stands as -0.587: times x1, that many percent of exp(z)"
_WEIGHT = "w0 = -0.587791 stands as -0.587 since step 1"
_CHANGE = "a change of 0.0999... was cut to 0.099"

CARRIED: dict[str, dict[Key, Carried]] = {
    "linear_sigmoid": {
        (1, "dL/dy'"): Carried(1.0, _SIGMOID),
        (1, "loss"): Carried(16.1, _SIGMOID),
        (1, "dL/dz"): Carried(2.1, _SLOPE),
        (1, "dL/dw3"): Carried(1.3, _ERROR),
        (1, "dL/db"): Carried(1.5, _ERROR),
        (1, "w3 after"): Carried(1.0, _ERROR),
        (1, "b after"): Carried(1.5, _ERROR),
        (2, "h1"): Carried(2.1, "b1 = 0.70046 stands as 0.70004, rounded parts beside it"),
        (2, "h2"): Carried(1.2, _THREE),
        (2, "dL/dw4"): Carried(0.4, "dL/dz = -0.0382 stands as -0.038"),
        (2, "w4 after"): Carried(0.9, "dL/dw4 = -0.0598 stands as -0.059 (w6 = 0.313)"),
        (2, "w6 after"): Carried(2.8, "w6 = 0.31321 stands as 0.313, dL/dw6 = -0.1126 as -0.112"),
        (2, "b2 after"): Carried(0.7, "dL/db2 = -0.01196 was cut to -0.011"),
        (2, "b after"): Carried(1.3, "b = 0.40456 stands as 0.4047 since step 1"),
        ("predict", "z"): Carried(9.4, "w6 = 0.32447 stands as 0.3242, times h2 = 2.99"),
    },
    "skip_connection": {
        (1, "w2[0] after"): Carried(0.3, "e = -1.5284 stands as -1.53"),
    },
    "two_outputs": {
        (1, "dJ/dw5"): Carried(1.6, "a1 = 0.5945 stands as 0.593 (its slip), dJ/da3 as 0.741"),
    },
    "logistic": {
        (1, "dL/dw0"): Carried(3.1, _HALF),
        (1, "f1 after"): Carried(34.1, _EXPONENT),
        (1, "f2 after"): Carried(22.3, _EXPONENT),
        (1, "f3 after"): Carried(21.0, _EXPONENT),
        (1, "f4 after"): Carried(14.5, _EXPONENT),
        (2, "w0 after"): Carried(0.8, _WEIGHT),
        (2, "w1 after"): Carried(0.6, "w1 = -0.080051 stands as -0.08 since step 1"),
        (3, "w0 after"): Carried(0.8, _WEIGHT),
        (3, "w2 after"): Carried(0.1, "w2 = -0.0049926 stands as -0.005 since step 1"),
        (3, "1 - f1 after"): Carried(56.6, "w0 = 0.832209 stands as 0.833, times x1 = 121"),
        (4, "w0 after"): Carried(0.8, _WEIGHT),
    },
    "adam_l2": {
        **{
            (1, f"{name} after"): Carried(1.0, _CHANGE)
            for name in ("w1", "w2", "w3", "w4", "w5", "w6", "b", "b1", "b2")
        },
        (2, "h1 (1)"): Carried(6.0, "w1 = 1.1, w2 = -0.9, b1 = 0.6 stand as 1.099, -0.901, 0.599"),
        (2, "h1 (2)"): Carried(28.0, "the same, times 15 and 12: 15 + 12 + 1 units"),
    },
}
