"""Files that are there whole or not at all: kills, full disks, what is left behind."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support import child
from support.refusal import bad_input

import fastbp as fb
from fastbp.storage import replace
from fastbp.storage.replace import replace_file


def _names(folder):
    return sorted(os.listdir(folder))


def test_orphans_go_with_the_next_save(tmp_path):
    orphan = tmp_path / ".fastbp-0123abcd.tmp"
    for name in (orphan.name, ".fastbp-0123abc.tmp", ".fastbp-x.tmp", "fastbp-0123abcd.tmp"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".fastbp-01234567.tmp").symlink_to("elsewhere")
    (tmp_path / ".fastbp-76543210.tmp").mkdir()
    before = _names(tmp_path)
    replace_file(tmp_path / "a", b"whole")
    assert _names(tmp_path) == sorted({*before, "a"} - {orphan.name})


LIVE = """
import os, sys, time
from fastbp.storage import replace
os.fsync = lambda descriptor, inner=os.fsync: (print("here", flush=True), sys.stdin.readline(),
                                               inner(descriptor))
replace.replace_file("PATH", b"of the other process")
"""


def test_a_file_that_another_process_writes_stays(tmp_path):
    code = LIVE.replace("PATH", str(tmp_path / "a"))
    with subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as other:  # fmt: skip
        assert other.stdin and other.stdout and other.stdout.readline() == "here\n"
        (temporary,) = _names(tmp_path)
        replace_file(tmp_path / "a", b"own")
        replace_file(tmp_path / "b", b"own")
        assert _names(tmp_path) == sorted([temporary, "a", "b"])
        assert (tmp_path / "a").read_bytes() == b"own"
        other.communicate("\n\n\n")
    assert other.returncode == 0 and _names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == b"of the other process"


def test_taken_for_an_orphan_before_it_is_locked(tmp_path, monkeypatch):
    taken, lock = [], replace._lock

    def late(descriptor):
        if not taken:
            taken.extend(_names(tmp_path))
            replace._remove_orphans(str(tmp_path))
        lock(descriptor)

    monkeypatch.setattr(replace, "_lock", late)
    replace_file(tmp_path / "a", b"whole")
    assert len(taken) == 1 and _names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


@bad_input("failing save")
def test_a_full_disk_says_so(tmp_path):
    """By a limit of the size of files: what the system answers of a full disk, too."""
    path, before = tmp_path / "m.npz", b"old"
    path.write_bytes(before)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    network = fb.Network([8, 64, 4], seed=0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
        with pytest.raises(OSError, match=f"File too large: '{re.escape(str(path))}'"):
            network.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and _names(tmp_path) == ["m.npz"]


@bad_input("failing save")
def test_no_space(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*m.npz'$"):
        fb.Network([2, 1], seed=0).save(tmp_path / "m.npz")
    assert _names(tmp_path) == []


@bad_input("failing save")
def test_places_that_take_no_file(tmp_path, monkeypatch):
    network = fb.Network([2, 1], seed=0)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        network.save(tmp_path)
    with pytest.raises(ValueError, match="'/dev/full' is not a regular file"):
        network.save("/dev/full")
    with pytest.raises(FileNotFoundError, match="No such file"):
        network.save(tmp_path / "none" / "m.npz")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="Permission denied"):
        network.save(tmp_path / "m.npz")
    assert _names(tmp_path) == []


@bad_input("foreign name")
@pytest.mark.parametrize("suffix", ["pt", "PTH", "h5", "keras", "onnx", "pkl", "joblib"])
def test_names_of_other_formats(tmp_path, suffix):
    path = tmp_path / f"m.{suffix}"
    text = r"^a model file is .npz or .safetensors, .* would be one of [A-Zjp]"
    with pytest.raises(ValueError, match=text):
        fb.Network([2, 1], seed=0).save(path)
    with pytest.raises(ValueError, match=text):
        fb.ModelCheckpoint(path)
    assert _names(tmp_path) == []


# The process is killed between two numbers of the loop, which the file then has one of.
SAVES = """
import os, sys, numpy as np, fastbp as fb
net = fb.Network([40, 100, 10], seed=0)
net.save("PATH", metadata={"n": 0})
print("begun", flush=True)
n = 0
while True:
    n += 1
    net.parameters["dense_1/bias"][:] = n
    net.save("PATH", metadata={"n": n})
"""


def _kill(path, delay):
    """The number in the file, and what is left beside it."""
    code = SAVES.replace("PATH", str(path))
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "begun\n"
        time.sleep(delay)
        process.kill()
    network = fb.Network.load(path)
    assert (network.parameters["dense_1/bias"] == network.metadata["n"]).all() or (
        network.metadata["n"] == 0
    )
    left = len(_names(path.parent)) - 1
    network.save(path)
    assert _names(path.parent) == [path.name]
    return network.metadata["n"], left


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.npz", "m.safetensors"])
def test_kills(tmp_path, name):
    """bench/storage/kill.py has more of them."""
    delays = np.random.default_rng(0).uniform(0, 0.02, 30 if name == "m.npz" else 10)
    found = [_kill(tmp_path / name, delay) for delay in delays]
    assert any(n for n, _ in found)


def test_import_without_locks(tmp_path):
    code = """
import sys
sys.modules["fcntl"] = None
import fastbp as fb, os, json
fb.Network([2, 1], seed=0).save("PATH/m.npz")
print(json.dumps(os.listdir("PATH")))
"""
    assert child.result(code.replace("PATH", str(tmp_path))) == ["m.npz"]
