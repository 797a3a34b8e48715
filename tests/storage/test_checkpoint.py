"""Model files: what comes back is what went in, and nothing that is damaged comes back at all."""

import hashlib
import io
import json
import os
import stat
import zipfile

import numpy as np
import pytest
from support.refusal import bad_input

import fastbp as fb
from fastbp.error import ModelFormatError
from fastbp.runtime.snapshot import snapshot
from fastbp.storage import checkpoint

load = fb.Network.load

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = X[:, :1] * 2.0


def save(network, path, *, extra=None):
    checkpoint.write(path, snapshot(network._state, extra=extra))


def trained(**options):
    network = fb.Network(
        [3, 4, 1], activation="relu", loss="mse", optimizer=fb.Adam(1e-2), seed=1, **options
    )
    for _ in range(3):
        network.train_on_batch(X, Y)
    return network


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.npz"
    save(trained(), path, extra={"note": "ü"})
    return path.read_bytes()


def signed(content):
    """`content` up to and with the comment's text, with the digest that belongs to it."""
    body = content[:-64]
    return body + hashlib.sha256(body).hexdigest().encode()


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def pack(members, *, compression=zipfile.ZIP_STORED):
    """An archive with a valid digest around arbitrary members (pairs may repeat a name)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
        archive.comment = b"fastbp sha256 " + b"0" * 64
    return signed(buffer.getvalue())


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_everything_comes_back_to_the_bit(self, tmp_path, dtype):
        network = trained(dtype=dtype)
        save(network, tmp_path / "m.npz", extra={"columns": ["a", "ü"]})
        copy = load(tmp_path / "m.npz")
        assert checkpoint.read(tmp_path / "m.npz").extra == {"columns": ["a", "ü"]}
        assert copy.get_config() == network.get_config() and copy.steps == network.steps == 3
        for mine, theirs in (
            (network.parameters, copy.parameters),
            (network.optimizer_state, copy.optimizer_state),
        ):
            assert list(mine) == list(theirs)
            assert all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
        assert copy.predict(X).tobytes() == network.predict(X).tobytes()

    def test_training_goes_on_as_if_nothing_had_happened(self, tmp_path):
        network = trained()
        save(network, tmp_path / "m.npz")
        copy = load(tmp_path / "m.npz")
        assert copy.train_on_batch(X, Y) == network.train_on_batch(X, Y)
        assert copy.predict(X).tobytes() == network.predict(X).tobytes()

    def test_equal_models_are_equal_files(self, tmp_path):
        save(trained(), tmp_path / "a.npz")
        save(trained(), tmp_path / "b.npz")
        assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

    def test_numpy_opens_it_without_pickle(self, tmp_path):
        network = trained()
        network.save(tmp_path / "m.npz")
        with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
            name, kernel = next(iter(network.parameters.items()))
            assert (archive[f"parameter/{name}"] == kernel).all()
            assert json.loads(archive["header.json"])["steps"] == 3

    def test_methods_of_the_network(self, tmp_path):
        network = trained()
        network.save(str(tmp_path / "m.npz"))
        assert (fb.Network.load(tmp_path / "m.npz").predict(X) == network.predict(X)).all()

    def test_backend_is_the_readers_choice(self, tmp_path):
        save(trained(), tmp_path / "m.npz")
        assert load(tmp_path / "m.npz", backend="numpy").backend == "numpy"


class TestSave:
    @bad_input("link")
    def test_link_is_followed_and_mode_kept(self, tmp_path):
        target, link = tmp_path / "target.npz", tmp_path / "link.npz"
        target.write_bytes(b"old")
        target.chmod(0o640)
        link.symlink_to(target.name)
        save(trained(), link)
        assert link.is_symlink() and load(target).steps == 3
        assert stat.S_IMODE(target.stat().st_mode) == 0o640

    def test_new_file_has_the_mode_of_any_new_file(self, tmp_path):
        (tmp_path / "plain").write_bytes(b"")
        save(trained(), tmp_path / "m.npz")
        assert (tmp_path / "m.npz").stat().st_mode == (tmp_path / "plain").stat().st_mode

    @bad_input("failing save")
    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_failure_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch, call):
        path = tmp_path / "m.npz"
        save(trained(), path)
        before = path.read_bytes()

        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space"):
            save(trained(), path, extra="new")
        assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.npz"]

    def test_signal_as_the_file_is_replaced(self, tmp_path, monkeypatch):
        def replace(old, new, inner=os.replace):
            inner(old, new)
            raise KeyboardInterrupt  # as a signal handler may when the call returns

        monkeypatch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            save(trained(), tmp_path / "model.npz")
        assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]

    @bad_input("failing save")
    def test_what_cannot_be_replaced(self, tmp_path):
        with pytest.raises(IsADirectoryError):
            save(trained(), tmp_path)
        with pytest.raises(FileNotFoundError):
            save(trained(), tmp_path / "none" / "m.npz")
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(ValueError, match="not a regular file"):
            save(trained(), tmp_path / "fifo")

    @bad_input("NaN in a parameter")
    def test_unusable_parameters_are_not_saved(self, tmp_path):
        network = trained()
        name, kernel = next(iter(network.parameters.items()))
        kernel[1, 2] = np.nan
        with pytest.raises(ValueError, match=rf"{name} contains NaN at \[1, 2\]"):
            save(network, tmp_path / "m.npz")
        assert os.listdir(tmp_path) == []

    def test_extra_must_be_json_and_short(self, tmp_path):
        with pytest.raises(TypeError):
            save(trained(), tmp_path / "m.npz", extra=object())
        with pytest.raises(ValueError, match="at most 4194304 can be stored"):
            save(trained(), tmp_path / "m.npz", extra="x" * (1 << 22))
        assert os.listdir(tmp_path) == []


class TestDamage:
    def refuse(self, tmp_path, data, message=""):
        path = tmp_path / "bad.npz"
        path.write_bytes(data)
        with pytest.raises(ModelFormatError, match=message):
            load(path)

    @bad_input("damaged")
    def test_every_bit(self, tmp_path, model_bytes, monkeypatch):
        # The file is replaced by bytes in memory: writing 30,000 files would take minutes.
        damaged = bytearray(model_bytes)
        monkeypatch.setattr(checkpoint, "read_file", lambda path: bytes(damaged))
        load("unflipped")
        for place in range(len(damaged)):
            for bit in range(8):
                damaged[place] ^= 1 << bit
                with pytest.raises(ModelFormatError):
                    load("flipped")
                damaged[place] ^= 1 << bit

    @bad_input("damaged")
    def test_every_truncation(self, model_bytes, monkeypatch):
        for length in range(len(model_bytes)):
            monkeypatch.setattr(checkpoint, "read_file", lambda path, n=length: model_bytes[:n])
            with pytest.raises(ModelFormatError):
                load("short")

    @bad_input("no model")
    def test_trailing_bytes(self, tmp_path, model_bytes):
        self.refuse(tmp_path, model_bytes + b"x", "no checksum at the end")

    @bad_input("no model")
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "not a fastbp model \\(first bytes none\\)"),
            (b"\x80\x04\x95x", "not a fastbp model \\(first bytes 80 04 95 78\\)"),
            (b"PK\x03\x04 and then nothing", "no checksum at the end"),
        ],
    )
    def test_other_files(self, tmp_path, data, message):
        self.refuse(tmp_path, data, message)

    @bad_input("no model")
    def test_another_npz(self, tmp_path):
        np.savez(tmp_path / "bad.npz", a=X)
        self.refuse(tmp_path, (tmp_path / "bad.npz").read_bytes(), "no checksum at the end")

    @bad_input("no file")
    @pytest.mark.parametrize("path", [None, 0, ["m.npz"]])
    def test_what_is_no_path(self, path):
        for call in (load, lambda path: save(trained(), path)):
            with pytest.raises(TypeError, match=r"^path must be a str or an os.PathLike, got "):
                call(path)

    def test_an_unknown_backend_is_not_the_files_fault(self, tmp_path):
        save(trained(), tmp_path / "m.npz")
        with pytest.raises(ValueError, match="^unknown backend 'x'; known: cython, numpy$"):
            load(tmp_path / "m.npz", backend="x")

    @bad_input("no file")
    def test_paths(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none.npz")
        with pytest.raises(IsADirectoryError):
            load(tmp_path)
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(ModelFormatError, match="not a regular file"):
            load(tmp_path / "fifo")


class TestSignedNonsense:
    """Files whose digest is right and whose content is not."""

    def refuse(self, tmp_path, members, message, **options):
        pairs = members.items() if isinstance(members, dict) else members
        (tmp_path / "bad.npz").write_bytes(pack(pairs, **options))
        with pytest.raises(ModelFormatError, match=message):
            load(tmp_path / "bad.npz")

    @pytest.fixture
    def members(self, model_bytes):
        return members_of(model_bytes)

    def with_header(self, members, **changes):
        header = {**json.loads(members["header.json"]), **changes}
        return {**members, "header.json": json.dumps(header).encode()}

    def test_untouched_members_load(self, tmp_path, members):
        (tmp_path / "good.npz").write_bytes(pack(members.items()))
        assert load(tmp_path / "good.npz").steps == 3

    @bad_input("bad header", "later format")
    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (b"\xff\xfe", "the header is not JSON"),
            (b"{", "the header is not JSON"),
            (b"[" * 16_000, "nested too deeply"),
            (b"[" * 100_000, "too many entries: 100000 in 100000 bytes"),
            (b'{"steps": ' + b"9" * 5000 + b"}", "the header is not JSON"),
            (b'{"format": "a", "format": "b"}', "has the key 'format' twice"),
            (b'{"steps": NaN}', "has the number NaN"),
            (b'{"steps": 1e999}', "has the number 1e999"),
            (b"[]", "does not describe a fastbp model"),
            (b'{"format": "other"}', "does not describe a fastbp model"),
            (b" " * ((1 << 22) + 1), "header length 4194305 exceeds 4194304"),
            (b'{"format": "fastbp model", "version": true}', "version True, expected a positive"),
            (
                b'{"format": "fastbp model", "version": 3, "writer": "2.0"}',
                "format 3 \\(written by fastbp '2.0'\\) needs a later fastbp",
            ),
            (
                b'{"format": "fastbp model", "version": 1}',
                "other keys than expected: extra, network",
            ),
        ],
    )
    def test_header(self, tmp_path, members, header, message):
        self.refuse(tmp_path, {**members, "header.json": header}, message)

    @bad_input("bad header")
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"network": 3}, "'network' is not an object"),
            ({"network": {}}, "describes no valid network"),
            ({"steps": -1}, "steps -1, expected an integer"),
            ({"steps": 1.5}, "steps 1.5, expected an integer"),
            ({"more": 1}, "other keys than expected: more"),
        ],
    )
    def test_header_values(self, tmp_path, members, changes, message):
        self.refuse(tmp_path, self.with_header(members, **changes), message)

    @bad_input("bad header")
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("dtype", "x"),
            ("dtype", None),
            ("dtype", "float16"),
            ("seed", -1),
            ("seed", "0"),
            ("loss", "mse"),
            ("loss", {"name": "nonsense"}),
            ("optimizer", {}),
            ("optimizer", []),
            ("metrics", [1]),
            ("metrics", None),
            ("backend", "cython"),
            ("more", 1),
        ],
    )
    def test_network(self, tmp_path, members, key, value):
        network = {**json.loads(members["header.json"])["network"], key: value}
        self.refuse(tmp_path, self.with_header(members, network=network), "the file")

    def kernel(self, members):
        return next(name for name in members if name.startswith("parameter/"))

    @bad_input("bad array", "NaN in a file")
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is no array"),
            (b"\x80\x04N.", "is no array"),
            (npy(np.array([{}], dtype=object)), "is no array"),
            (npy(np.zeros((3, 4), np.int32)), "is int32, architecture says float32"),
            (npy(np.zeros((3, 4), np.complex64)), "is no array"),
            (npy(np.zeros((3, 4), ">f4")), "is no array"),
            (npy(np.asfortranarray(np.zeros((3, 4), np.float32))), "is no array"),
            (npy(np.zeros((4, 3), np.float32)), r"is \(4, 3\), architecture says \(3, 4\)"),
            (npy(np.zeros((3, 4))), "is float64, architecture says float32"),
            (npy(np.full((3, 4), np.nan, np.float32)), r"contains NaN at \[0, 0\]"),
            (npy(np.zeros((3, 4), np.float32)) + b"x", "and 49 bytes of float32"),
            (npy(np.zeros((3, 4), np.float32))[:-1], "and 47 bytes of float32"),
            (npy(np.zeros((3, 4), np.float32)).replace(b"(3, 4)", b"(3,-4)"), "is no array"),
            (npy(np.zeros((3, 4), np.float32)).replace(b"(3, 4)", b"(3.,4)"), "is no array"),
            (npy(np.zeros((3, 4), np.float32)).replace(b"(3, 4), ", b"(2**62,)"), "is no array"),
            # 2^62 * 4 * 4 wraps to 0 in 64 bits.
            (
                npy(np.zeros((0, 4), np.float32)).replace(
                    b"(0, 4), }" + b" " * 18, b"(1152921504606846976, 4), }"
                ),
                "has shape",
            ),
        ],
    )
    def test_array(self, tmp_path, members, content, message):
        self.refuse(tmp_path, {**members, self.kernel(members): content}, message)

    @bad_input("bad array")
    def test_archive(self, tmp_path, members):
        kernel = self.kernel(members)
        without = {name: content for name, content in members.items() if name != kernel}
        self.refuse(tmp_path, without, "the file has no array 'parameter/")
        self.refuse(tmp_path, {**members, "more.npy": npy(X)}, "has an array 'more', which")
        self.refuse(tmp_path, {**members, "run.py": b"1/0"}, "has a member 'run.py'")
        self.refuse(tmp_path, members, "compressed member", compression=zipfile.ZIP_DEFLATED)
        headless = {name: content for name, content in members.items() if "header" not in name}
        self.refuse(tmp_path, headless, "has no header.json")
        with pytest.warns(UserWarning, match="Duplicate name"):
            self.refuse(tmp_path, [*members.items(), (kernel, b"")], "two members of one name")

    @bad_input("bad array")
    def test_a_hostile_size_reserves_no_memory(self, tmp_path, members):
        network = json.loads(members["header.json"])["network"]
        large = {"kind": "input", "units": 1 << 30}
        doubling = fb.Branch([[], []]).to_config()
        for layers, message in (
            ([large, *network["layers"][1:]], r"is \(3, 4\), architecture says \(1073741824, 4\)"),
            (network["layers"] + [doubling] * 60, "is 1152921504606846976 wide, more than"),
            ([], "layers must be a non-empty list"),
            (network["layers"][1:], "the first layer must be an Input"),
            (network["layers"][:1] * 2, r"layers\[1\] must be a Dense, .* or GaussianNoise"),
        ):
            changed = self.with_header(members, network={**network, "layers": layers})
            self.refuse(tmp_path, changed, message)

    def test_random_bytes_raise_nothing_foreign(self, tmp_path, model_bytes, monkeypatch):
        rng = np.random.default_rng(0)
        for _ in range(300):
            data = bytearray(model_bytes)
            for place in rng.integers(4, len(data) - 80, size=rng.integers(1, 4)):
                data[place] = rng.integers(256)
            mutant = signed(bytes(data))
            monkeypatch.setattr(checkpoint, "read_file", lambda path, data=mutant: data)
            try:
                load("mutant")
            except ModelFormatError:
                pass

    @bad_input("NaN in a file")
    def test_nonfinite_on_request(self, tmp_path, members):
        kernel = self.kernel(members)
        members[kernel] = npy(np.full((3, 4), np.nan, np.float32))
        (tmp_path / "nan.npz").write_bytes(pack(members.items()))
        held = checkpoint.read(tmp_path / "nan.npz", allow_nonfinite=True)
        assert np.isnan(next(iter(held.parameters.values()))).all()
