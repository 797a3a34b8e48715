"""Model files as .safetensors: the same promises, and readable by the format's own tools."""

from __future__ import annotations

import hashlib
import io
import json
import struct

import numpy as np
import pytest
from support.network_state import classification, digest
from support.refusal import bad_input

import fastbp as fb
from fastbp.error import ModelFormatError
from fastbp.storage import tensor_file

safetensors = pytest.importorskip("safetensors")
X, Y = classification(40, 3, 2)


def _network():
    network = fb.Network([3, 4, 2], loss="cross_entropy", seed=0, optimizer=fb.Adam(0.01, ema=0.9))
    network.fit(X, Y, epochs=3, callbacks=[fb.EarlyStopping()], validation_data=(X, Y))
    network.metadata = {"note": 'a "quoted" ü\\'}
    return network


@pytest.fixture(scope="module")
def network():
    return _network()


@pytest.fixture(scope="module")
def data(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    network.save(path)
    return path.read_bytes()


def load(data):
    return fb.Network.load(io.BytesIO(bytes(data)))


def signed(data):
    """`data` with the digest that belongs to it."""
    data = bytearray(data)
    data[tensor_file._PLACE] = b"0" * 64
    data[tensor_file._PLACE] = hashlib.sha256(data).hexdigest().encode()
    return bytes(data)


def parts(data):
    """The names as a dict, and the bytes of the tensors."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(names, tensors, text=None):
    text = text or json.dumps(names, separators=(",", ":"), ensure_ascii=False).encode()
    return signed(struct.pack("<Q", len(text)) + text + tensors)


def test_everything_comes_back(network, data):
    found = load(data)
    assert digest(found) == digest(network) and found.metadata == network.metadata
    assert found.history.history == network.history.history
    assert load(joined(*parts(data))).steps == network.steps


def test_its_own_tools_read_it(network, tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "m.safetensors"
    network.save(path)
    for name, own in network.parameters.items():
        assert (load_file(path)[f"parameter/{name}"] == own).all()
    with safetensors.safe_open(path, framework="np") as file:
        header = json.loads(file.metadata()["fastbp"])
        assert header["metadata"] == network.metadata and header["steps"] == network.steps
        assert "state/ema/dense_1/kernel" in file.keys()


def test_content_decides_and_not_the_name(network, tmp_path):
    network.save(tmp_path / "a.SafeTensors")
    network.save(tmp_path / "b.npz")
    (tmp_path / "a.SafeTensors").rename(tmp_path / "c.npz")
    (tmp_path / "b.npz").rename(tmp_path / "d.safetensors")
    for name in ("c.npz", "d.safetensors"):
        assert digest(fb.Network.load(tmp_path / name)) == digest(network)
    assert (tmp_path / "c.npz").read_bytes()[8:9] == b"{"


def test_equal_models_are_equal_files(data, tmp_path):
    _network().save(tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == data


def test_without_the_library(network, data, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    text = r"a .safetensors file needs safetensors: pip install 'fastbp\[safetensors\]'"
    for call in (lambda: load(data), lambda: network.save(tmp_path / "m.safetensors")):
        with pytest.raises(ImportError, match=text):
            call()
    assert not list(tmp_path.iterdir())


@bad_input("damaged")
def test_every_bit(data):
    """Of what is not numbers all, of the numbers one in each byte."""
    damaged, n_names = bytearray(data), 8 + struct.unpack("<Q", data[:8])[0]
    load(damaged)
    for place in range(len(damaged)):
        for bit in range(8) if place < n_names else (place % 8,):
            damaged[place] ^= 1 << bit
            with pytest.raises(ModelFormatError):
                tensor_file_or_not(damaged)
            damaged[place] ^= 1 << bit


def tensor_file_or_not(damaged):
    from fastbp.storage.checkpoint import unpack

    unpack(bytes(damaged))


@bad_input("damaged")
def test_every_truncation(data):
    for length in range(len(data)):
        with pytest.raises(ModelFormatError):
            tensor_file_or_not(data[:length])
    with pytest.raises(ModelFormatError):
        load(data + b"x")


@bad_input("no model")
def test_a_file_of_others():
    from safetensors.numpy import save

    for metadata in (None, {"format": "pt"}):
        with pytest.raises(ModelFormatError, match="a .safetensors file, but no fastbp model"):
            load(save({"a": np.zeros(3)}, metadata))


@bad_input("bad array", "bad header")
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dtype": "F16"}, "is no array of numbers"),
        ({"dtype": ["F32"]}, "is no array of numbers"),
        ({"more": 1}, "is no array of numbers"),
        ({"shape": [4, 3]}, r"is \(4, 3\), architecture says \(3, 4\)"),
        ({"shape": [2**62, 12]}, "the tensors cannot be read"),
        ({"shape": [2**62, 2**62]}, "the tensors cannot be read"),
        ({"shape": [-3, -4]}, "the tensors cannot be read"),
        ({"shape": [3, 4, 1, 1]}, "architecture says"),
        ({"data_offsets": [0, 48]}, "the tensors cannot be read"),
        ({"data_offsets": [0, 2**63]}, "the tensors cannot be read"),
        ({"data_offsets": [-48, 0]}, "the tensors cannot be read"),
        ({"data_offsets": [10**30, 10**30 + 48]}, "the tensors cannot be read"),
    ],
)
def test_hostile_tensors(data, change, text):
    names, tensors = parts(data)
    names["parameter/dense_1/kernel"] |= change
    with pytest.raises(ModelFormatError, match=text):
        load(joined(names, tensors))


@bad_input("bad header")
def test_hostile_headers(data):
    names, tensors = parts(data)
    text = json.dumps(names, separators=(",", ":")).encode()
    entry = b',"parameter/dense_1/kernel":' + json.dumps(names["parameter/dense_1/kernel"]).encode()
    begin = text.index(b'","') if b'","' in text else 0
    assert begin
    for made, said in (
        (text[:-1] + entry + b"}", "the key 'parameter/dense_1/kernel' twice"),
        (text[:-1] + b',"a":' + b"[" * 5_000 + b"}", "nested too deeply|not JSON"),
        (text[:-1] + b',"a":' + b"[" * 200_000 + b"}", "too many entries"),
        (text[:-1] + b',"a":' + b"9" * 5000 + b"}", "not JSON"),
        (text[:-1] + b',"a":' + b" " * 2**23 + b"1}", "header length .* exceeds"),
    ):
        with pytest.raises(ModelFormatError, match=said):
            load(joined(None, tensors, made))
    for metadata in ({**names["__metadata__"], "b": "c"},):
        with pytest.raises(ModelFormatError, match="other metadata than expected"):
            load(joined({**names, "__metadata__": metadata}, tensors))
    huge = struct.pack("<Q", 2**63) + data[8:]
    with pytest.raises(ModelFormatError):
        load(signed(huge))
    with pytest.raises(ModelFormatError, match="the tensors cannot be read"):
        load(joined(names, tensors + b"PK\x03\x04"))


def test_random_bytes_raise_nothing_foreign(data):
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        try:
            load(signed(damaged))
        except ModelFormatError:
            pass
