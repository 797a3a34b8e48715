"""What a file holds beside parameters: metadata, names, history, states; and files of before."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support import child
from support.network_state import classification, digest
from support.refusal import Bad, bad_input, refused
from support.tolerance import assert_near

import fastbp as fb
from fastbp.error import ModelFormatError
from fastbp.storage import archive, checkpoint
from fastbp.storage.header import write_header

X, Y = classification(40, 4, 2)
FILES = Path(__file__).parent / "file"


def _net(**options):
    return fb.Network([4, 5, 2], loss="cross_entropy", seed=0, **options)


def again(network, **options):
    file = io.BytesIO()
    network.save(file, **options)
    return fb.Network.load(io.BytesIO(file.getvalue()))


def changed(network, change):
    """The file of a network with another header, signed."""
    header, arrays = archive.unpack(bytes_of(network))
    change(header, arrays)
    own = {name: header[name] for name in header if name not in ("format", "version", "writer")}
    return io.BytesIO(archive.pack(write_header(own), arrays))


def bytes_of(network):
    file = io.BytesIO()
    network.save(file)
    return file.getvalue()


# metadata


def test_metadata(tmp_path):
    network = _net()
    assert network.metadata == {}
    held = {"unit": "mm", "limits": [0, 1.5, None, True], "of": {"a": "ü"}}
    network.save(tmp_path / "m.npz", metadata=held)
    assert network.metadata == {}
    found = fb.Network.load(tmp_path / "m.npz")
    assert found.metadata == held
    assert again(found).metadata == held and again(found, metadata={}).metadata == {}
    assert found.copy().metadata == pickle.loads(pickle.dumps(found)).metadata == held


@bad_input("metadata")
@pytest.mark.parametrize(
    "bad",
    [
        Bad("metadata", 3, TypeError, "^metadata must be a dict, got 3$"),
        Bad("metadata", {1: 2}, TypeError, "^keys of metadata must be str, got 1$"),
        Bad("metadata", {"a": [{1: 2}]}, TypeError, r"^keys of metadata\['a'\]\[0\] must be str"),
        Bad("metadata", {"a": np.ones(2)}, TypeError, r"^metadata\['a'\] must be what JSON holds"),
        Bad("metadata", {"a": np.nan}, ValueError, r"^metadata\['a'\] must be finite, got nan$"),
        Bad("metadata", {"a": "x" * 2**22}, ValueError, "at most 4194304 can be stored"),
        Bad("metadata", {str(i): i for i in range(10**5)}, ValueError, "too many entries"),
    ],
)
def test_bad_metadata(bad):
    network = _net()
    refused(network, lambda: network.save(io.BytesIO(), metadata=bad.call), bad.error, bad.text)


# names of columns


def test_names_of_columns():
    frame = pytest.importorskip("pandas").DataFrame(X, columns=["a", "b", "c", "d"])
    network = _net()
    network.fit(frame, Y)
    found = again(network)
    assert found.feature_names == ("a", "b", "c", "d")
    assert (found.predict(frame) == network.predict(X)).all()
    for call in (found.predict, lambda X: found.evaluate(X, Y)):
        with pytest.raises(ValueError, match="must be in the same order"):
            call(frame[["b", "a", "c", "d"]])


def test_many_names():
    names = [f"column {i}, as long as names may be" for i in range(20_000)]
    network = fb.Network([20_000, 1], seed=0)
    network._state.feature_names = tuple(names)
    assert again(network).feature_names == tuple(names)


# history and callbacks


def test_history_with_gaps():
    network = _net(metrics=["accuracy"])
    network.fit(X, Y, epochs=7, validation_data=(X, Y), validation_freq=3)
    found = again(network).history
    assert str(found) == str(network.history) and found.rows("val_loss")[4] is None
    assert found.history == network.history.history and found.reason is None


def test_state_of_a_callback():
    class Own(fb.Callback):
        state = {
            "n": 3, "x": 1e-300, "nan": float("nan"), "text": "ü", "none": None, "pairs": [(1, 2)],
            "arrays": [np.arange(3), np.eye(2, dtype=np.float32), np.array([True, False])],
        }  # fmt: skip
        found = None

        def get_state(self):
            return self.state

        def set_state(self, state):
            self.found = state

    network, own = _net(), Own()
    network.fit(X, Y, epochs=2, callbacks=[own])
    found = again(network)
    found.fit(X, Y, epochs=2, initial_epoch=2, callbacks=[own])
    assert own.found is None  # nothing to go on with
    found.fit(X, Y, epochs=3, initial_epoch=2, callbacks=[fb.TerminateOnNaN(), own])
    assert own.found.pop("pairs") == [[1, 2]] and np.isnan(own.found.pop("nan"))
    for a, b in zip(own.found.pop("arrays"), own.state["arrays"], strict=True):
        assert a.dtype == b.dtype and (a == b).all()
    assert own.found == {"n": 3, "x": 1e-300, "text": "ü", "none": None}
    own.found = None
    found.fit(X, Y, epochs=3, callbacks=[own])
    assert own.found is None  # another run


@bad_input("state of a callback")
@pytest.mark.parametrize("state", [{"a": object()}, {"a": np.array("x")}, {"a": {1: 2}}, {"a": 1j}])
def test_state_that_no_file_holds(state, tmp_path):
    class Own(fb.Callback):
        def get_state(self):
            return state

    network = _net()
    network.fit(X, Y, callbacks=[Own()])
    refused(network, lambda: network.save(tmp_path / "m.npz"), TypeError, "^state of Own: ")
    assert not list(tmp_path.iterdir())


def test_what_the_user_has_set_since_stays():
    """Early stopping left the best weights; those of a user are not replaced by the last ones."""
    network = _net(optimizer=fb.SGD(3.0))
    stop = fb.EarlyStopping("accuracy", patience=50)
    network.metrics = ["accuracy"]
    network.fit(X, Y, epochs=9, callbacks=[stop])
    assert network._state.standing.parameters is not None
    own = [np.full_like(weight, 0.5) for weight in network.get_weights()]
    network.set_weights(own)
    network.learning_rate = 0.0
    for one in (network, again(network)):
        one.metrics = ["accuracy"]
        one.fit(X, Y, epochs=10, initial_epoch=9, callbacks=[fb.TerminateOnNaN()])
        assert all((a == b).all() for a, b in zip(one.get_weights(), own, strict=True))


@bad_input("epoch that was left")
def test_where_it_stands_decides():
    network = _net()
    network.fit(X, Y, epochs=2, batch_size=8)

    class Stop(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    network.fit(X, Y, epochs=4, initial_epoch=2, batch_size=8, callbacks=[Stop()])
    assert network.epochs == 2 and network.history.epoch == [0, 1, 2]
    stands = "the network stands after 2 batches of epoch 2, counted from 0"
    for options, text in (
        ({"initial_epoch": 3}, f"^initial_epoch must be 2, got 3: {stands}$"),
        ({"initial_epoch": 2, "batch_size": 4}, f"^initial_epoch=2: {stands} .* batch_size differ"),
        ({"initial_epoch": 2, "shuffle": False}, "; shuffle differs "),
    ):
        options = {"epochs": 4, "batch_size": 8, **options}
        refused(network, lambda o=options: network.fit(X, Y, **o), ValueError, text)
    with pytest.raises(ValueError, match="; data differ"):
        network.fit(X + 1, Y, epochs=4, batch_size=8, initial_epoch=2)
    network.fit(X, Y, epochs=3, batch_size=8, initial_epoch=2)
    assert network.epochs == 3 and network.steps == 15
    with pytest.warns(UserWarning, match="initial_epoch=2, but the last fit ended with epoch 2, c"):
        network.fit(X, Y, epochs=3, initial_epoch=2)


def test_epochs_of_several_fits_are_an_initial_epoch():
    """`net.epochs` counts those of all fits, and no fit warns of it; its history is its own."""
    network = _net()
    network.fit(X, Y, epochs=3)
    network.fit(X, Y, epochs=2)
    history = network.fit(X, Y, epochs=7, initial_epoch=network.epochs)
    assert history.epoch == network.history.epoch == [5, 6] and network.epochs == 7
    reference = _net()
    reference.fit(X, Y, epochs=7)
    assert digest(network) == digest(reference)


# files of before


def test_a_network_of_format_1():
    found = fb.Network.load(FILES / "network_1.npz")
    assert found.steps == 20 and found.epochs == 4 and found.feature_names is None
    expected = [0.9140264987945557, 0.5408398509025574, 0.5039861798286438]
    assert_near(found.predict(np.eye(3))[:, 1], expected, dtype="float32", length=11)
    expected = [0.8587855100631714, 0.46397173404693604, 0.47087597846984863]
    assert_near(found.predict(np.eye(3), ema=True)[:, 1], expected, dtype="float32", length=11)
    assert found.optimizer == fb.Adam(fb.CosineDecay(0.01, 100), ema=0.9)
    assert found.fit(X[:, :3], Y, initial_epoch=4, epochs=5).epoch == [4]
    assert digest(again(found)) == digest(found)


def test_a_table_of_format_1(tmp_path):
    held = checkpoint.read(FILES / "table_1.npz")
    assert held.extra.keys() == {"preprocessing", "target"} and held.metadata == {}
    (tmp_path / "data.csv").write_text("length,colour\n0.7876,red\n2.0756,blue\n")
    command = [sys.executable, "-P", "-m", "fastbp", "predict", str(FILES / "table_1.npz"),
               str(tmp_path / "data.csv"), "--probabilities"]  # fmt: skip
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [line.partition(",")[0] for line in lines] == ["kind", "oak", "oak"]
    found = [float(cell) for line in lines[1:] for cell in line.split(",")[1:]]
    expected = [0.450089067, 0.549910963, 0.438516408, 0.561483622]
    assert_near(found, expected, dtype="float32", length=8)


# what signed nonsense there may be of it


@bad_input("bad header")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata", []),
        ("feature_names", ["a"]),
        ("feature_names", [1, 2, 3, 4]),
        ("training", None),
        ("training/history", {}),
        ("training/history/reason", 3),
        ("training/history/figures", ["loss", 3]),
        ("training/history/figures", ["loss", "more"]),
        ("training/history/figures", []),
        ("training/history/places", ["loss"]),
        ("training/callbacks", {}),
        ("training/callbacks", [{"class": 1, "state": {}}]),
        ("training/callbacks", [{"class": "A", "state": {"a": {"array of the file": "x"}}}]),
        ("training/callbacks", [{"class": "A", "state": {"a": {"array of the file": []}}}]),
        ("training/kept", 1),
        ("training/kept", True),
        ("training/kept_rate", -1.0),
        ("training/kept_rate", 10**400),
        ("training/order", []),
        ("training/unfinished", {}),
        ("training/unfinished/number", -1),
        ("training/unfinished/batches", 1.5),
        ("training/unfinished/order", []),
        ("training/unfinished/order", {}),
        ("training/unfinished/order/metrics", ["accuracy"]),
        ("training/unfinished/figures", {"loss": "x"}),
        ("training/unfinished/figures", {"loss": 10**400}),
        ("training/unfinished/outputs", True),
        ("training/unfinished", None),
    ],
)
def test_headers(path, value):
    network = _left()

    def change(header, arrays):
        *folders, last = path.split("/")
        for folder in folders:
            header = header[folder]
        header[last] = value

    with pytest.raises(ModelFormatError):
        fb.Network.load(changed(network, change))
    assert fb.Network.load(changed(network, lambda *_: None)).steps == network.steps


def _left():
    network = _net()

    class Stop(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    network.fit(X, Y, epochs=2, batch_size=8, callbacks=[Stop(), fb.EarlyStopping("loss")])
    return network


@bad_input("bad array")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history/epoch", np.zeros(1)),
        ("history/figure/loss", np.zeros(3)),
        ("history/figure/loss", np.zeros((1, 1))),
        ("unfinished/sums", np.zeros(5)),
        ("unfinished/sums", np.zeros(2, np.float32)),
        ("more", np.zeros(2)),
    ],
)
def test_arrays(name, value):
    with pytest.raises(ModelFormatError):
        fb.Network.load(changed(_left(), lambda header, arrays: arrays.update({name: value})))


@bad_input("bad header", "bad array")
def test_hostile_files_take_little_memory():
    """A few times the file, and what is granted to a header."""
    network = _net()
    data = bytes_of(network)
    header, arrays = archive.unpack(data)
    text = write_header({n: header[n] for n in header if n not in ("format", "version", "writer")})
    hostile = {
        "brackets": b"[" + b"[]," * 300_000 + b"[]]",
        "strings": b"[" + b'"ab",' * 800_000 + b'"ab"]',
        "pairs": b"{" + b",".join(b'"%d":{}' % i for i in range(80_000)) + b"}",
        "deep": b'{"a":' * 16_000,
        "integers": text[:-1] + b',"x":' + b"7" * 10**6 + b"}",
        "spaces": b" " * 10**6,
    }
    for name, made in hostile.items():
        for packed in (archive.pack(made, arrays), _as_tensors(made, arrays)):
            tracemalloc.start()
            with pytest.raises(ModelFormatError):
                fb.Network.load(io.BytesIO(packed))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 16 * len(packed) + 2**23, (name, peak, len(packed))


def _as_tensors(header, arrays):
    from fastbp.storage import tensor_file

    pytest.importorskip("safetensors")
    return tensor_file.pack(header, arrays)


def test_streams():
    network = _net()
    with pytest.raises(TypeError, match="a model is read from a binary file"):
        fb.Network.load(io.StringIO("text"))
    with pytest.raises(ModelFormatError, match="not a fastbp model"):
        fb.Network.load(io.BytesIO(b"text"))
    assert digest(again(network)) == digest(network)


def test_nothing_of_a_file_is_imported_before_it_is_needed():
    code = """
import sys, json, fastbp
print(json.dumps([name for name in sys.modules if name.startswith(("safetensors", "zipfile",
      "fastbp.storage", "fastbp.runtime.backup", "fastbp.runtime.resume"))]))
"""
    assert child.result(code) == []
