"""Five backpropagation exercises worked on paper, and the same numbers from the engine.

>>> import fastbp as fb
>>> fb.examples.names()
['linear_sigmoid', 'skip_connection', 'two_outputs', 'logistic', 'adam_l2']
>>> rows = fb.examples.load("two_outputs").run()
>>> rows[0].quantity, rows[0].hand, round(rows[0].fastbp, 6)
('z1', 0.3825, 0.3825)
"""

from __future__ import annotations

import json
from importlib import resources

import numpy as np

from .definition import DEFINITION
from .example import Example
from .table import Row

__all__ = ["Example", "Row", "load", "names"]


def names() -> list[str]:
    """The examples by name, from the plain chain rule to Adam with L2."""
    return list(DEFINITION)


def load(name: str, *, backend: str | None = None) -> Example:
    """One worked example with a fresh float64 network at its stated start.

    `backend` chooses as it does for `Network`: None for the best there is, "cython" or "numpy".
    Raises ValueError for a name that is not one of `names()`.

    >>> import fastbp as fb
    >>> fb.examples.load("logistic").batches
    [[0, 1], [2, 3], [0, 3], [1, 2]]
    """
    if name not in DEFINITION:
        raise ValueError(f"name: unknown example {name!r}; expected one of {', '.join(DEFINITION)}")
    text = resources.files(__name__).joinpath("worked_examples.json").read_text(encoding="utf-8")
    page, definition = json.loads(text)[name], DEFINITION[name]
    X = np.array(page["inputs"], dtype=np.float64)
    everything = [list(range(1, len(X) + 1))] * page["steps"]
    return Example(
        name=name,
        title=page["title"],
        teaches=page["teaches"],
        network=definition.network(page, backend=backend),
        X=X,
        y=np.array(page["targets"], dtype=np.float64),
        batches=[[sample - 1 for sample in batch] for batch in page.get("batches", everything)],
        hand=page["hand"],
        page=page,
        definition=definition,
    )
