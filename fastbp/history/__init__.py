"""What `Network.fit` returns: the figures of each epoch, and how the fit ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

_SHOWN_ROWS = 20  # of a table that is printed


class History:
    """Loss and metrics per epoch.

    Attributes:
        history: name -> list of float ("loss", "accuracy", "val_loss", "learning_rate", ...).  A
            number that only some epochs have, as with a `validation_freq`, has a shorter list, as
            in Keras; `rows`, `to_frame` and tables put each where it belongs.
        epoch: the numbers of the epochs, from 0.
        stopped: why it ended before its last epoch: "early stopping", "stop_training" (set by
            another callback), "converged", "line search" or "damping" (of an optimizer that has
            found a minimum, or no way down), "max_seconds", "diverged", "interrupted" (Ctrl-C) or
            "error"; None where it did not.
        reason: the same in words.

    `history["loss"]` is short for `history.history["loss"]`; `print(history)` shows a table, a
    notebook the curves.

    >>> past = History()
    >>> past.append(0, {"loss": 0.5, "val_loss": 0.75})
    >>> past.append(1, {"loss": 0.25})
    >>> past
    History(epochs=2, loss=0.25, val_loss=0.75)
    >>> past["loss"]
    [0.5, 0.25]
    >>> print(past)
    epoch  loss  val_loss
        0   0.5      0.75
        1  0.25
    """

    # Of the class for those of older pickles.
    stopped: str | None = None
    reason: str | None = None
    is_whole_run = False  # one that `net.history` alone shows, of several fits
    __iter__ = None  # neither names nor epochs

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        # name -> positions in `epoch`, of the names that some epoch in between lacks
        self._place: dict[str, list[int]] = {}

    def append(self, epoch: int, values: Mapping[str, Any]) -> None:
        """Add the figures of one epoch; what is no number is left out."""
        position = len(self.epoch)
        self.epoch.append(int(epoch))
        for name, value in values.items():
            try:
                number = float(value)
            except (TypeError, ValueError):
                continue
            found = self.history.setdefault(name, [])
            if name in self._place or len(found) != position:
                self._place.setdefault(name, [*range(len(found))]).append(position)
            found.append(number)

    def amend(self, values: Mapping[str, Any]) -> None:
        """Set figures of the last epoch."""
        epoch, position = self.epoch.pop(), len(self.epoch)
        for name in values:
            found, place = self.history.get(name), self._place.get(name)
            if found and (len(found) - 1 if place is None else place[-1]) == position:
                found.pop()
                if place is not None:
                    place.pop()
        self.append(epoch, values)

    def extend(self, epoch: int, columns: Mapping[str, Sequence[float]]) -> None:
        """Add epochs, from this number on, all with the same names."""
        n, position = len(next(iter(columns.values()))), len(self.epoch)
        self.epoch.extend(range(epoch, epoch + n))
        for name, values in columns.items():
            found = self.history.setdefault(name, [])
            if name in self._place or len(found) != position:
                place = self._place.setdefault(name, [*range(len(found))])
                place.extend(range(position, position + n))
            found.extend(values)

    def set_column(self, name: str, values: Iterable[float]) -> None:
        """A number for each epoch there is."""
        self.history[name] = [float(value) for value in values]
        self._place.pop(name, None)

    def copy(self) -> History:
        """Another of the same figures."""
        twin = History()
        twin.history = {name: [*values] for name, values in self.history.items()}
        twin._place = {name: [*place] for name, place in self._place.items()}
        twin.epoch, twin.stopped, twin.reason = [*self.epoch], self.stopped, self.reason
        return twin

    def cut(self, epoch: int) -> None:
        """Leave out the epochs from this number on."""
        n = sum(number < epoch for number in self.epoch)
        if n == len(self.epoch):
            return
        for name, values in [*self.history.items()]:
            place = self._place.get(name, range(len(values)))
            kept = sum(position < n for position in place)
            del values[kept:]
            if name in self._place:
                del self._place[name][kept:]
            if not values:
                del self.history[name]
                self._place.pop(name, None)
        del self.epoch[n:]

    def rows(self, name: str) -> list[float | None]:
        """The values of a name, one for each epoch; None where it has none.

        >>> past = History()
        >>> for epoch in range(4):
        ...     past.append(epoch, {"loss": 1.0} | ({"val_loss": 2.0} if epoch % 2 else {}))
        >>> past["val_loss"], past.rows("val_loss")
        ([2.0, 2.0], [None, 2.0, None, 2.0])
        """
        values = self.history[name]
        found: list[float | None] = [None] * len(self.epoch)
        for position, value in zip(self._place.get(name, range(len(values))), values, strict=True):
            found[position] = value
        return found

    def __getitem__(self, name: str) -> list[float]:
        return self.history[name]

    def __contains__(self, name: object) -> bool:
        return name in self.history

    def __len__(self) -> int:
        """Number of epochs."""
        return len(self.epoch)

    def __repr__(self) -> str:
        last = "".join(f", {name}={past[-1]:.6g}" for name, past in self.history.items() if past)
        stopped = f", stopped={self.stopped!r}" if self.stopped else ""
        return f"History(epochs={len(self.epoch)}{last}{stopped})"

    def __str__(self) -> str:
        from fastbp.history import show

        return show.table(self._columns(), _SHOWN_ROWS, self._end())

    def _repr_html_(self) -> str:
        from fastbp.history import show

        return show.html(self._columns(), _SHOWN_ROWS, self._end())

    def to_frame(self) -> pandas.DataFrame:
        """A pandas DataFrame: a row an epoch, a column a name, NaN where an epoch has none.

        Raises ImportError without pandas: `pip install 'fastbp[csv]'`.
        """
        from fastbp.history import show

        return show.frame(self._columns())

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file: a row an epoch, a column a name, an empty cell where an epoch has none.

        The numbers are those of the history to the bit: `csv` and pandas read them back as they
        were.  A file of that name is replaced.

        Raises:
            OSError: the file cannot be written.

        >>> import pathlib, tempfile
        >>> past = History()
        >>> past.append(0, {"loss": 0.5, "val_loss": 0.75})
        >>> past.append(1, {"loss": 0.25})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "history.csv")
        ...     past.to_csv(path)
        ...     path.read_text().splitlines()
        ['epoch,loss,val_loss', '0,0.5,0.75', '1,0.25,']
        """
        from pathlib import Path

        from fastbp.history import show

        Path(path).write_text(show.csv(self._columns()), encoding="utf-8")

    def plot(self, ax: Any = None) -> list[Any]:
        """Draw the losses, each metric and the learning rate, with matplotlib.

        Args:
            ax: Axes for the losses alone, or a list of them for the losses and what follows; None
                for a new figure with one for each.

        Returns:
            The Axes drawn on; `axes[0].figure.savefig("history.png")` writes them.

        Raises:
            ImportError: without matplotlib: `pip install 'fastbp[plot]'`.
        """
        from fastbp.history import show

        return show.plot(self._columns(), ax)

    def _columns(self) -> dict[str, list[Any]]:
        """One value for each epoch, their numbers before all others."""
        return {"epoch": self.epoch} | {name: self.rows(name) for name in self.history}

    def _end(self) -> str:
        return f"stopped: {self.reason or self.stopped}" if self.stopped else ""
