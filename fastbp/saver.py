"""What keeps a network and brings it back: copies, pickles, files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO, Any, Self

from fastbp.backend import resolve_backend
from fastbp.check.message import shown
from fastbp.check.metadata import check_metadata
from fastbp.description import Snapshot, arguments, describe
from fastbp.error import ModelFormatError
from fastbp.history import History
from fastbp.metric import Function
from fastbp.runtime import rate, snapshot
from fastbp.runtime.state import State


class Saver:
    """The part of a `Network` that keeps it; not made on its own."""

    _state: State
    _init: Callable[..., None]  # that of `Network`

    def save(
        self, path: str | os.PathLike[str] | IO[bytes], metadata: dict[str, Any] | None = None
    ) -> None:
        """Write all of the network to one file, whole or not at all: description, parameters,
        optimizer, counters, history, the names of the columns of X, and what a further `fit` needs
        to go on to the bit, in another process too (docs/model_file.md).

        Args:
            path: of a .safetensors file, which needs `pip install 'fastbp[safetensors]'`, or of an
                .npz archive, which needs nothing; also an open binary file.
            metadata: yours, as JSON can hold it, in the place of `.metadata`.

        Raises:
            ValueError: a parameter is not finite, `metadata` is too long or not finite, the name
                is one of another format (model.pt), the place is no regular file.
            TypeError: JSON cannot hold `metadata`, or no file the state of a callback.
            ImportError: `safetensors` is not installed.
            OSError: the file cannot be written; an older one is as it was.

        Warns:
            UserWarning: a metric is a function, which no file holds; everything else is written.

        >>> import io, fastbp as fb
        >>> net, file = fb.Network([2, 4, 1], seed=0), io.BytesIO()
        >>> net.save(file, metadata={"note": "before training"})
        >>> _ = file.seek(0)
        >>> fb.Network.load(file).metadata
        {'note': 'before training'}
        """
        from fastbp.storage import checkpoint

        held = snapshot.snapshot(self._state)
        if metadata is not None:
            held.metadata = check_metadata(metadata)
        checkpoint.write(path, held)
        snapshot.warn_of_functions(self._state)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | IO[bytes],
        *,
        backend: str | None = None,
        loss: Function | None = None,
    ) -> Self:
        """Read what `save` wrote, of either format whatever the file is called.

        Args:
            loss: the function, where the network was made with `loss=function`: a file has its name
                alone.  Without it such a network predicts, and everything else raises ValueError.

        Raises ModelFormatError, also of a file of `TableModel`, whose network alone would take
        cells for what they are not; OSError; nothing in the file is ever run.
        """
        from fastbp.storage import checkpoint

        backend = resolve_backend(backend)  # an unknown one is no fault of the file
        held = checkpoint.read(path)
        if isinstance(held.extra, dict) and {"preprocessing", "target"} <= held.extra.keys():
            raise ModelFormatError(
                f"{shown(path)} was made by fastbp train: use fb.TableModel.load(path), whose "
                ".network is the network without columns, categories and classes"
            )
        network = cls._from_snapshot(held, backend=backend)
        if loss is not None:
            snapshot.set_loss(network._state, loss)
        return network

    @property
    def metadata(self) -> dict[str, Any]:
        """Yours: what files hold beside the network, as JSON can hold it.  Can be set.

        >>> import fastbp as fb
        >>> net = fb.Network([2, 1], seed=0)
        >>> net.metadata["trained on"] = "2026-11"
        """
        return self._state.metadata

    @metadata.setter
    def metadata(self, metadata: dict[str, Any]) -> None:
        self._state.metadata = check_metadata(metadata)

    def get_config(self) -> dict[str, Any]:
        """A description that JSON can hold, without the parameters and without metrics that are
        functions.
        """
        return self._state.description.to_config()

    @classmethod
    def from_config(cls, config: dict[str, Any], *, backend: str | None = None) -> Self:
        """A network at its initial values from what `get_config` described.

        Raises TypeError for anything but a dict, ValueError where one of its entries is missing.
        """
        held = arguments(config)
        return cls(**held, backend=backend or config.get("backend"))  # type: ignore[call-arg]

    def copy(self) -> Self:
        """An independent network in the same state: parameters, optimizer, random streams."""
        if not self._makes_more():
            return self._of(snapshot.twin(self._state))
        twin = self._vacant(self.get_config(), backend=self._state.backend)
        rate.assign(twin._state, self._state.optimizer.learning_rate)
        twin.metrics = self._state.description.metrics  # type: ignore[attr-defined]
        if self._state.loss.is_own:
            twin._state.description, twin._state.loss = self._state.description, self._state.loss
        snapshot.restore(twin._state, snapshot.snapshot(self._state))
        twin._state.history = History()
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What `copy.deepcopy` and `pickle` take along: `copy` and the history.

        The default backend becomes that of the place where a pickle is read.  A metric that is a
        function is pickled too; where that cannot be, it is left out with a UserWarning.
        """
        return snapshot.pickled(self._state)

    def __setstate__(self, held: dict[str, Any]) -> None:
        twin = self._vacant(held["config"], backend=held["backend"])
        if "learning_rate" in held:
            rate.assign(twin._state, held["learning_rate"])
        if held.get("loss") is not None and held["loss"].function is not None:
            snapshot.set_loss(twin._state, held["loss"].function)
        if "metrics" in held:
            twin.metrics = snapshot.unpickled_metrics(held["metrics"])  # type: ignore[attr-defined]
        snapshot.restore(twin._state, held["snapshot"])
        self.__dict__ = twin.__dict__

    @classmethod
    def _makes_more(cls) -> bool:
        """Whether a subclass has an `__init__` of its own, which has to be called."""
        return cls.__init__ is not cls._init

    @classmethod
    def _vacant(cls, config: dict[str, Any], *, backend: str | None) -> Self:
        """The same whose numbers are about to be set: no initial values are drawn."""
        if cls._makes_more():
            return cls.from_config(config, backend=backend)
        description = describe(**arguments(config))
        return cls._of(State(description, backend=backend or config.get("backend"), draws=False))

    @classmethod
    def _of(cls, state: State) -> Self:
        network = cls.__new__(cls)
        network._state = state
        return network

    @classmethod
    def _from_snapshot(cls, held: Snapshot, *, backend: str | None) -> Self:
        try:
            network = cls._vacant(held.config, backend=backend)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ModelFormatError(f"the file describes no valid network: {error!r}") from error
        snapshot.restore(network._state, held)
        return network
