"""A network together with all that turns a table into its inputs, and its outputs into answers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fastbp.callback import EarlyStopping
from fastbp.check.message import level_of_caller, shown
from fastbp.check.scalar import check_integer, check_real, check_size
from fastbp.error import ModelFormatError
from fastbp.history import History
from fastbp.loss import resolve_loss
from fastbp.network import Network
from fastbp.optimizer import OPTIMIZERS, Optimizer, resolve_optimizer
from fastbp.random import draw_seed
from fastbp.runtime.held_out import split_rows
from fastbp.runtime.snapshot import snapshot
from fastbp.storage.checkpoint import read, write
from fastbp.tabular import frame
from fastbp.tabular.description import from_extra, prior_of, to_extra
from fastbp.tabular.evaluation import Evaluation
from fastbp.tabular.frame import Frame
from fastbp.tabular.preprocessing import Preprocessing
from fastbp.tabular.recognition import Reading
from fastbp.tabular.target import (
    ClassTarget,
    NumberTarget,
    Target,
    fit_target,
)

NUMBER_LOSSES = ("mse", "half_sse", "mae", "huber")
_RARE = 0.2  # a class with less than this part of an equal share is worth a word


class TableModel:
    """A network for tables: what `fastbp train` makes, and the same in Python.  Needs pandas.

    Tables are frames of pandas, polars or Arrow, or dicts of columns.  Numbers are standardised,
    names one-hot encoded, dates become numbers, constant columns and free text are left out,
    missing cells imputed: all of it is learned by `fit`, kept in the file and applied again.

    Args:
        hidden: sizes of the hidden layers.
        activation: of these.
        loss: None for "cross_entropy" of classes, "mse" of numbers, which may be "mae" or "huber".
        optimizer: a name or an optimizer; `learning_rate` is that of a name, None for its default.
        epochs, batch_size, max_seconds, class_weight: as in `Network.fit`; classes by their names.
        validation_split: the share of the rows held out, of each class alike: training stops where
            their loss has not improved for `patience` epochs, and goes back to the best.  0 trains
            on all rows, for all epochs.
        task: "classification", "regression" or "auto": classes are text, booleans and up to 20
            different whole numbers.
        missing: "indicator", "impute" or "error", see `fastbp.tabular.recognition.Reading`.
        categorical: columns that are names, whatever they look like.
        keep: columns to use although they seem to number the rows, which are left out.
        decimal, date_format, na_values: how text is read; `na_values` are cells that mean a missing
            value.
        seed, dtype, backend: as in `Network`.

    Attributes:
        network, history: the trained network, and what its epochs were.
        target, classes_: what is predicted; the classes as an array, None for numbers.
        columns: the names of the columns that are used.
        ignored: column -> why it is not used.
        notes: what was odd in the table, in sentences.
        validation: the `Evaluation` of the rows held out, or None.

    >>> import fastbp as fb
    >>> table = {"size": [1.2, 1.1, None, 3.0, 3.2, 3.1] * 5, "kind": ["owl"] * 15 + ["bat"] * 15,
    ...          "side": ["left", "right", "left", "left", "right", "right"] * 5}
    >>> table["kind"] = ["owl" if i % 6 < 3 else "bat" for i in range(30)]
    >>> model = fb.TableModel(hidden=[8], epochs=50, seed=0).fit(table, target="kind", verbose=0)
    >>> model.classes_.tolist(), model.columns
    (['bat', 'owl'], ('size', 'side'))
    >>> model.predict({"size": [1.0, 3.0], "side": ["left", "left"]}).tolist()
    ['owl', 'bat']
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        loss: str | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate: float | None = None,
        epochs: int = 200,
        batch_size: int | None = None,
        validation_split: float = 0.2,
        patience: int = 10,
        max_seconds: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        task: str = "auto",
        missing: str = "indicator",
        categorical: Sequence[str] = (),
        decimal: str = ".",
        date_format: str | None = None,
        na_values: Sequence[str] = (),
        keep: Sequence[str] = (),
        seed: int | None = None,
        dtype: str = "float32",
        backend: str | None = None,
    ) -> None:
        if isinstance(hidden, str) or not isinstance(hidden, Sequence):
            raise TypeError(f"hidden must be a list of sizes, got {shown(hidden)}")
        self.hidden = [check_size(size, name=f"hidden[{i}]") for i, size in enumerate(hidden)]
        self.activation, self.loss = activation, loss
        self.optimizer = _optimizer(optimizer, learning_rate)
        self.epochs = check_integer(epochs, name="epochs", minimum=1)
        self.batch_size = batch_size
        self.validation_split = check_real(
            validation_split, name="validation_split", minimum=0, maximum=1, exclude_maximum=True
        )
        self.patience = check_integer(patience, name="patience", minimum=1)
        self.max_seconds, self.class_weight, self.task = max_seconds, class_weight, task
        self.reading = Reading(missing, categorical, decimal, date_format, na_values, keep)
        self.seed = draw_seed() if seed is None else seed
        self.dtype, self.backend = dtype, backend
        self.notes: list[str] = []
        self.validation: Evaluation | None = None
        self._fitted: tuple[Network, Preprocessing, Target, NDArray[Any]] | None = None

    def copy(self) -> Self:
        """The same, not fitted."""
        twin = type(self).__new__(type(self))
        twin.__dict__ = self.__dict__ | {"_fitted": None, "notes": [], "validation": None}
        return twin

    def fit(
        self, table: Any, *, target: str, drop: Sequence[str] = (),
        verbose: bool | int | str = "auto", on_described: Callable[[], object] | None = None,
    ) -> Self:  # fmt: skip
        """Learn what each column is, and train.  Rows without a value of the target are left out.

        Args:
            target: the column to predict.
            drop: columns to leave out.
            verbose: as in `Network.fit`.
            on_described: called before the training, when columns, target and notes are known.

        Raises:
            ValueError: a column that is not there, or that must be put right first; the message
                says how.
            DivergenceError, KeyboardInterrupt: as `Network.fit`; the model stays as it was.
        """
        data = frame.as_frame(table)
        names = list(map(str, data.columns))
        target = str(target)
        drop = [drop] if isinstance(drop, str) else list(map(str, drop))
        frame.check_columns(
            [target, *drop, *self.reading.categorical, *self.reading.keep], names, where="the table"
        )
        if target in drop:
            raise ValueError(f"column {target!r} is both the target and dropped")
        notes: list[str] = []
        data = _with_target(self.reading.cleaned(data), target, notes)
        fitted, train, held = self._describe(data, target, drop)
        if self.class_weight is not None and not isinstance(fitted[1], ClassTarget):
            raise ValueError(f"class_weight needs classes; {target!r} is a number")
        network = self._network(len(fitted[0].feature_names), fitted[1])
        if self.validation_split and not len(held):
            notes.append("no row was held out: each class has a single one")
        notes += [*fitted[0].notes, *self._class_notes(fitted[1], data[target])]
        inputs, _ = fitted[0].transform(data, dtype=self.dtype)
        y = fitted[1].encode(data[target])
        before = self._fitted, self.notes
        self._fitted, self.notes = (network, *fitted, prior_of(fitted[1], y[train])), notes
        try:
            if on_described is not None:
                on_described()
            self._train(network, inputs, y, train, held, fitted[1], verbose)
        except BaseException:
            self._fitted, self.notes = before
            raise
        self.validation = None
        if len(held):
            self.validation = self._evaluation(data.iloc[held], inputs[held])
        return self

    def _describe(
        self, data: Frame, target: str, drop: Sequence[str]
    ) -> tuple[tuple[Preprocessing, Target], NDArray[np.int64], NDArray[np.int64]]:
        """What the columns and the target are, and which rows train and which are held out."""
        cells, decimal = data[target], self.reading.decimal
        found = fit_target(cells, task=self.task, decimal=decimal)
        train, held = np.arange(len(data)), np.arange(0)
        if self.validation_split:
            if len(data) < 2:
                raise ValueError("a row to train on and one to validate need 2 rows of the target")
            labels = found.encode(cells) if isinstance(found, ClassTarget) else None
            train, held = split_rows(
                len(data), share=self.validation_split, seed=self.seed, labels=labels
            )
        if isinstance(found, NumberTarget):  # whose scale comes from the training rows alone
            found = fit_target(cells, task="regression", rows=train, decimal=decimal)
        inputs = data.drop(columns=[target, *drop])
        return (Preprocessing.fit(inputs, rows=train, reading=self.reading), found), train, held

    def _network(self, n_inputs: int, target: Target) -> Network:
        is_class = isinstance(target, ClassTarget)
        loss = resolve_loss(self.loss or ("cross_entropy" if is_class else "mse"))
        known = ("cross_entropy",) if is_class else NUMBER_LOSSES
        if loss.name not in known:
            raise ValueError(
                f"loss {loss.name!r} does not go with a {target.task}; those that do: "
                f"{', '.join(known)}"
            )
        return Network(
            [n_inputs, *self.hidden, target.n_outputs], activation=self.activation, loss=loss,
            optimizer=self.optimizer, dtype=self.dtype, seed=self.seed, backend=self.backend,
        )  # fmt: skip

    def _train(
        self, network: Network, inputs: NDArray[Any], y: NDArray[Any], train: NDArray[np.int64],
        held: NDArray[np.int64], target: Target, verbose: bool | int | str,
    ) -> None:  # fmt: skip
        weight = self.class_weight
        if isinstance(weight, Mapping):
            assert isinstance(target, ClassTarget)
            place = {str(name): i for i, name in enumerate(target.classes)}
            for name in weight:
                if str(name) not in place:
                    known = frame.listed(target.classes)
                    raise ValueError(f"class_weight has a class {name!r}, classes are {known}")
            weight = {place[str(name)]: value for name, value in weight.items()}
        callbacks = [EarlyStopping(patience=self.patience)] if len(held) else []
        with warnings.catch_warnings():  # a rare value far out is no column far out
            warnings.filterwarnings("ignore", "column .* of X is", UserWarning)
            network.fit(
                inputs[train], y[train], epochs=self.epochs, batch_size=self.batch_size,
                validation_data=(inputs[held], y[held]) if len(held) else None,
                class_weight=weight, callbacks=callbacks, max_seconds=self.max_seconds,
                verbose=verbose,
            )  # fmt: skip

    def _class_notes(self, target: Target, cells: frame.Cells) -> list[str]:
        """Classes that are much rarer than others."""
        if not isinstance(target, ClassTarget) or self.class_weight is not None:
            return []
        counts = np.bincount(target.encode(cells), minlength=len(target.classes))
        if counts.min() * len(counts) >= _RARE * counts.sum():
            return []
        rare, often = int(counts.argmin()), int(counts.argmax())
        shares = 100 * counts / counts.sum()
        return [
            f"classes are uneven: {str(target.classes[often])!r} {shares[often]:.3g} %, "
            f"{str(target.classes[rare])!r} {shares[rare]:.3g} % of the rows; --class-weight "
            "balanced (class_weight='balanced') counts them alike"
        ]

    # use

    @property
    def network(self) -> Network:
        return self._parts()[0]

    @property
    def preprocessing(self) -> Preprocessing:
        return self._parts()[1]

    @property
    def target(self) -> Target:
        return self._parts()[2]

    @property
    def prior(self) -> NDArray[Any]:
        """The frequency of each class in training, or the mean."""
        return self._parts()[3]

    @property
    def history(self) -> History:
        return self.network.history

    @property
    def columns(self) -> tuple[str, ...]:
        return self.preprocessing.names

    @property
    def ignored(self) -> dict[str, str]:
        return dict(self.preprocessing.ignored)

    @property
    def classes_(self) -> NDArray[Any] | None:
        target = self.target
        return target.labels if isinstance(target, ClassTarget) else None

    def predict(self, table: Any) -> NDArray[Any]:
        """The class of each row, or the number in the target's unit, (n,).

        Columns are found by name; others are ignored.  Missing cells are imputed, categories that
        training did not see encoded as none.

        Warns:
            UserWarning: how many such cells there are, of columns that had no gap in training.

        Raises:
            ValueError: a column is missing, or a row has a cell that is not of its column's kind.
        """
        return self.target.decode(self.network.predict(self._inputs(frame.as_frame(table))))

    def predict_proba(self, table: Any) -> NDArray[Any]:
        """The probability of each of `classes_`, (n, n_classes).

        Raises:
            ValueError: as `predict`; TypeError of a regression.
        """
        if not isinstance(self.target, ClassTarget):
            raise TypeError(f"predict_proba needs classes; {self.target.name!r} is a number")
        return self.network.predict(self._inputs(frame.as_frame(table)))

    def evaluate(self, table: Any) -> Evaluation:
        """Metrics of the predictions for a table that has the target: a dict with a confusion
        matrix or a summary of residuals, which `print` shows.

        Raises:
            ValueError: as `predict`; the target is missing in all rows, or has unknown classes.
        """
        data = frame.as_frame(table)
        name = self.target.name
        frame.check_columns([name], list(map(str, data.columns)), where="the table")
        data = _with_target(self.preprocessing.reading.cleaned(data), name, [])
        if not len(data):
            raise ValueError(f"target {name!r} has no value in any row")
        return self._evaluation(data, self._inputs(data))

    def _inputs(self, data: Frame) -> NDArray[Any]:
        inputs, odd = self.preprocessing.transform(data, dtype=self.network.dtype)
        if odd.unfit:
            row, why = next(iter(odd.unfit.items()))
            raise ValueError(f"data row {row + 1} of the table cannot be predicted: {why}")
        marked = {column.name for column in self.preprocessing.columns if column.indicator}
        odd.missing = {name: n for name, n in odd.missing.items() if name not in marked}
        notes = odd.notes()
        if notes:
            warnings.warn("; ".join(notes), UserWarning, stacklevel=level_of_caller())
        return inputs

    def _evaluation(self, data: Frame, inputs: NDArray[Any]) -> Evaluation:
        network, _, target, prior = self._parts()
        response = network.predict(inputs)
        cells = data[target.name]
        if isinstance(target, ClassTarget):
            return Evaluation(target, target.encode(cells), response, prior)
        return Evaluation(target, target.numbers(cells), target.decode(response), prior)

    def _parts(self) -> tuple[Network, Preprocessing, Target, NDArray[Any]]:
        if self._fitted is None:
            raise RuntimeError("this TableModel is not fitted: call fit(table, target=...) first")
        return self._fitted

    def __repr__(self) -> str:
        if self._fitted is None:
            return f"TableModel(hidden={self.hidden}), not fitted"
        target = self.target
        return f"TableModel({target.task} of {target.name!r} from {len(self.columns)} columns)"

    # files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one file, whole or not at all; `fastbp predict` reads it too.  Raises OSError."""
        network, preprocessing, target, prior = self._parts()
        extra = to_extra(preprocessing, target, prior, self.history)
        write(path, snapshot(network._state, extra=extra))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, backend: str | None = None) -> Self:
        """Read what `save` or `fastbp train` wrote.

        Raises:
            ModelFormatError: it is damaged, or has no description of a table.
            OSError: it cannot be read.
        """
        frame.import_pandas()
        try:
            held = read(path)
            network = Network._from_snapshot(held, backend=backend)
            preprocessing, target, prior, history = from_extra(held.extra)
        except (ValueError, TypeError) as error:
            raise ModelFormatError(f"{os.fspath(path)!r}: {error}") from error
        shape = len(preprocessing.feature_names), target.n_outputs
        if shape != (network.n_features, network.n_outputs):
            raise ModelFormatError(
                f"{os.fspath(path)!r}: the description of the table does not fit the network"
            )
        if not len(network.history):
            network.history = history
        model = cls(seed=network.seed, backend=backend)
        model.reading = preprocessing.reading
        model._fitted = network, preprocessing, target, prior
        return model


def _optimizer(optimizer: str | Optimizer, learning_rate: float | None) -> Optimizer:
    found = resolve_optimizer(optimizer)
    if learning_rate is None:
        return found
    if not isinstance(optimizer, str):
        raise ValueError("pass learning_rate with the name of an optimizer; an object has its own")
    kind: Any = OPTIMIZERS[found.name]
    return kind(learning_rate)


def _with_target(data: Frame, target: str, notes: list[str]) -> Frame:
    """The rows that have a value of the target."""
    missing = frame.missing_cells(data[target])
    if missing.any():
        rows = frame.rows_shown(missing, data[target])
        notes.append(f"left out, without {target!r}: {missing.sum()} of {len(data)} ({rows})")
        data = data[~missing]
    return data
