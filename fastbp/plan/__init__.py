"""From layer descriptions to an ordered list of kernel calls over one block of memory.

`graph` lowers the layers to nodes, `parameter` lays the parameters out, `compile` makes the `Plan`
of one batch size from both, `arena` places its memory, `operation` is one kernel call.  No
arithmetic here.
"""

from fastbp.plan.compile import Plan, compile_plan
from fastbp.plan.graph import Graph, lower
from fastbp.plan.parameter import ParameterLayout, Tensor

__all__ = ["Graph", "ParameterLayout", "Plan", "Tensor", "compile_plan", "lower"]
