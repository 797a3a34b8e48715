"""The arithmetic of a training step: counted, for people, and estimated, for decisions."""

from __future__ import annotations

from fastbp.plan.parameter import ParameterLayout


def dense_flops(n_in: int, n_out: int, *, reads_input: bool) -> int:
    """Floating-point operations that a dense layer's products take for each row of a step.

    A multiplication and an addition for each weight: forward, in the kernel's gradient, and in the
    gradient passed on, which a layer that reads the network's input does without.
    """
    return (4 if reads_input else 6) * n_in * n_out


def work_per_row(parameters: ParameterLayout) -> float:
    """What a step is taken to cost for each row: 6 a parameter; a forward pass a third of it.

    Only for decisions, of which some decide bits: the thresholds were measured in this unit, which
    has biases, and the first layer's like any other, and it stays as it is.
    """
    return 6.0 * parameters.n_parameters
