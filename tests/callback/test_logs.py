"""What callbacks write: model files, a CSV file, TensorBoard's."""

import csv
from importlib.util import find_spec

import numpy as np
import pytest
from support.network_state import classification, digest
from support.refusal import Bad, bad_input

import fastbp as fb


def _case(backend: str):
    X, y = classification(60, 4, 3)
    network = fb.Network([4, 8, 3], loss="cross_entropy", seed=1, backend=backend)
    return network, X[:40], y[:40], (X[40:], y[40:])


def test_a_file_an_epoch(backend, tmp_path):
    network, X, y, validation_data = _case(backend)
    path = tmp_path / "made" / "{epoch:02d}-{val_loss:.2f}.npz"
    history = network.fit(
        X, y, epochs=3, validation_data=validation_data, callbacks=[fb.ModelCheckpoint(path)]
    )
    names = [f"{i + 1:02d}-{loss:.2f}.npz" for i, loss in enumerate(history["val_loss"])]
    assert sorted(p.name for p in path.parent.iterdir()) == names
    assert digest(fb.Network.load(path.parent / names[-1])) == digest(network)


def test_the_best_alone(backend, tmp_path):
    network, X, y, _ = _case(backend)
    save = fb.ModelCheckpoint(tmp_path / "{epoch}.npz", "loss", save_best_only=True)
    falling = [3.0, 2.0, 2.5, 1.0]

    class Measure(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["loss"] = falling[epoch]

    network.fit(X, y, epochs=4, callbacks=[Measure(), save])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1.npz", "2.npz", "4.npz"]
    assert save.best == 1.0
    save = fb.ModelCheckpoint(
        tmp_path / "t.npz", "loss", save_best_only=True, initial_value_threshold=0.0
    )
    network.fit(X, y, epochs=4, callbacks=[save])
    assert not (tmp_path / "t.npz").exists()


def test_after_so_many_batches(backend, tmp_path):
    """Counted through the epochs: 5 of each, saved after 4, 8, 12."""
    network, X, y, _ = _case(backend)
    save = fb.ModelCheckpoint(tmp_path / "{epoch}-{batch}.npz", save_freq=4)
    network.fit(X, y, epochs=3, batch_size=8, callbacks=[save])
    found = {p.name: fb.Network.load(p).steps for p in tmp_path.iterdir()}
    assert found == {"1-4.npz": 4, "2-3.npz": 8, "3-2.npz": 12}


def test_no_file_named_after_what_was_not_measured(backend, tmp_path):
    network, X, y, validation_data = _case(backend)
    save = fb.ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.1f}.npz")
    network.fit(
        X, y, epochs=4, validation_data=validation_data, validation_freq=2, callbacks=[save]
    )
    assert sorted(p.name[0] for p in tmp_path.iterdir()) == ["2", "4"]


@pytest.mark.parametrize(
    "bad",
    [
        Bad("monitor", {"save_freq": 0}, ValueError, "save_freq must be 'epoch' or an integer"),
        Bad("monitor", {"save_freq": "batch"}, ValueError, "save_freq must be 'epoch' or an"),
        Bad("monitor", {"save_weights_only": True}, ValueError, "a file holds the whole network"),
    ],
)
def test_checkpoint_options(bad):
    with pytest.raises(bad.error, match=bad.text):
        fb.ModelCheckpoint("model.npz", **bad.call)


def test_a_line_an_epoch(backend, tmp_path):
    network, X, y, validation_data = _case(backend)
    network.metrics = ("accuracy",)
    options = {"validation_data": validation_data, "validation_freq": 2}
    log = fb.CSVLogger(tmp_path / "log.csv", separator=";")
    history = network.fit(X, y, epochs=4, callbacks=[log], **options)
    with open(tmp_path / "log.csv", newline="") as file:
        head, *rows = csv.reader(file, delimiter=";")
    assert head == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    for i, name in enumerate(head[1:], 1):
        cells = ["NA" if value is None else repr(value) for value in history.rows(name)]
        assert [row[i] for row in rows] == cells


def test_a_file_goes_on(backend, tmp_path):
    network, X, y, _ = _case(backend)
    path = tmp_path / "log.csv"
    for first in (0, 2):
        log = fb.CSVLogger(path, append=True)
        network.fit(X, y, initial_epoch=first, epochs=first + 2, callbacks=[log])
    lines = path.read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2", "3"]
    network.fit(X, y, epochs=1, callbacks=[fb.CSVLogger(path)])
    assert len(path.read_text().splitlines()) == 2


