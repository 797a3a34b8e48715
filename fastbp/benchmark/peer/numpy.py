"""A training loop as one writes it in NumPy: every array allocated once, `out=` everywhere.

Two of them.  The usual one keeps a list of parameters and updates each in turn.  The tuned one has
all of them, their gradients and Adam's moments in one flat vector each, so that the update is
twelve calls however many layers there are, and sums over rows by a product with ones.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.benchmark.peer import Run
from fastbp.benchmark.workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload

NAME = "NumPy"


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    loop, last = HandWritten(workload, tuned=variant == "tuned"), workload.n_batches

    def run(steps: int) -> tuple[float, list[Array]]:
        loop.train_steps(steps - last)
        return loop.train_steps(last) / last, loop.weights

    return run


class HandWritten:
    """A network of dense layers, tanh or relu between them; mse, or softmax and cross-entropy."""

    def __init__(self, workload: Workload, *, tuned: bool) -> None:
        self.workload, self.tuned, self.weights = workload, tuned, workload.weights()
        self.X, self.y = workload.data()
        self.derivatives = [np.zeros_like(part) for part in self.weights]
        self.parameters, self.gradients = self.weights, self.derivatives
        if tuned:
            self.parameters, self.weights = one_vector(self.weights)
            self.gradients, self.derivatives = one_vector(self.derivatives)
        self.m, self.v, self.root = (
            [np.zeros_like(part) for part in self.parameters] for _ in range(3)
        )
        rows, real = workload.batch_size, workload.dtype
        of_slope = real if workload.activation == "tanh" else np.bool_
        self.a, self.d, self.slope = (
            [np.empty((rows, n), kind) for n in workload.sizes[1:]]
            for kind in (real, real, of_slope)
        )
        self.column = np.empty((rows, 1), real)
        self.row = np.arange(rows)
        self.ones = np.ones(rows, real)
        self.t = 0

    def train_steps(self, steps: int) -> float:
        """`steps` steps over consecutive batches, from the first; returns the sum of the losses."""
        rows, n_batches, total = self.workload.batch_size, self.workload.n_batches, 0.0
        for step in range(steps):
            batch = slice(step % n_batches * rows, (step % n_batches + 1) * rows)
            x = self.X[batch]
            self._forward(x)
            total += self._loss(self.y[batch])
            self._backward(x)
            if self.workload.optimizer == "adam":
                self._adam()
            else:
                self._sgd()
        return total

    def _forward(self, x: Array) -> None:
        for i, a in enumerate(self.a):
            np.matmul(x, self.weights[2 * i], out=a)
            np.add(a, self.weights[2 * i + 1], out=a)
            if a is self.a[-1]:
                break
            if self.workload.activation == "tanh":
                np.tanh(a, out=a)
            else:
                np.maximum(a, 0, out=a)
            x = a

    def _loss(self, y: NDArray[Any]) -> float:
        """The mean loss; its gradient with respect to the last pre-activation into d[-1]."""
        z, d, rows = self.a[-1], self.d[-1], len(y)
        if self.workload.loss == "mse":
            np.subtract(z, y, out=d)
            loss = np.vdot(d, d) / d.size
            np.multiply(d, 2 / d.size, out=d)
            return float(loss)
        np.subtract(z, np.max(z, axis=1, keepdims=True, out=self.column), out=z)
        np.exp(z, out=d)
        np.sum(d, axis=1, keepdims=True, out=self.column)
        np.divide(d, self.column, out=d)
        loss = (np.log(self.column).sum() - z[self.row, y].sum()) / rows
        d[self.row, y] -= 1
        np.multiply(d, 1 / rows, out=d)
        return float(loss)

    def _backward(self, x: Array) -> None:
        for i in reversed(range(len(self.a))):
            before, d = self.a[i - 1] if i else x, self.d[i]
            np.matmul(before.T, d, out=self.derivatives[2 * i])
            if self.tuned:
                np.matmul(self.ones, d, out=self.derivatives[2 * i + 1])
            else:
                np.sum(d, axis=0, out=self.derivatives[2 * i + 1])
            if i == 0:
                break
            np.matmul(d, self.weights[2 * i].T, out=self.d[i - 1])
            slope = self.slope[i - 1]
            if self.workload.activation == "tanh":
                np.multiply(before, before, out=slope)
                np.subtract(1, slope, out=slope)
            else:
                np.greater(before, 0, out=slope)
            np.multiply(self.d[i - 1], slope, out=self.d[i - 1])

    def _sgd(self) -> None:
        for w, g in zip(self.parameters, self.gradients, strict=True):
            np.multiply(g, LEARNING_RATE, out=g)
            np.subtract(w, g, out=w)

    def _adam(self) -> None:
        """lr m_hat / (sqrt(v_hat) + epsilon), the two corrections drawn into two scalars."""
        self.t += 1
        correction = float(np.sqrt(1 - BETA2**self.t))
        scale = LEARNING_RATE * correction / (1 - BETA1**self.t)
        vectors = zip(self.parameters, self.gradients, self.m, self.v, self.root, strict=True)
        for w, g, m, v, root in vectors:
            np.multiply(m, BETA1, out=m)
            np.multiply(g, 1 - BETA1, out=root)
            np.add(m, root, out=m)
            np.multiply(v, BETA2, out=v)
            np.multiply(g, g, out=g)
            np.multiply(g, 1 - BETA2, out=g)
            np.add(v, g, out=v)
            np.sqrt(v, out=root)
            np.add(root, EPSILON * correction, out=root)
            np.divide(m, root, out=root)
            np.multiply(root, scale, out=root)
            np.subtract(w, root, out=w)


def one_vector(parts: list[Array]) -> tuple[list[Array], list[Array]]:
    """All parts in one vector, and views of them within it."""
    flat = np.concatenate([part.ravel() for part in parts])
    pieces = np.split(flat, np.cumsum([part.size for part in parts])[:-1])
    return [flat], [piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)]
