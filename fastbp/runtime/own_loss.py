"""Steps by a loss of the user's own: its function between the compiled forward and backward pass.

`OwnLossEngine` stands where an engine that trains stands for other losses, with the same methods:
so all that trains goes by it, as by them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastbp.backend.numpy.loop import Good, Loop
from fastbp.check.array import Array
from fastbp.check.message import counted, place, shown
from fastbp.runtime.parts import Parts
from fastbp.runtime.state import State


class OwnLossEngine(Loop):
    """See src/engine/engine.pxi; one thread whatever `n_threads` says."""

    def __init__(self, state: State, parts_of: Callable[[State, int], Parts]) -> None:
        check_present(state)
        self.state, self.w, self.rate = state, state.parameters, state.rate
        self.parts_of = parts_of
        self.seed, self.first_step, self.is_on = 0, 0, False

    def draw_from(self, seed: int, step: int, row: int, is_on: bool) -> None:
        self.seed, self.first_step, self.is_on = seed, step, is_on

    def _begin(self, call: str, largest: int, metrics: tuple[str, ...]) -> None:
        state = self.state
        state.forward_pass = state.gradient = None  # whose memory is about to be used

    def _row_phase(
        self, x: Array, y: Array, weight: Array | None, divisor: float, steps: int
    ) -> float:
        state = self.state
        self.parts = parts = self.parts_of(state, len(x))
        parts.engine.draw_from(self.seed, self.first_step + steps, 0, self.is_on)
        parts.engine.forward(x)
        self._outputs = output = parts.out.copy()
        loss = own_loss_gradient(state, parts, y, output, weight)
        if math.isfinite(loss):
            parts.engine.backward()
        return loss

    def _update_whole(self, rate: float, weight: float) -> None:
        before, good = self.rate[0], self._state()
        self.rate[0] = rate
        try:
            self.parts.engine.step()
        except BaseException:  # of a signal handler, when the step is taken and not yet counted
            self._restore(good)
            raise
        finally:
            self.rate[0] = before

    def _shuffle(self, order: Array, seed: int, epoch: int) -> None:
        self.state.module.shuffled(len(order), seed, epoch, order)

    def _state(self) -> Good:
        state = self.state
        return state.parameters.copy(), state.optimizer_state.copy(), state.powers.copy()

    def _restore(self, good: Good | None) -> None:
        state = self.state
        if good is not None:
            state.parameters[:], state.optimizer_state[:], state.powers[:] = good


def own_loss_gradient(
    state: State, parts: Parts, y: Array, output: Array, weight: Array | None = None
) -> float:
    """The loss of the outputs of a pass; its gradient goes where the backward pass begins."""
    check_present(state)
    loss, gradient = call(state, y, output, weight)
    if math.isfinite(loss):
        to = parts.output_gradient
        if gradient.dtype == to.dtype:
            to[...] = gradient
        else:
            with np.errstate(over="ignore"):  # what overflows is not finite
                to[...] = gradient
        if state.scan(to) >= 0:
            raise ValueError(_not_finite(state, gradient))
        parts.padding.fill(0)
    return loss


def call(state: State, y: Array, output: Array, weight: Array | None) -> tuple[float, Array]:
    """Loss and gradient by the function of the user's, of arrays that it cannot write to.

    Raises TypeError, ValueError for what it returns, and what it raises.
    """
    own: Any = state.loss
    y, output = y.view(), output.view()
    y.flags.writeable = output.flags.writeable = False
    if weight is None:
        found = own.function(y, output)
    else:
        weight = weight[:, 0]
        weight.flags.writeable = False
        found = own.function(y, output, sample_weight=weight)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise TypeError(
            f"loss function {own.name!r} must return (loss, gradient), got {shown(found)}"
        )
    return _loss(own.name, found[0]), _gradient(own.name, found[1], output)


def _loss(name: str, value: Any) -> float:
    try:
        if isinstance(value, float):  # a float64 of NumPy is one
            return value
        if np.ndim(value) == 0 or np.size(value) == 1:
            return float(np.asarray(value).item())
    except (TypeError, ValueError):
        pass
    shape = np.shape(value) if isinstance(value, np.ndarray) else ()
    got = f"an array of shape {shape}: return its mean" if shape else shown(value)
    raise TypeError(f"loss function {name!r} must return a number as the loss, got {got}")


def _gradient(name: str, value: Any, output: Array) -> Array:
    if type(value) is np.ndarray and value.dtype == output.dtype and value.shape == output.shape:
        return value
    try:
        gradient: Array = np.asarray(value)
    except ValueError:
        gradient = np.asarray(None)
    if gradient.dtype.kind not in "biuf":
        raise TypeError(
            f"loss function {name!r} must return an array as the gradient, got {shown(value)}"
        )
    if output.shape[1] == 1 and gradient.shape == (len(output),):
        gradient = gradient[:, np.newaxis]
    if gradient.shape != output.shape:
        raise ValueError(
            f"loss function {name!r} must return a gradient of the shape of the output, "
            f"{output.shape}, got {gradient.shape}"
        )
    return gradient


def _not_finite(state: State, gradient: Array) -> str:
    with np.errstate(over="ignore"):
        flat = int((~np.isfinite(gradient.astype(state.dtype))).argmax())
    value, where = shown(gradient.flat[flat]), place(gradient.shape, flat)
    text = f"loss function {state.loss.name!r} returned a gradient with {value} at {where}"
    return f"{text}, the loss is finite"


def check_present(state: State) -> None:
    """Raises ValueError where the network comes from a file, and nobody has given the function."""
    own: Any = state.loss
    if own.function is None:
        raise ValueError(
            f"the loss is a function {own.name!r}, which no file holds: "
            f"Network.load(path, loss={own.name}) has it again"
        )


def check_own(state: State, y: Array, *, sample_weight: object, ignore_nan: bool) -> None:
    """Raise ValueError for what does not go with the function."""
    own: Any = state.loss
    if ignore_nan:
        raise ValueError(f"ignore_nan is not for loss function {own.name!r}: leave out the rows")
    if sample_weight is not None and not own.takes_weight and own.function is not None:
        raise ValueError(
            f"loss function {own.name!r} takes no weights: sample_weight needs (y, output, "
            "sample_weight) -> (loss, gradient)"
        )
    names = [one for one in state.description.metrics if isinstance(one, str)]
    if names and y.shape != (len(y), state.n_outputs):
        outputs = counted(state.n_outputs, "output")
        raise ValueError(
            f"metric {names[0]!r} needs y of {outputs}, got shape {y.shape}; a function of your "
            "own takes any"
        )


def measured(state: State, y: Array, output: Array, weight: Array | None) -> float:
    """The loss of rows whose outputs are there."""
    check_present(state)
    return call(state, y, output, weight)[0]


def worst_of_function(state: State, y: Array, output: Array) -> float:
    """The largest relative difference between the function's gradient and central differences of
    its loss, in float64; over a sample where there are many outputs.

    Raises ValueError where it is no rounding.
    """
    output = output.astype(np.float64)
    _, gradient = call(state, y, output.copy(), None)
    scale = float(np.abs(gradient).max()) or 1.0
    worst, where, found = 0.0, 0, 0.0
    for flat in np.unique(np.linspace(0, output.size - 1, _MOST_CHECKED).astype(np.int64)):
        step = _DIFFERENCE * max(1.0, abs(output.flat[flat]))
        losses = []
        for sign in (1, -1):
            moved = output.copy()
            moved.flat[flat] += sign * step
            losses.append(call(state, y, moved, None)[0])
        difference = (losses[0] - losses[1]) / (2 * step)
        error = abs(difference - gradient.flat[flat]) / max(abs(difference), 1e-3 * scale)
        if not error <= worst:
            worst, where, found = error, int(flat), difference
    if not worst <= _WRONG:
        raise ValueError(
            f"the gradient of loss function {state.loss.name!r} is not that of its loss: at "
            f"{place(output.shape, where)} it is {shown(gradient.flat[where])}, by differences "
            f"{found:.6g} (of {counted(len(output), 'row')}; the backward pass was not checked)"
        )
    return float(worst)


_DIFFERENCE = 1e-6  # of an output near 1
_MOST_CHECKED = 256
_WRONG = 1e-3
