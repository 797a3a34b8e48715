"""What `Network.fit` returns: the figures of each epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class History:
    """Loss and metrics per epoch.

    Attributes:
        history: name -> list of float, one value per epoch ("loss", "accuracy", "val_loss", ...).
        epoch: the numbers of the epochs, from 0.

    >>> past = History()
    >>> past.append(0, {"loss": 0.5, "val_loss": 0.75})
    >>> past
    History(epochs=1, loss=0.5, val_loss=0.75)
    >>> past.history["loss"]
    [0.5]
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def append(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the figures of one epoch."""
        self.epoch.append(int(epoch))
        for name, value in values.items():
            self.history.setdefault(name, []).append(float(value))

    def extend(self, epoch: int, losses: Iterable[float]) -> None:
        """Add the losses of `epoch` and those after it, of which there is nothing else to tell.

        All at once: an epoch of a small network takes no longer than an `append`.
        """
        found = [float(loss) for loss in losses]
        if found:
            self.history.setdefault("loss", []).extend(found)
        self.epoch.extend(range(epoch, epoch + len(found)))

    def __len__(self) -> int:
        return len(self.epoch)

    def __repr__(self) -> str:
        last = "".join(f", {name}={past[-1]:.6g}" for name, past in self.history.items() if past)
        return f"History(epochs={len(self.epoch)}{last})"
