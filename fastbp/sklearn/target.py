"""Targets that are standardised inside, so that the defaults learn them whatever their scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from fastbp.check.array import Array


class StandardisedTarget:
    """The part of a regressor that trains on (y - mean) / deviation, in front of `MLPRegressor`."""

    target_scaler_: StandardScaler

    def _scale_target_to_fit(self, y: Array, sample_weight: Array | None, first: bool) -> None:
        if first or not hasattr(self, "target_scaler_"):
            self.target_scaler_ = StandardScaler().fit(y, sample_weight=sample_weight)

    def _target(self: Any, y: Array) -> Array:
        return np.asarray(self.target_scaler_.transform(y), dtype=self.network_.dtype)

    def _restored(self, response: Array) -> Array:
        """On the scale of y, in float64: a large mean leaves few digits in float32."""
        scaler = self.target_scaler_
        return np.asarray(response * np.float64(scaler.scale_) + scaler.mean_)
