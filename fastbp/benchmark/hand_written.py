"""A training loop as one writes it in NumPy: every array allocated once, `out=` everywhere.

Two of them.  The usual one keeps a list of parameters and updates each in turn.  The tuned one has
all of them, their gradients and Adam's moments in one flat vector each, so that the update is
twelve calls however many layers there are, and sums over rows by a product with ones.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastbp.benchmark.workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload


class HandWritten:
    """A network of dense layers, tanh or relu between them; mse, or softmax and cross-entropy."""

    def __init__(self, workload: Workload, *, tuned: bool) -> None:
        weights, rows, real = workload.weights(), workload.batch_size, workload.dtype
        self.workload, self.tuned = workload, tuned
        self.X, self.y = workload.data()
        if tuned:
            flat = np.concatenate([part.ravel() for part in weights])
            gradient = np.zeros_like(flat)
            self.parameters, self.gradients = [flat], [gradient]
            weights, slopes = self._views(flat), self._views(gradient)
        else:
            slopes = [np.zeros_like(part) for part in weights]
            self.parameters, self.gradients = weights, slopes
        self.kernels, self.biases = weights[::2], weights[1::2]
        self.kernel_gradients, self.bias_gradients = slopes[::2], slopes[1::2]
        self.m, self.v, self.root = (
            [np.zeros_like(part) for part in self.parameters] for _ in range(3)
        )
        self.a = [np.empty((rows, n), real) for n in workload.sizes[1:]]
        self.d = [np.empty((rows, n), real) for n in workload.sizes[1:]]
        self.slope = [np.empty((rows, n), real) for n in workload.sizes[1:-1]]
        self.mask = [np.empty((rows, n), np.bool_) for n in workload.sizes[1:-1]]
        self.column = np.empty((rows, 1), real)
        self.row = np.arange(rows)
        self.ones = np.ones(rows, real)
        self.t = 0

    def _views(self, flat: Array) -> list[Array]:
        """W1, b1, W2, ... within one vector."""
        found, start = [], 0
        for n_in, n_out in zip(self.workload.sizes, self.workload.sizes[1:], strict=False):
            found.append(flat[start : start + n_in * n_out].reshape(n_in, n_out))
            start += n_in * n_out
            found.append(flat[start : start + n_out])
            start += n_out
        return found

    def train_steps(self, steps: int) -> float:
        """`steps` steps over consecutive batches, from the first; returns their mean loss."""
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
        return total / steps

    def flat_parameters(self) -> Array:
        return np.concatenate([part.ravel() for part in self.parameters])

    def _forward(self, x: Array) -> None:
        last = len(self.a) - 1
        for i, a in enumerate(self.a):
            np.matmul(x, self.kernels[i], out=a)
            np.add(a, self.biases[i], out=a)
            if i < last:
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
            before = self.a[i - 1] if i else x
            np.matmul(before.T, self.d[i], out=self.kernel_gradients[i])
            if self.tuned:
                np.matmul(self.ones, self.d[i], out=self.bias_gradients[i])
            else:
                np.sum(self.d[i], axis=0, out=self.bias_gradients[i])
            if i:
                np.matmul(self.d[i], self.kernels[i].T, out=self.d[i - 1])
                if self.workload.activation == "tanh":
                    slope = self.slope[i - 1]
                    np.multiply(before, before, out=slope)
                    np.subtract(1, slope, out=slope)
                    np.multiply(self.d[i - 1], slope, out=self.d[i - 1])
                else:
                    np.greater(before, 0, out=self.mask[i - 1])
                    np.multiply(self.d[i - 1], self.mask[i - 1], out=self.d[i - 1])

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
