"""`fit(backup=)`: a killed run goes on by itself."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest
from support import child
from support.network_state import classification, digest
from support.refusal import Bad, bad_input, refused
from support.resume_case import fit, make, result

import fastbp as fb

X, Y = classification(60, 4, 3)


def _net(backend=None, seed=0, **options):
    return fb.Network([4, 8, 3], loss="cross_entropy", seed=seed, backend=backend, **options)


class Killed(BaseException):
    """As the end of the process: nothing of the fit runs after it."""


class Kill(fb.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.steps == self.step:
            raise Killed


@pytest.mark.parametrize(
    "name", ["adam", "everything", "converted", "function", "batches", "draws", "draws, converted"]
)
def test_the_bits_of_a_run_that_nobody_ended(name, backend, tmp_path):
    """A backup after each part of 0.15 s of a clock by which a step takes 0.1 s."""
    whole, data = make(name, backend)
    fit(name, whole, data)
    path = tmp_path / "run.npz"
    for step in (3, 20, 21, 47):
        network, _ = make(name, backend)
        with patch("time.perf_counter", lambda: 0.1 * network.steps):  # noqa: B023
            keep = fb.Backup(path, every_seconds=0.15)
            with patch.object(fb.Backup, "end"), pytest.raises(Killed):
                fit(name, network, data, stop=Kill(step), backup=keep)
        assert fb.Network.load(path).steps > step - 4
    network, _ = make(name, backend)
    fit(name, network, data, backup=path)
    assert result(network) == result(whole) and not path.exists()


def test_the_file_at_the_end(tmp_path):
    path, options = tmp_path / "run.npz", {"batch_size": 8, "verbose": 0}
    reference = _net()
    reference.fit(X, Y, epochs=9, **options)
    _net().fit(X, Y, epochs=5, backup=path, **options)
    assert os.listdir(tmp_path) == []
    keep = fb.Backup(path, delete_checkpoint=False)
    _net(seed=0).fit(X, Y, epochs=5, backup=keep, **options)
    network = _net(seed=None)  # that of the file is taken up
    assert len(network.fit(X, Y, epochs=5, backup=keep, **options)) == 0
    assert network.epochs == 5 and network.seed == 0
    history = network.fit(X, Y, epochs=9, backup=keep, **options)
    assert history.epoch == [5, 6, 7, 8] and digest(network) == digest(reference)
    assert network.history.history == reference.history.history
    # after what is no end it stays
    path.unlink()

    def interrupt(epoch, logs):
        raise KeyboardInterrupt  # not by a signal, which a process in the background may ignore

    fails = fb.LambdaCallback(on_epoch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        _net().fit(X, Y, epochs=9, backup=path, callbacks=[fails], **options)
    network = _net()
    network.fit(X, Y, epochs=9, backup=path, **options)
    assert digest(network) == digest(reference) and os.listdir(tmp_path) == []
    _net().fit(X, Y, epochs=10**9, max_seconds=0.05, backup=path, **options)
    assert fb.Network.load(path).history.stopped == "max_seconds"


@bad_input("backup")
def test_of_another_run(tmp_path):
    path = tmp_path / "run.npz"
    keep = fb.Backup(path, delete_checkpoint=False)
    _net().fit(X, Y, epochs=2, backup=keep)
    for network, options, text in (
        (fb.Network([4, 7, 3], loss="cross_entropy", seed=1), {}, "of another network: layers di"),
        (_net(optimizer="sgd"), {}, "of another network: optimizer differs$"),
        (_net(), {"batch_size": 7}, "is of other data: batch_size differs$"),
        (_net(), {"X": X + 1}, "is of other data: data differ"),
        (_net(), {"epochs": 1}, "stands at epoch 2, initial_epoch and epochs are 0 and 1"),
        (_net(), {"callbacks": 3}, "callbacks must be a list"),
    ):
        options = {"epochs": 3, "backup": keep, "X": X, "y": Y, **options}
        error = TypeError if "callbacks" in options else ValueError
        refused(network, lambda o=options, n=network: n.fit(**o), error, text)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(fb.ModelFormatError, match="^backup '.*run.npz': no checksum at the end"):
        _net().fit(X, Y, backup=keep)


@pytest.mark.parametrize(
    "bad",
    [
        Bad("backup", {"backup": 3}, TypeError, "backup must be a path or a fastbp.Backup, got 3"),
        Bad("backup", {"backup": "run.pt"}, ValueError, "would be one of PyTorch"),
        Bad("backup", {"backup": "none/run.npz"}, FileNotFoundError, "No such file"),
    ],
)
def test_what_is_no_backup(bad):
    network = _net()
    refused(network, lambda: network.fit(X, Y, **bad.call), bad.error, bad.text)


def test_a_backup_that_cannot_be_written(tmp_path):
    def fails(*_):
        raise OSError(28, "No space left on device", "run.npz")

    reference, network = _net(), _net()
    reference.fit(X, Y, epochs=5)
    with patch("fastbp.storage.checkpoint.replace_file", fails):
        keep = fb.Backup(tmp_path / "run.npz", every_seconds=1e-9, delete_checkpoint=False)
        with pytest.warns(UserWarning, match="training goes on: .*No space left") as found:
            network.fit(X, Y, epochs=5, backup=keep)
    assert digest(network) == digest(reference) and len(found) == 1


def test_a_state_that_no_file_holds(tmp_path):
    """The run does not end for it."""

    class Odd(fb.Callback):
        def get_state(self):
            return {"held": object()}

    reference, network = _net(), _net()
    reference.fit(X, Y, epochs=3)
    keep = fb.Backup(tmp_path / "run.npz", every_seconds=1e-9)
    with pytest.warns(UserWarning, match="training goes on: state of Odd: no file holds"):
        network.fit(X, Y, epochs=3, backup=keep, callbacks=[Odd()])
    assert digest(network) == digest(reference)


@pytest.mark.slow
def test_kill(tmp_path):
    """The signal, at any moment."""
    code = """
import sys, json
import numpy as np, fastbp as fb
from support.network_state import classification, digest
X, y = classification(4000, 20, 5)
net = fb.Network([20, 64, 64, 5], loss="cross_entropy", optimizer="adam", seed=1)
keep = fb.Backup("PATH", every_seconds=0.02)
net.fit(X, y, epochs=40, batch_size=16, backup=keep, callbacks=[fb.EarlyStopping(patience=50)])
print(json.dumps([digest(net), net.history.history, net.history.epoch]))
"""
    reference = child.result(code.replace('"PATH"', f'"{tmp_path}/a.npz"'))
    code = code.replace('"PATH"', f'"{tmp_path}/b.npz"')
    for delay in (0.5, 0.6, 0.75, 0.9):
        killed = "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep("
        killed += f"{delay}), os.kill(os.getpid(), 9)), daemon=True).start()\n" + code
        child.run(killed)
    assert child.result(code) == reference and os.listdir(tmp_path) == []
