"""The operations of a plan on NumPy arrays: the twin of src/engine/operation.pxi."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastbp import random
from fastbp.backend.numpy import batch
from fastbp.backend.numpy.kernel import Backward, Forward
from fastbp.check.array import Array
from fastbp.plan import Plan
from fastbp.plan.operation import Operation, Program
from fastbp.plan.parameter import block


class Operations:
    """Programs of a plan in the memory of an engine, which sets these attributes.

    Attributes:
        w: parameters.
        transposes, activations: parts of the scratch memory.
        activation_kernels: those of each `Activation`, by its id.
        draw: seed, step and number of the next rows, for operations that draw; None where nothing
            is random.
    """

    plan: Plan
    w: Array
    transposes: Array
    activations: Array
    activation_kernels: dict[int, tuple[Forward, Forward, Backward]]
    draw: dict[str, int] | None

    def _rows(self, offset: int, ld: int, n: int, rows: int, first: int) -> Array:
        start = offset + first * ld
        return self.activations[start : start + rows * ld].reshape(rows, ld)[:, :n]

    def _stored(self, flat: Array, offset: int, rows: int, ld: int) -> Array:
        return flat[offset : offset + rows * ld].reshape(rows, ld)

    def _kernel(self, op: Operation) -> Array:
        rows = op.n_c if op.by_columns else op.n_a
        stored = self._stored(self.w, op.w, rows, op.ldw)
        return stored[:, : op.n_a].T if op.by_columns else stored[:, : op.n_c]

    def _transposed(self, op: Operation) -> Array:
        stored = self._stored(self.w if op.by_columns else self.transposes, op.w, op.n_a, op.ldw)
        return stored[:, : op.n_c]

    def refresh(self) -> None:
        """Transposes of kernels from the parameters."""
        self.transposes[:] = 0
        for segment in self.plan.segments.segments:
            if segment.transpose >= 0:
                stored = self._stored(self.w, segment.offset, segment.rows, segment.ld)
                at, ld = segment.transpose, segment.ld_transpose
                copy = self._stored(self.transposes, at, segment.columns, ld)
                copy[:, : segment.rows] = stored[:, : segment.columns].T

    def _run(
        self, program: Program, x: Array, first: int = 0, gradient: Array | None = None,
        start: bool = True,
    ) -> None:  # fmt: skip
        for op in program.operations:
            self._run_operation(op, x, first, gradient, start)

    def _run_operation(
        self, op: Operation, x: Array, first: int, gradient: Array | None, start: bool
    ) -> None:
        lda, n_a = op.lda or op.ldc, op.n_a or op.n_c
        a = x if op.a < 0 else self._rows(op.a, lda, n_a, len(x), first)
        if op.kind in GRADIENTS:
            assert gradient is not None
            GRADIENTS[op.kind](self, op, a, first, gradient, start)
        elif op.kind in batch.COLUMN_OPERATIONS:
            batch.COLUMN_OPERATIONS[op.kind](self, op, a)
        else:
            c = self._rows(op.c, op.ldc, op.n_c, len(x), first)
            OPERATIONS[op.kind](self, op, x, a, c, first)

    def _dense(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        z = a @ self._kernel(op)
        if op.b >= 0:
            z += self.w[op.b : op.b + op.n_c]
        self._activate(op, z, c, first)

    def _add(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        y = x if op.y < 0 else self._rows(op.y, op.ldy, op.n_c, len(x), first)
        self._activate(op, a + y, c, first)

    def _dense_input(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        product = a @ self._transposed(op)
        c[...] = c + product if op.accumulate else product
        self._times_slope(op, c, first)

    def _dense_turned(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        product = a @ self._stored(self.w, op.w, op.n_c, op.ldw)[:, : op.n_a].T
        c[...] = c + product if op.accumulate else product
        self._times_slope(op, c, first)

    def _activation_backward(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        c[...] = a
        self._times_slope(op, c, first)

    def _activate(self, op: Operation, z: Array, c: Array, first: int) -> None:
        if op.z >= 0:
            self._rows(op.z, op.ldc, op.n_c, len(c), first)[...] = z
        forward, kept, _ = self.activation_kernels[id(op.activation)]
        if op.slope >= 0:
            self._rows(op.slope, op.ldc, op.n_c, len(c), first)[...] = kept(z)
        c[...] = forward(z)

    def _times_slope(self, op: Operation, d: Array, first: int) -> None:
        if op.y >= 0:
            a = self._rows(op.y, op.ldc, op.n_c, len(d), first)
            kept = a if op.slope < 0 else self._rows(op.slope, op.ldc, op.n_c, len(d), first)
            d[...] = self.activation_kernels[id(op.activation)][2](d, kept, a)

    def _copy(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        into, columns = self._columns(op, a, first)
        into[...] = columns
        self._rows(op.c, op.ldc, op.ldc, len(a), first)[:, op.column_c + op.n_a :] = 0

    def _accumulate(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        into, columns = self._columns(op, a, first)
        into += columns

    def _copy_activated(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        self._activate(op, a, c, first)

    def _factor(self, op: Operation) -> Array:
        if op.constant is not None:
            factor: Array = op.constant[1, : op.n_c]
            return factor
        return self.w[op.w : op.w + op.n_c]

    def _scale(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        if op.constant is not None:
            centre, factor, offset = op.constant[:3, : op.n_c]
            z = (a - centre) * factor + offset
        else:
            z = a * self._factor(op) + self.w[op.b : op.b + op.n_c]
        self._activate(op, z, c, first)

    def _scale_input(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        product = a * self._factor(op)
        c[...] = c + product if op.accumulate else product

    def _multiply(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        y = x if op.y < 0 else self._rows(op.y, op.ldy, op.n_c, len(x), first)
        c[...] = c + a * y if op.accumulate else a * y

    def _kept(self, op: Operation, rows: int, first: int) -> Array:
        """The number that `normalize` keeps of each row."""
        return self._rows(op.z, block(self.plan.dtype), 1, rows, first)

    def _normalize(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        part = a - a.mean(axis=1, keepdims=True)
        factor = 1 / np.sqrt(
            (part * part).mean(axis=1, keepdims=True) + self.plan.dtype.type(op.level)
        )
        self._kept(op, len(a), first)[...] = factor
        c[...] = part * factor

    def _normalize_input(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        y = self._rows(op.y, op.ldy, op.n_y, len(a), first)
        part = a - a.mean(axis=1, keepdims=True) - y * (a * y).mean(axis=1, keepdims=True)
        part *= self._kept(op, len(a), first)
        c[...] = c + part if op.accumulate else part

    def _drop(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        c[...] = 1
        if self.draw is not None:
            c[...] = random.dropout(c.shape, op.level, layer=op.stream, **self.draw)

    def _noise(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        c[...] = 0
        if self.draw is not None:
            c[...] = op.level * random.layer_noise(c.shape, layer=op.stream, **self.draw)

    def _prelu(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        c[...] = np.maximum(a, 0) + self._factor(op) * np.minimum(a, 0)

    def _prelu_input(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        y = self._rows(op.y, op.ldy, op.n_y, len(a), first)
        product = np.where(y > 0, a, self._factor(op) * a)
        c[...] = c + product if op.accumulate else product

    def _columns(self, op: Operation, a: Array, first: int) -> tuple[Array, Array]:
        """Where columns go, and which: n_a of them."""
        whole = self._rows(op.c, op.ldc, op.ldc, len(a), first)
        if op.a >= 0:
            a = self._rows(op.a, op.lda, op.column_a + op.n_a, len(a), first)
        return (
            whole[:, op.column_c : op.column_c + op.n_a], a[:, op.column_a : op.column_a + op.n_a]
        )  # fmt: skip

    def _embed(self, op: Operation, x: Array, a: Array, c: Array, first: int) -> None:
        into = self._rows(op.c, op.ldc, op.ldc, len(x), first)[:, op.column_c :]
        into[:, : op.ldw] = self._stored(self.w, op.w, op.n_a, op.ldw)[table_rows(op, x)]
        into[:, op.ldw :] = 0

    def _dense_gradient(
        self, op: Operation, a: Array, first: int, gradient: Array, start: bool
    ) -> None:
        dz = self._rows(op.y, op.ldy, op.n_y, len(a), first)
        kernel = self._stored(gradient, op.c, op.n_c, op.ldw)
        product = dz.T @ a if op.by_columns else a.T @ dz
        if start:
            kernel[...] = 0
        kernel[:, : product.shape[1]] += product
        if op.b >= 0:
            bias = gradient[op.b : op.b + op.ldy]
            if start:
                bias[...] = 0
            bias[: op.n_y] += dz.sum(axis=0)

    def _scale_gradient(
        self, op: Operation, a: Array, first: int, gradient: Array, start: bool
    ) -> None:
        dz = self._rows(op.y, op.ldy, op.n_y, len(a), first)
        for at, terms in ((op.c, dz * a), (op.b, dz)):
            sums = gradient[at : at + op.ldw]
            if start:
                sums[...] = 0
            sums[: op.n_y] += terms.sum(axis=0)

    def _prelu_gradient(
        self, op: Operation, a: Array, first: int, gradient: Array, start: bool
    ) -> None:
        dz = self._rows(op.y, op.ldy, op.n_y, len(a), first)
        sums = gradient[op.c : op.c + op.ldw]
        if start:
            sums[...] = 0
        sums[: op.n_y] += (dz * np.minimum(a, 0)).sum(axis=0)

    def _embed_gradient(
        self, op: Operation, a: Array, first: int, gradient: Array, start: bool
    ) -> None:
        dz = self._rows(op.y, op.ldy, op.column_c + op.n_y, len(a), first)[:, op.column_c :]
        if start:
            gradient[op.c : op.c + op.n_c * op.ldw] = 0
        table = self._stored(gradient, op.c, op.n_a, op.n_y)
        np.add.at(table, table_rows(op, a), dz)


def table_rows(op: Operation, x: Array) -> Array:
    """The rows of a table that categories stand for; the last one for what is none."""
    column, last = x[:, op.column_a], op.n_a - 1
    known = (column >= 0) & (column <= last) & (column == np.floor(column))
    return np.where(known, column, last).astype(np.intp)


OPERATIONS: dict[str, Callable[..., None]] = {
    "dense": Operations._dense,
    "dense_input": Operations._dense_input,
    "dense_turned": Operations._dense_turned,
    "dense_dots": Operations._dense_turned,
    "activation_backward": Operations._activation_backward,
    "add": Operations._add,
    "copy": Operations._copy,
    "accumulate": Operations._accumulate,
    "activate": Operations._copy_activated,
    "scale": Operations._scale,
    "scale_input": Operations._scale_input,
    "multiply": Operations._multiply,
    "dropout": Operations._drop,
    "noise": Operations._noise,
    "normalize": Operations._normalize,
    "normalize_input": Operations._normalize_input,
    "prelu": Operations._prelu,
    "prelu_input": Operations._prelu_input,
    "embed": Operations._embed,
    "batch_scale": batch.scale,
    "batch_input": batch.input_gradient,
}
GRADIENTS: dict[str, Callable[..., None]] = {
    "dense_gradient": Operations._dense_gradient,
    "scale_gradient": Operations._scale_gradient,
    "prelu_gradient": Operations._prelu_gradient,
    "embed_gradient": Operations._embed_gradient,
    "batch_gradient": batch.gradient,
}
