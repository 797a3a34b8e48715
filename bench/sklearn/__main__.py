"""`python -m bench.sklearn`: scikit-learn's estimators and fastbp's at their default settings.

Twenty seeds on five tables: each seed splits the rows, starts the networks and shuffles; both
libraries fit one after the other, on one thread, and score on the same held-out rows.  Then a grid
of 200 small fits.  Writes bench/sklearn/result.json and the tables of docs/from_scikit_learn.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "FASTBP_NUM_THREADS"):
    os.environ[_name] = "1"  # read when a library is loaded
os.environ["PYTHONWARNINGS"] = "ignore"  # of the grid's processes

import numpy as np  # noqa: E402

import fastbp as fb  # noqa: E402
import fastbp.sklearn  # noqa: E402
import sklearn  # noqa: E402
import sklearn.neural_network  # noqa: E402
from bench.sklearn import report  # noqa: E402
from fastbp.benchmark.machine import describe  # noqa: E402
from sklearn import datasets  # noqa: E402
from sklearn.model_selection import GridSearchCV, train_test_split  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

SEEDS = 20
LIBRARIES = {"scikit-learn": sklearn.neural_network, "fastbp": fastbp.sklearn}
GRID = {  # 40 settings
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "hidden_layer_sizes": [(16,), (32,), (64,), (16, 16)],
    "learning_rate_init": [1e-3, 1e-2],
}


def tables() -> Iterator[tuple[str, str, Any, Any]]:
    """Name, class of the estimator, X and y."""
    for name in ("digits", "breast_cancer", "wine", "diabetes"):
        kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"
        yield name, kind, *getattr(datasets, f"load_{name}")(return_X_y=True)
    X, y = datasets.make_classification(
        20_000, 20, n_informative=10, n_classes=3, flip_y=0.05, random_state=0
    )
    yield "synthetic", "MLPClassifier", X, y


def measured(name: str, kind: str, X: Any, y: Any) -> dict[str, Any]:
    """Scores and seconds of each seed."""
    scores: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for seed in range(SEEDS):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
        scaler = StandardScaler().fit(X_train)
        X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
        order = list(LIBRARIES)[:: 1 if seed % 2 else -1]
        for library in order:
            model = getattr(LIBRARIES[library], kind)(random_state=seed)
            begin = time.perf_counter()
            model.fit(X_train, y_train)
            seconds[library].append(round(time.perf_counter() - begin, 6))
            scores[library].append(round(float(model.score(X_test, y_test)), 6))
        print(name, seed, {k: v[-1] for k, v in seconds.items()}, file=sys.stderr)
    return {"name": name, "rows": X.shape[0], "features": X.shape[1], "score": scores,
            "seconds": seconds}  # fmt: skip


def grid() -> dict[str, Any]:
    """Seconds of GridSearchCV over GRID with five folds, on two processes, three times each."""
    X, y = datasets.load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    best: dict[str, float] = {}
    for _ in range(4):
        for library, module in LIBRARIES.items():
            search = GridSearchCV(module.MLPClassifier(random_state=0), GRID, cv=5, n_jobs=2)
            begin = time.perf_counter()
            search.fit(X, y)
            seconds[library].append(round(time.perf_counter() - begin, 4))
            best[library] = round(float(search.best_score_), 6)
    own = {
        library: values[1:] for library, values in seconds.items()
    }  # without the processes' start
    return {"fits": 200, "seconds": own, "best_score": best}


def main() -> int:
    argparse.ArgumentParser(prog="python -m bench.sklearn", description=__doc__).parse_args()
    warnings.simplefilter("ignore")
    found = {
        "versions": {"fastbp": fb.__version__, "scikit-learn": sklearn.__version__,
                     "numpy": np.__version__},
        "machine": describe(),
        "grid": grid(),
        "tables": [measured(*table) for table in tables()],
    }  # fmt: skip
    report.RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = report.PAGE.read_text(encoding="utf-8")
    report.PAGE.write_text(report.with_tables(page, found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
