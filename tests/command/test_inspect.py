"""`fastbp inspect`: what is in a model file, in words and as JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.network_state import classification

import fastbp as fb
from fastbp.command import main

FILES = Path(__file__).parents[1] / "storage/file"
X, Y = classification(40, 3, 2)


@pytest.fixture
def path(tmp_path):
    network = fb.Network(
        [fb.Input(3), fb.Dense(4, "relu", l2=0.001), fb.Dense(2)], loss="cross_entropy", seed=0,
        optimizer=fb.Adam(fb.CosineDecay(0.01, 100), ema=0.9), metrics=["accuracy"],
    )  # fmt: skip
    network.fit(X, Y, epochs=3, batch_size=8, callbacks=[fb.EarlyStopping()])
    network._state.feature_names = ("a", "b", "ü")
    network.save(tmp_path / "m.npz", metadata={"data": "1.csv", "limits": [0, 1]})
    return str(tmp_path / "m.npz")


def test_text(path, capsys):
    assert main(["inspect", path]) == 0
    text = capsys.readouterr().out
    for line in (
        f"  path: {path}",
        "  format: .npz",
        "    - Input(units=3)",
        "  loss: Loss('cross_entropy')",
        "  26 numbers",
        "  epochs: 3",
        "  callbacks: EarlyStopping",
        "  data: 1.csv",
        "  limits: 0, 1",
    ):
        assert f"{line}\n" in text, line
    assert "l2=0.001" in text and "Adam(learning_rate=CosineDecay(" in text and "  a, b, ü" in text
    sections = [line for line in text.splitlines() if line and not line.startswith(" ")]
    names = ["file", "architecture", "parameters", "training", "features", "metadata"]
    assert sections == names


def test_json(path, capsys):
    assert main(["inspect", "--json", path]) == 0
    found = json.loads(capsys.readouterr().out)
    network = fb.Network.load(path)
    assert found["architecture"]["layers"] == network.get_config()["layers"]
    kernel = network.parameters["dense_1/kernel"]
    own = found["parameters"]["dense_1/kernel"]
    assert own["shape"] == [3, 4] and own["mean"] == kernel.mean(dtype=float)
    assert found["training"]["last epoch"]["loss"] == network.history["loss"][-1]
    assert (found["training"]["steps"], found["training"]["epochs"]) == (15, 3)
    assert found["features"] == ["a", "b", "ü"] and "preprocessing" not in found
    assert len(found["file"]["sha256"]) == 64 and found["file"]["format version"] == 2


def test_what_is_not_there_is_left_out(tmp_path, capsys):
    fb.Network([2, 1], seed=0).save(tmp_path / "m.npz")
    assert main(["inspect", "--json", str(tmp_path / "m.npz")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [*found] == ["file", "architecture", "parameters", "training"]
    assert [*found["training"]] == ["optimizer", "steps", "epochs"]


def test_a_table(capsys):
    assert main(["inspect", str(FILES / "table_1.npz")]) == 0
    text = capsys.readouterr().out
    assert "      - length, mean 0.950036, scale 1.55873\n" in text
    assert "      - colour, categories blue, green, red\n" in text


def test_an_epoch_that_was_left_and_numbers_that_are_none(tmp_path, capsys):
    network = fb.Network([3, 2], loss="cross_entropy", seed=0)

    class Stop(fb.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    network.fit(X, Y, batch_size=8, callbacks=[Stop()])
    network.history.history["loss"][-1] = np.nan
    network.save(tmp_path / "m.npz")
    assert main(["inspect", "--json", str(tmp_path / "m.npz")]) == 0
    training = json.loads(capsys.readouterr().out)["training"]
    assert training["unfinished"] == "1 batches of epoch 0, counted from 0"
    assert training["last epoch"]["loss"] == "nan"


def test_a_damaged_file_is_one_line(path, tmp_path, capsys):
    (tmp_path / "bad.npz").write_bytes(Path(path).read_bytes()[:-1])
    for name in ("bad.npz", "none.npz", ""):
        assert main(["inspect", str(tmp_path / name)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and name in err