@bad_input("callback that raises")
def test_a_file_that_cannot_be_written(backend, tmp_path):
    network, X, y, _ = _case(backend)
    with pytest.raises(FileNotFoundError):
        network.fit(X, y, epochs=3, callbacks=[fb.CSVLogger(tmp_path / "none" / "log.csv")])
    assert network.steps == 0 and network.history.stopped == "error"
    network.fit(X, y)


class Writer:
    """Stands for one of TensorBoard's."""

    made: list["Writer"] = []

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.histograms, self.is_closed = folder, [], [], False
        self.made.append(self)

    def add_scalar(self, tag, value, step):
        self.scalars.append((tag, value, step))

    def add_histogram(self, tag, values, step):
        self.histograms.append((tag, np.shape(values), step))

    def flush(self):
        pass

    def close(self):
        self.is_closed = True


def test_tensorboard(backend, tmp_path, monkeypatch):
    monkeypatch.setattr("fastbp.callback.tensorboard._writer_class", lambda: Writer)
    monkeypatch.setattr(Writer, "made", [])
    network, X, y, validation_data = _case(backend)
    board = fb.TensorBoard(tmp_path, histogram_freq=2, update_freq=3)
    history = network.fit(
        X, y, epochs=2, batch_size=8, validation_data=validation_data, callbacks=[board]
    )
    train, validation = Writer.made
    assert train.is_closed and validation.is_closed
    assert train.folder == str(tmp_path / "train")
    assert validation.scalars == [("epoch_loss", history["val_loss"][i], i) for i in range(2)]
    own = [entry for entry in train.scalars if entry[0] == "epoch_loss"]
    assert own == [("epoch_loss", history["loss"][i], i) for i in range(2)]
    assert [step for tag, _, step in train.scalars if tag == "batch_loss"] == [3, 6, 9]
    assert {(tag, step) for tag, _, step in train.histograms} == {
        (name, 0) for name in network.parameters
    }


@pytest.mark.skipif(find_spec("tensorboardX") is None, reason="tensorboardX is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_tensorboard_writes_files(backend, tmp_path):
    network, X, y, validation_data = _case(backend)
    board = fb.TensorBoard(tmp_path, histogram_freq=1)
    network.fit(X, y, epochs=2, validation_data=validation_data, callbacks=[board])
    assert sorted(p.parent.name for p in tmp_path.rglob("events*")) == ["train", "validation"]


def test_tensorboard_says_what_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'fastbp\[tensorboard\]'"):
        fb.TensorBoard()


@pytest.mark.parametrize(
    ("filepath", "options", "missing"),
    [
        ("model.npz", {"save_best_only": True, "monitor": "val_loss"}, "not val_loss"),
        ("{accuracy:.2f}.npz", {}, "not accuracy"),
        ("{epoch}-{val_loss:.2f}.npz", {}, "not val_loss"),
    ],
)
def test_numbers_that_batches_do_not_have(filepath, options, missing, backend, tmp_path):
    network, X, y, validation_data = _case(backend)
    network.metrics = ["accuracy"]
    save = fb.ModelCheckpoint(tmp_path / filepath, save_freq=2, **options)
    with pytest.raises(ValueError, match=f"after a batch there is the loss alone, {missing}"):
        network.fit(X, y, validation_data=validation_data, callbacks=[save])
    assert network.steps == 0


def test_names_that_cannot_be_filled(backend, tmp_path):
    network, X, y, _ = _case(backend)
    with pytest.raises(ValueError, match="filepath must name what it is filled with"):
        fb.ModelCheckpoint("{}.npz")
    save = fb.ModelCheckpoint(tmp_path / "{acc:.2f}.npz")
    text = r"cannot be filled \(KeyError\('acc'\)\); there are epoch"
    with pytest.raises(ValueError, match=text):
        network.fit(X, y, callbacks=[save])


def test_what_is_no_number_is_not_shown(backend, capsys):
    class Phase(fb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["phase"] = "warm-up"

    network, X, y, _ = _case(backend)
    network.fit(X, y, callbacks=[Phase()], verbose=2)
    assert "loss" in (text := capsys.readouterr().out) and "phase" not in text
