"""Layers: small frozen descriptions without arithmetic, which lower themselves to a graph's nodes.

A new class of layers is a file here and a line below; with a kernel of its own also that kernel
(src/engine/operation.pxi) and its twin (fastbp/backend/numpy/engine.py).
"""

from fastbp.layer.base import Layer, layer_from_config, with_fields
from fastbp.layer.block import Branch, Residual
from fastbp.layer.dense import Dense
from fastbp.layer.heads import Heads
from fastbp.layer.input import Input
from fastbp.layer.non_crossing import NonCrossing
from fastbp.layer.normalization import BatchNorm, LayerNorm
from fastbp.layer.pointwise import ActivationLayer, Scale, Standardize
from fastbp.layer.prelu import PReLU
from fastbp.layer.regularization import Dropout, GaussianNoise

__all__ = [
    "ActivationLayer", "BatchNorm", "Branch", "Dense", "Dropout", "GaussianNoise", "Heads", "Input",
    "Layer", "LayerNorm", "NonCrossing", "PReLU", "Residual", "Scale", "Standardize",
    "layer_from_config", "with_fields",
]  # fmt: skip
