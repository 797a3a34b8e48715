"""Several outputs: what `Heads` makes of targets, outputs and their gradients, dicts by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastbp.backend.numpy.kernel import METRICS, response_of
from fastbp.check.array import Array, is_readable
from fastbp.check.target import check_y, check_y_with_gaps
from fastbp.check.weight import Weights
from fastbp.loss import Loss
from fastbp.loss.joint import JointLoss
from fastbp.metric.head import split_name
from fastbp.plan import Graph


class Targets:
    """Those of several heads: for each an array of all rows, as a lone network has it; or weights
    of these.
    """

    __slots__ = ("parts",)
    ndim = 2

    def __init__(self, parts: tuple[Array, ...]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[Array]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, rows: Any) -> Targets:
        return Targets(tuple(part[rows] for part in self.parts))

    @property
    def size(self) -> int:
        """Numbers in all of them."""
        return sum(part.size for part in self.parts)

    def is_direct(self, dtype: np.dtype[Any]) -> bool:
        """Whether the kernels can read them in place."""
        return all(part.ndim == 1 or is_readable(part, dtype) for part in self.parts)

    def tobytes(self) -> bytes:
        """Of all of them, one after the other."""
        return b"".join(part.tobytes() for part in self.parts)

    def joined(self, other: Targets) -> Targets:
        """These rows and those.

        Raises ValueError where one has class indices and the other probabilities.
        """
        pairs = [*zip(self.parts, other.parts, strict=True)]
        if any(a.ndim != b.ndim for a, b in pairs):
            raise ValueError("y is of class indices or of probabilities, not of both")
        return Targets(tuple(np.concatenate(pair) for pair in pairs))


class HeadState(NamedTuple):
    """One head.

    Attributes:
        columns: its place where the outputs of all lie side by side.
        n_targets: columns of its targets; `noun` is what one is called.
        quick: as `State.quick_target`.
    """

    name: str
    loss: Loss
    columns: slice
    n_outputs: int
    n_targets: int
    noun: str
    quick: Any

    @property
    def target(self) -> dict[str, Any]:
        """What `check_y` has to know of it."""
        return {
            "name": f"y[{self.name!r}]", "n_out": self.n_targets, "domain": self.loss.domain,
            "noun": self.noun, "owner": f"head {self.name!r}",
        }  # fmt: skip


class HeadStates:
    """All heads of a network.

    Attributes:
        response, declared: by which activations `predict` and `net(X)` show the outputs, as an
            engine takes them.
    """

    def __init__(self, graph: Graph, loss: JointLoss, quick_look: Callable[[str], Any]) -> None:
        self.heads, column = [], 0
        for name, own, head in zip(loss.names, loss.losses, graph.heads, strict=True):
            n = graph.width[head.value]
            n_targets = own.n_targets(n)
            noun = "output" if n_targets == n else "target"
            columns = slice(column, column + n)
            quick = quick_look(own.domain)
            self.heads.append(HeadState(name, own, columns, n, n_targets, noun, quick))
            column += n
        self.response = " ".join(h.response if h.fused else "linear" for h in graph.heads)
        self.declared = " ".join(h.declared if h.fused else "linear" for h in graph.heads)
        self.loss, self.names, self.known = loss, loss.names, frozenset(loss.names)

    def split(self, outputs: Array) -> dict[str, Array]:
        """The outputs of each head: views of those of all, of rows or of one."""
        return {head.name: outputs[..., head.columns] for head in self.heads}

    @property
    def widths(self) -> list[int]:
        """The outputs of each."""
        return [head.n_outputs for head in self.heads]

    def responses(self, outputs: Array) -> dict[str, Array]:
        """What a loss is about, from outputs before its own activation; see `points`."""
        split = self.split(outputs)
        own = {head.name: response_of(head.loss.link)(split[head.name]) for head in self.heads}
        return self.points(own)

    def points(self, response: dict[str, Array]) -> dict[str, Array]:
        """Of each head the columns that foretell its targets themselves."""
        return {head.name: head.loss.point(response[head.name]) for head in self.heads}

    def summed(self, names: Iterable[str], weights: Weights) -> tuple[str, ...]:
        """The figures that the engine sums: the loss of each head, and of these metrics some.

        An error of a probability it reads off the gradient, which is nothing where a head counts
        next to nothing.  What counts rows cannot divide a metric of single elements.
        """
        parts = getattr(weights.weight, "parts", None)
        found = [*self.loss.figures]
        for name in names:
            own, metric = split_name(name, self.loss)
            place = self.names.index(own)
            is_seen = 1e-6 <= self.loss.weights[place] <= 1e6
            head = self.heads[place]
            counts_rows = head.loss.divisor(head.n_outputs) != head.n_outputs
            if parts is not None and counts_rows and Weights(parts[place]).by_element:
                is_seen = is_seen and metric == "accuracy"
            if metric in METRICS and is_seen and head.loss.is_measured_inside:
                found.append(name)
        return tuple(found)

    def divisor(self, name: str) -> int:
        """See `metric_divisor`."""
        if name in self.loss.figures:  # each loss is divided by its own already
            return 1
        own, metric = split_name(name, self.loss)
        head = self.heads[self.names.index(own)]
        return 1 if metric == "accuracy" and head.loss.link == "softmax" else head.n_outputs

    def check_names(self, given: object, *, what: str = "y") -> Mapping[str, Any]:
        """A dict with exactly the names of the heads; errors as `JointLoss.check_names`."""
        if type(given) is dict and given.keys() == self.known:
            return given
        return self.loss.check_names(given, what=what)

    def check_targets(self, y: object, **options: Any) -> Targets:
        """Those of all heads; options and errors as for `check_y`, of y['class'] and so on."""
        given, parts = self.check_names(y), []
        for head in self.heads:
            part = given[head.name]
            found = head.quick(part, head.n_targets, options["check_finite"])
            if found is None or len(found) != options["n_rows"]:
                found = check_y(part, **head.target, **options)
            parts.append(found)
        return Targets(tuple(parts))

    def check_targets_with_gaps(
        self, y: object, **options: Any
    ) -> tuple[Targets, list[Array | None] | None]:
        """The same with NaN for targets that are missing, and of each head which are present; see
        `check_y_with_gaps`.  None where none is missing.
        """
        given = self.check_names(y)
        pairs = [
            check_y_with_gaps(given[head.name], **head.target, **options) for head in self.heads
        ]
        present = [there for _, there in pairs]
        targets = Targets(tuple(found for found, _ in pairs))
        return targets, None if all(there is None for there in present) else present

    def weights(
        self, row: Array | None, present: Sequence[Array | None], *, n_rows: int,
        dtype: np.dtype[Any], normalize: bool, all_zero: bool,
    ) -> Weights:  # fmt: skip
        """What the engine takes where targets are missing; as `check.weight.combined`.

        The loss of a head is the mean over the rows that have its target.  All heads share what a
        row adds to the divisor of its batch, so that of n rows a head with a target in m gives
        these the weight n / m.

        Raises ValueError where a head has no row left, unless `all_zero`.
        """
        counted = np.ones(n_rows) if row is None or not normalize else row.astype(np.float64)
        parts = [
            _share(there, n_rows, by_element=head.loss.divisor(head.n_outputs) > 1)
            for head, there in zip(self.heads, present, strict=True)
        ]
        row_weight = counted * np.max(parts, axis=0)
        total, found = row_weight.sum(), []
        for head, there, part in zip(self.heads, present, parts, strict=True):
            own = (counted * part).sum()
            if not own and not all_zero:
                raise ValueError(_nothing_left(head.name, there))
            factor = np.full(n_rows, total / own if own else 0.0)
            weight = (factor if row is None else factor * row).astype(dtype)
            if there is not None and there.ndim == 2:
                found.append(np.where(there, weight[:, np.newaxis], dtype.type(0)))
                continue
            if there is not None:
                weight = np.where(there, weight, dtype.type(0))
            found.append(np.broadcast_to(weight[:, np.newaxis], (n_rows, head.n_targets)))
        return Weights(Targets(tuple(found)), row_weight)

    def refuse(self, *, class_weight: object = None) -> None:
        """Raise ValueError for what is about the targets of a single output."""
        if class_weight is not None:
            raise ValueError("class_weight is not there for Heads: pass a sample_weight")

    def classes(self, response: dict[str, Array]) -> dict[str, Array]:
        """The classes of the heads that have some.

        Raises ValueError where there is no such head.
        """
        found = {}
        for head in self.heads:
            if head.loss.domain in ("class", "interval"):
                own = response[head.name]
                if head.n_outputs == 1:
                    found[head.name] = (own[..., 0] >= 0.5).astype(np.int64)
                else:
                    found[head.name] = own.argmax(axis=-1)
        if not found:
            losses = ", ".join(f"{head.name!r}: '{head.loss.name}'" for head in self.heads)
            raise ValueError(f"no head tells classes apart; their losses are {losses}")
        return found


def _share(there: Array | None, n_rows: int, *, by_element: bool) -> Array:
    """What each row counts of those whose targets are there."""
    if there is None:
        return np.ones(n_rows)
    if there.ndim == 1:
        return there.astype(np.float64)
    return np.asarray(there.mean(axis=1) if by_element else there.any(axis=1), np.float64)


def _nothing_left(name: str, there: Array | None) -> str:
    if there is not None and not there.any():
        return f"y[{name!r}] is NaN in every row: no target is left"
    return f"the weights of the rows that have a target in y[{name!r}] are all 0"


def weights_by_head(weight: Any, other: Any) -> Targets:
    """Weights of rows, (n, 1), as those of the elements of each head, where `other` are such."""
    if isinstance(weight, Targets):
        return weight
    shapes = ((len(weight), part.shape[1]) for part in other.parts)
    return Targets(tuple(np.broadcast_to(weight, shape) for shape in shapes))
