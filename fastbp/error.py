"""The exceptions that are fastbp's own; everything else raises ValueError, TypeError or OSError."""

from __future__ import annotations


class DivergenceError(FloatingPointError):
    """The training loss became NaN or infinite; the parameters are those of the last good epoch."""


class ModelBusyError(RuntimeError):
    """A network was asked to train while another call was using it; both go on unharmed."""


class ModelFormatError(ValueError):
    """A stored network or a configuration is damaged, foreign or too new."""
