"""Layers: small frozen descriptions without arithmetic, which lower themselves to a graph's nodes.

A new class of layers is a file here and a line below; with a kernel of its own also that kernel
(src/engine/operation.pxi) and its twin (fastbp/backend/numpy/engine.py).
"""

from fastbp.layer.base import Input, Layer, layer_from_config, with_fields
from fastbp.layer.block import Branch, Residual
from fastbp.layer.dense import Dense

__all__ = ["Branch", "Dense", "Input", "Layer", "Residual", "layer_from_config", "with_fields"]
