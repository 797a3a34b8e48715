"""The first layer: what the columns of the input are, and embeddings of those with categories."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fastbp.check.message import counted, shown
from fastbp.check.scalar import as_index, check_name, check_size
from fastbp.initializer import VarianceScaling
from fastbp.layer.base import Layer, inner_names, set_fields
from fastbp.layer.outline import Outline
from fastbp.plan.graph import Graph
from fastbp.plan.parameter import Initial

_MOST_UNITS = 600
_LIMIT = 0.05  # of initial values
_START = Initial(VarianceScaling(_LIMIT**2 / 3, distribution="uniform"), None, 1, 1)
_EXACT = {"float32": 2**24, "float64": 2**53}  # up to these every integer is one of the dtype


@dataclass(frozen=True, init=False, repr=False)
class Input(Layer):
    """The features of a row, first in a list of layers; those with categories become embeddings.

    A categorical column holds the integers 0..n-1, as numbers of the one array X.  Each is
    replaced by a row of a trained table (n, units), as by torch.nn.Embedding.  What the next layer
    gets are the other columns as they are and in their order, and behind them the embeddings in the
    order of `categorical`.

    Tables start uniform in [-0.05, 0.05), as Keras's.  Their gradient is a whole tensor: an
    optimizer takes a step for rows that no row of the batch names too, with a gradient of 0, as
    PyTorch does with sparse=False.  Weight decay applies to them.

    Args:
        units: number of columns of X, >= 1.
        categorical: of each categorical column, by index or by name, the number n >= 1 of its
            categories.  float32 holds integers up to 2^24.
        embedding_units: the width of every embedding; or of each column, as a dict with the keys
            of `categorical` or a list in its order; None for min(600, round(1.6 n^0.56)), the rule
            of fastai.
        handle_unknown: what becomes of a number that is none of 0..n-1, NaN included: "error", it
            is refused, or "slot", it has a row of its own, the last one of a table (n + 1, units).
        feature_names: of all columns, for names in `categorical`; a frame with other columns is
            then refused.

    Raises:
        TypeError, ValueError: an argument of another type or out of range, a column that there is
            not or that is named twice; when the network is made, more categories than its dtype
            holds.

    >>> Input(20)
    Input(units=20)
    >>> Input(3, categorical={"city": 50, 0: 12}, embedding_units=8,
    ...       feature_names=["month", "income", "city"]).width
    17
    """

    kind = "input"
    is_first = True
    later = {
        "categorical": (), "embedding_units": (), "handle_unknown": "error", "feature_names": None,
    }  # fmt: skip

    units: int
    categorical: tuple[tuple[int, int], ...]
    embedding_units: tuple[int, ...]
    handle_unknown: str
    feature_names: tuple[str, ...] | None

    def __init__(
        self,
        units: int,
        *,
        categorical: Mapping[Any, int] | Sequence[tuple[int | str, int]] | None = None,
        embedding_units: int | Mapping[Any, int] | Sequence[int] | None = None,
        handle_unknown: str = "error",
        feature_names: Iterable[str] | None = None,
    ) -> None:
        units = check_size(units, name="Input units")
        names = _checked_names(feature_names, units)
        columns = _checked_categories(categorical, units, names)
        handle_unknown = check_name(
            handle_unknown, kind="handle_unknown", known=("error", "slot"), aliases={}
        )
        set_fields(
            self, units=units, categorical=columns, handle_unknown=handle_unknown,
            embedding_units=_checked_units(embedding_units, columns, units, names),
            feature_names=names,
        )  # fmt: skip

    def __repr__(self) -> str:
        own = [(field.name, getattr(self, field.name)) for field in fields(self)[1:]]
        text = [f"{name}={value!r}" for name, value in own if value != self.later[name]]
        return f"Input({', '.join([f'units={self.units}', *text])})"

    @property
    def width(self) -> int:
        """Columns that the next layer gets."""
        return self.units - len(self.categorical) + sum(self.embedding_units)

    @property
    def structure(self) -> Hashable:
        """See `Layer`."""
        if not self.categorical:
            return Input, self.units
        return Input, self.units, self.categorical, self.embedding_units, self.handle_unknown

    def lower(self, graph: Graph, value: int) -> int:
        """A value that nothing computes, the first of the graph; with embeddings the node that
        reads it.
        """
        if graph.width:
            raise TypeError(f"a layer after the first must be {inner_names()}, got {self!r}")
        source = graph.value(self.units)
        return self._embed(graph, source) if self.categorical else source

    def _embed(self, graph: Graph, source: int) -> int:
        from fastbp.plan.embedding import EmbeddingNode  # which few need

        layout = graph.parameters
        _check_exact(self.categorical, layout.dtype.name)
        graph.categories = tuple(sorted(self.categorical))
        graph.refuses_unknown = self.handle_unknown == "error"
        tables = []
        for (_, n), units in zip(self.categorical, self.embedding_units, strict=True):
            shape = (n if graph.refuses_unknown else n + 1, units)
            tables.append(layout.add_table(layout.begin("embedding"), "embeddings", shape, _START))
        return graph.add(EmbeddingNode(
            (source,), graph.value(self.width), tensors=tuple(tables), runs=self._numeric_runs(),
            columns=tuple(column for column, _ in self.categorical),
        ))  # fmt: skip

    def _numeric_runs(self) -> tuple[tuple[int, int], ...]:
        """(begin, end) of the other columns, those side by side together."""
        edges = [-1, *sorted(column for column, _ in self.categorical), self.units]
        pairs = zip(edges, edges[1:], strict=False)
        return tuple((left + 1, right) for left, right in pairs if left + 1 < right)

    def summarize(self, outline: Outline, width: int) -> int:
        """See `Layer`; a row for each embedding."""
        outline.add("input", self.units)
        with outline.indented():
            for (column, _), units in zip(self.categorical, self.embedding_units, strict=True):
                label = self.feature_names[column] if self.feature_names else f"column {column}"
                outline.add_own(units, "", note=f" ({label})")
        return self.width


def _checked_names(names: Iterable[str] | None, units: int) -> tuple[str, ...] | None:
    """The names of all columns, all different."""
    if names is None:
        return None
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise TypeError(f"feature_names must be a list of names, got {shown(names)}")
    found = tuple(names)
    for i, name in enumerate(found):
        if not isinstance(name, str):
            raise TypeError(f"feature_names[{i}] must be a name, got {shown(name)}")
        if name in found[:i]:
            raise ValueError(f"feature_names has {shown(name)} twice")
    if len(found) != units:
        raise ValueError(f"feature_names has {counted(len(found), 'name')}, Input {units} columns")
    return tuple(str(name) for name in found)


def _checked_categories(
    given: object, units: int, names: tuple[str, ...] | None
) -> tuple[tuple[int, int], ...]:
    """(column, number of categories) of each categorical column, in the order given."""
    if given is None:
        return ()
    if isinstance(given, Mapping):
        given = list(given.items())
    pairs = given if isinstance(given, list | tuple) else None
    if pairs is None or not all(isinstance(one, list | tuple) and len(one) == 2 for one in pairs):
        raise TypeError(f"categorical must be a dict {{column: n}}, got {shown(given)}")
    found: dict[int, int] = {}
    for key, n in pairs:
        column = _column(key, units, names, of="categorical")
        if column in found:
            raise ValueError(f"categorical names column {column} twice, the second time as {key!r}")
        found[column] = check_size(n, name=f"categories of column {key!r}")
    return tuple(found.items())


def _column(key: object, units: int, names: tuple[str, ...] | None, *, of: str) -> int:
    """The index of a column."""
    if isinstance(key, str):
        if names is None:
            raise ValueError(
                f"{of} names the column {key!r}: pass the names of all {units} columns too, "
                "feature_names=[...]"
            )
        if key not in names:
            raise ValueError(f"{of} names the column {key!r}, which is none of feature_names")
        return names.index(key)
    column = as_index(key)
    if column is None:
        raise TypeError(f"a column in {of} must be an index or a name, got {shown(key)}")
    if not 0 <= column < units:
        raise ValueError(f"{of} names column {column}, outside 0..{units - 1}")
    return column


def _checked_units(
    given: object,
    columns: tuple[tuple[int, int], ...],
    n_columns: int,
    names: tuple[str, ...] | None,
) -> tuple[int, ...]:
    """The width of each embedding."""
    if not columns:
        if given is None or given == () or given == []:
            return ()
        raise ValueError("embedding_units go with categorical, which is missing")
    if given is None:
        return tuple(min(_MOST_UNITS, round(1.6 * n**0.56)) for _, n in columns)
    if isinstance(given, Mapping):
        by_column = {
            _column(key, n_columns, names, of="embedding_units"): value
            for key, value in given.items()
        }
        if by_column.keys() != {column for column, _ in columns} or len(by_column) < len(given):
            wrong = sorted(by_column.keys() ^ {column for column, _ in columns})
            raise ValueError(
                "embedding_units must have the columns of categorical, each once; "
                f"extra or missing: {', '.join(map(str, wrong)) or 'one is there twice'}"
            )
        given = [by_column[column] for column, _ in columns]
    if isinstance(given, list | tuple):
        if len(given) != len(columns):
            raise ValueError(
                f"embedding_units has {counted(len(given), 'width')} for "
                f"{counted(len(columns), 'categorical column')}"
            )
        pairs = zip(columns, given, strict=True)
        return tuple(
            check_size(own, name=f"embedding_units of column {column}")
            for (column, _), own in pairs
        )
    return (check_size(given, name="embedding_units"),) * len(columns)


def _check_exact(columns: tuple[tuple[int, int], ...], dtype: str) -> None:
    """Raise ValueError for more categories than there are integers of the dtype."""
    for column, n in columns:
        if n > _EXACT[dtype]:
            other = "; float64 holds them up to 2^53" if dtype == "float32" else ""
            raise ValueError(
                f"column {column} has {n} categories, but {dtype} holds integers up to "
                f"{_EXACT[dtype]} only{other}"
            )
