"""scikit-learn's estimators on fastbp: change the import, nothing else.

Needs the extra `sklearn`; nothing else of fastbp imports this.

>>> from sklearn.datasets import load_wine
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from fastbp.sklearn import MLPClassifier
>>> X, y = load_wine(return_X_y=True)
>>> model = make_pipeline(
...     StandardScaler(), MLPClassifier(learning_rate_init=0.01, random_state=0)
... ).fit(X, y)
>>> model.score(X, y)
1.0
"""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError("fastbp.sklearn needs scikit-learn: pip install 'fastbp[sklearn]'") from error

from fastbp.sklearn.classifier import MLPClassifier
from fastbp.sklearn.distribution import MLPDistributionRegressor
from fastbp.sklearn.quantile import MLPQuantileRegressor
from fastbp.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPDistributionRegressor", "MLPQuantileRegressor", "MLPRegressor"]
