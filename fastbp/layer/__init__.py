"""Layers: small frozen descriptions without arithmetic, which lower themselves to a graph's nodes.

A layer of another class is a file of its own here, and a line below.
"""

from fastbp.layer.base import Input, Layer, layer_from_config, with_fields
from fastbp.layer.block import Branch, Residual
from fastbp.layer.dense import Dense

__all__ = ["Branch", "Dense", "Input", "Layer", "Residual", "layer_from_config", "with_fields"]
