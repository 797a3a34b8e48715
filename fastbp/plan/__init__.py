"""From layer descriptions to an ordered list of kernel calls over one block of memory.

Layers lower themselves to the nodes (`node`) of a `graph`, `parameter` lays their tensors out,
`compile` makes the `Plan` of one batch size from both: `tiling` cuts its rows up, `builder` turns
nodes into kernel calls (`operation`), `segment` says what the optimizer treats alike, `arena`
places the memory.  `threshold` is the one table of the sizes that decide.  No arithmetic here.
"""

from fastbp.plan.compile import compile_plan
from fastbp.plan.graph import Graph
from fastbp.plan.parameter import ParameterLayout, Tensor
from fastbp.plan.plan import Plan

__all__ = ["Graph", "ParameterLayout", "Plan", "Tensor", "compile_plan"]
