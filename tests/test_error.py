"""The exceptions of fastbp."""

from __future__ import annotations

from fastbp.error import DivergenceError, ModelBusyError, ModelFormatError


def test_errors_are_what_callers_already_catch():
    assert issubclass(DivergenceError, FloatingPointError)
    assert issubclass(ModelBusyError, RuntimeError)
    assert issubclass(ModelFormatError, ValueError)
