"""What differentiates a network beyond what training needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from fastbp.check.array import FloatArray
from fastbp.runtime.state import State


class Differentiable:
    """The part of a `Network` that differentiates it, as it predicts; not made on its own."""

    _state: State

    def jacobian(self, X: ArrayLike, *, response: bool = False) -> Any:
        """J[i, k, j] = d net(X)[i, k] / d X[i, j], (n, n_outputs, n_features): of what the declared
        layers output.  Of several heads a dict of such arrays, views of one.

        One forward pass, and a backward pass for each output, in compiled code; a row has the same
        bits alone and in any batch.  Layers that act in training alone, as `Dropout`, are off;
        preprocessing layers (`Standardize`, `Scale`) belong to the network: X is in its own units.

        Args:
            X: (n, n_features); one observation (n_features,) gives (n_outputs, n_features).
            response: of what `predict` gives instead: probabilities, where the loss implies them.

        Raises:
            TypeError, ValueError: bad input.
            ModelBusyError: another call uses the network.

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([fb.Input(2), fb.Dense(1, weights=[[3], [-2]])], seed=0)
        >>> net.jacobian([[0.5, 1.0], [2.0, 0.0]]).tolist()
        [[[3.0, -2.0]], [[3.0, -2.0]]]
        """
        from fastbp.inspection.derivative import jacobian

        return jacobian(self._state, X, response=response)

    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike | Mapping[str, ArrayLike] | None = None,
        *,
        output: ArrayLike | Mapping[str, ArrayLike] | None = None,
    ) -> FloatArray:
        """The gradient of one number for each row by that row of X, (n, n_features): a saliency
        map, a slope.

        Args:
            X: (n, n_features); without y one observation (n_features,) gives (n_features,).
            y: targets as for `evaluate`.  The number is then the row's own loss, of several heads
                the weighted sum, not divided by the number of rows, without penalties.
            output: without y the number is net(X)[i, output], of what the declared layers output:
                an index, or one for each row, as `predict_classes` gives.  It may be left out
                where there is one output.  With several heads a dict that names one of them, as
                {"value": 0}.

        Raises:
            TypeError, ValueError: bad input; both y and `output`; neither for several outputs; an
                `output` for more than one head.
            ModelBusyError: another call uses the network.

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([fb.Input(2), fb.Dense(1, weights=[[3], [-2]])], seed=0)
        >>> net.input_gradient([[0.5, 1.0], [2.0, 0.0]]).tolist()
        [[3.0, -2.0], [3.0, -2.0]]
        >>> net.input_gradient([[0.5, 1.0], [2.0, 0.0]], [0.0, 5.0]).tolist()  # (out - y)^2
        [[-3.0, 2.0], [6.0, -4.0]]
        >>> heads = fb.Heads({"kind": ([fb.Dense(3)], "cross_entropy"),
        ...                   "price": ([fb.Dense(1)], "mse")})
        >>> net = fb.Network([fb.Input(2), heads], seed=0)
        >>> net.input_gradient([[0.5, 1.0], [2.0, 0.0]], output={"kind": [2, 0]}).shape
        (2, 2)
        """
        from fastbp.inspection.derivative import input_gradient

        return input_gradient(self._state, X, y, output=output)

    def per_example_gradients(
        self, X: ArrayLike, y: ArrayLike | Mapping[str, ArrayLike]
    ) -> list[FloatArray]:
        """The gradient of each row's own loss (of several heads the weighted sum) by every
        parameter: arrays in the order and shapes of `get_weights`, each with the rows before,
        (n, n_in, n_out) and (n, n_out).  Running statistics of `BatchNorm` are constants in
        derivatives, and have none.

        They are what `trace` finds for a row alone; their means over the rows are the gradient of
        the mean loss.  Penalties are left out.  The result takes n times the memory of the
        parameters; beside it only a tile of rows is held.

        Args:
            X, y: as for `evaluate`.

        Raises:
            TypeError, ValueError: bad input.
            MemoryError: the result does not fit.
            ModelBusyError: another call uses the network.

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([fb.Input(2), fb.Dense(1, weights=[[3], [-2]])], seed=0)
        >>> kernel, bias = net.per_example_gradients([[0.5, 1.0], [2.0, 0.0]], [0.0, 5.0])
        >>> kernel.shape, bias.tolist()
        ((2, 2, 1), [[-1.0], [2.0]])
        >>> named = dict(zip(net.parameters, [kernel, bias]))  # by name
        >>> np.concatenate([g.reshape(2, -1) for g in (kernel, bias)], axis=1).tolist()  # flat
        [[-0.5, -1.0, -1.0], [4.0, 0.0, 2.0]]
        """
        from fastbp.inspection.derivative import per_example_gradients

        return per_example_gradients(self._state, X, y)

    def hessian_vector_product(
        self, X: ArrayLike, y: ArrayLike | Mapping[str, ArrayLike], v: Sequence[ArrayLike]
    ) -> list[FloatArray]:
        """H v, H being the matrix of second derivatives of the mean loss over the rows, as
        `evaluate` reports it, by the parameters; in the shapes of `get_weights`, without running
        statistics.

        Exact to rounding, without differences: the gradient's derivative along v, by forward and
        backward pass in dual numbers (Pearlmutter, Fast Exact Multiplication by the Hessian, 1994),
        at the cost of some three gradients in float64.  The passes run in float64 whatever the
        network's dtype, by tiles of 256 rows on one thread.  Those of dense layers, their sums and
        concatenations, activations and losses are compiled; other layers, softmax and the losses of
        whole rows (cross-entropies of classes, "cosine") go through NumPy, and so does all in the
        builds for x86-64 without AVX2.  A piecewise function, as ReLU, has the derivatives of the
        piece; penalties are left out: an l2 would add l2 v.

        Args:
            X, y: as for `evaluate`.
            v: the direction, arrays in these shapes.

        Raises:
            TypeError, ValueError: bad input.
            ModelBusyError: another call trains the network.

        >>> import numpy as np, fastbp as fb
        >>> net = fb.Network([fb.Input(2), fb.Dense(1, weights=[[3], [-2]])], seed=0)
        >>> X, y = [[1, 0], [0, 2]], [0, 0]
        >>> kernel, bias = net.hessian_vector_product(X, y, [[[1], [1]], [0]])  # 2 X^T X v / n
        >>> kernel.ravel().tolist(), bias.tolist()
        ([1.0, 4.0], [3.0])
        """
        from fastbp.inspection.hessian import hessian_vector_product

        return hessian_vector_product(self._state, X, y, v)
