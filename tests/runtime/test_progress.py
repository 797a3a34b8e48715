"""What `fit` shows: a bar, lines, or nothing; and never more than ten redraws a second."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from importlib.util import find_spec

import numpy as np
import pytest
from support.child import TESTS
from support.refusal import Bad, refused

import fastbp as fb
from fastbp.runtime import clock, progress

X, Y = np.arange(4.0)[:, None], np.arange(4.0)
needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="tqdm is not installed")


@pytest.fixture
def without_tqdm(monkeypatch):
    monkeypatch.setattr(progress, "_bar", lambda: None)


def _printed(capsys) -> list[int]:
    """The epochs of the lines, which are nothing else."""
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("epoch ") and "/10  loss " in line for line in lines)
    return [int(line.split()[1].split("/")[0]) for line in lines]


@pytest.fixture
def epochs_of(monkeypatch):
    """Train ten epochs that take so many seconds each, by a clock that knows no others."""
    network = fb.Network([1, 1], seed=0)

    def train(seconds: float, **options) -> None:
        before = network._state.epochs

        def clock() -> float:
            return 1000 + (network._state.epochs - before) * seconds

        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", clock)
            network.fit(X, Y, epochs=10, **options)

    return train


@pytest.mark.parametrize(
    ("seconds", "epochs"),
    [(1.0, [*range(1, 11)]), (0.201, [*range(1, 11)]), (0.15, [1, 3, 5, 7, 9, 10]), (0.0, [1, 10])],
)
def test_on_a_terminal_a_line_each_fifth_of_a_second(
    seconds, epochs, epochs_of, without_tqdm, monkeypatch, capsys
):
    """The first and the last in any case."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    epochs_of(seconds)
    assert _printed(capsys) == epochs


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("verbose", [1, True, 2])
def test_every_line_where_they_are_asked_for(
    verbose, terminal, epochs_of, without_tqdm, monkeypatch, capsys
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    for seconds in (0.0, 0.01, 1.0):
        epochs_of(seconds, verbose=verbose)
        assert _printed(capsys) == [*range(1, 11)]


@pytest.mark.parametrize(("terminal", "verbose"), [(False, "auto"), (True, False), (True, 0)])
def test_none_elsewhere(terminal, verbose, epochs_of, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    epochs_of(1.0, verbose=verbose)
    assert _printed(capsys) == []


def test_lines_that_come_quickly_are_written_together(without_tqdm, monkeypatch):
    """Ten writes a second, however many epochs."""
    writes = []
    monkeypatch.setattr(progress, "print", lambda text, flush: writes.append(text), raising=False)
    network = fb.Network([1, 1], seed=0)
    begin = time.perf_counter()
    network.fit(X, Y, epochs=3000, verbose=2)
    seconds = time.perf_counter() - begin
    assert len("\n".join(writes).splitlines()) == 3000
    assert len(writes) <= 2 + seconds / 0.1


class Tqdm:
    """Stands for tqdm's bar: what it draws."""

    def __init__(self, total, initial, **options):
        self.n, self.total, self.postfix = initial, total, ""
        self.drawn = [(initial, "")]
        Tqdm.last = self

    def set_postfix_str(self, text, refresh):
        self.postfix = text

    def refresh(self):
        self.drawn.append((self.n, self.postfix))

    def close(self):
        self.drawn.append((self.n, self.postfix))


@pytest.mark.parametrize("seconds", [0.2, 0.04, 0.0])
def test_a_bar(seconds, epochs_of, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_bar", lambda: Tqdm)
    epochs_of(seconds)
    counts = [n for n, _ in Tqdm.last.drawn]
    assert counts[0] == 0 and counts[-1] == 10 and counts == sorted(counts)
    assert Tqdm.last.drawn[-1][1].startswith("loss=")
    if seconds == 0.2:
        assert counts == [*range(11), 10]
    if seconds == 0.04:
        assert all(b - a >= 2 for a, b in zip(counts[1:-2], counts[2:-1], strict=True))
    if seconds == 0.0:
        assert counts == [0, 10]


def test_a_fit_with_progress_has_the_same_bits(without_tqdm, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    found = []
    for verbose in (False, 1, 2, "auto"):
        network = fb.Network([1, 4, 1], seed=0)
        history = network.fit(X, Y, epochs=300, verbose=verbose)
        found.append([history.history, [w.tobytes() for w in network.get_weights()]])
    assert all(one == found[0] for one in found)


def test_the_parts_of_a_long_epoch(monkeypatch):
    """The network is the same to the bit, as without a bar."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(progress, "_bar", lambda: Tqdm)
    monkeypatch.setattr(progress, "REDRAW", 0.0)
    monkeypatch.setattr(progress.Bar, "interval", 1e-9)
    monkeypatch.setattr(clock, "_LONG_WORK", 0.0)
    network = fb.Network([1, 4, 1], seed=0)
    reference = network.copy()
    history = network.fit(X, Y, epochs=2, batch_size=1)
    assert reference.fit(X, Y, epochs=2, batch_size=1, verbose=0)["loss"] == history["loss"]
    for a, b in zip(network.get_weights(), reference.get_weights(), strict=True):
        assert np.array_equal(a, b)
    counts = [n for n, _ in Tqdm.last.drawn]
    assert counts == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2]
    assert Tqdm.last.drawn[1][1].startswith("loss=")


CODE = """
import numpy as np, fastbp as fb
X = np.random.default_rng(0).standard_normal((1000, 4))
net = fb.Network([4, 32, 16, 1], seed=0)
net.fit(X, X[:, 0], epochs=10**9, max_seconds=0.6)
"""


def _on_a_terminal(code: str, rows: int, columns: int) -> str:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdout=follower, stderr=follower, stdin=follower,
        cwd=TESTS, env=environment,
    ) as child:  # fmt: skip
        os.close(follower)
        found = b""
        try:
            while part := os.read(leader, 65536):
                found += part
        except OSError:  # the other end is closed
            pass
        child.wait()
    os.close(leader)
    return found.decode()


@needs_tqdm
@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (24, 0), (0, 0)])
def test_on_a_real_terminal(rows, columns):
    """One of unknown size, too."""
    text = _on_a_terminal(CODE, rows, columns)
    draws = [draw for draw in re.split(r"[\r\n]+", text) if draw]
    assert 3 <= len(draws) <= 10, text
    assert all(draw.startswith("epoch ") and "/1000000000 |" in draw for draw in draws)
    assert all("loss=" in draw for draw in draws[1:])


@pytest.mark.slow
def test_in_a_pipe():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE], capture_output=True, cwd=TESTS, env=environment
    )
    assert done.returncode == 0 and done.stdout == b"" and done.stderr == b""


class Notebook:
    kernel = object()


def test_in_a_notebook(monkeypatch, epochs_of, capsys):
    """What is printed is shown, although it is no terminal."""
    module = type(sys)("IPython")
    module.get_ipython = lambda: Notebook()
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setattr(progress, "_bar", lambda: Tqdm)
    epochs_of(1.0)
    assert Tqdm.last.n == 10
    module.get_ipython = lambda: None
    epochs_of(1.0)
    assert _printed(capsys) == []


@pytest.mark.parametrize("verbose", [3, -1, 0.5, "always", None])
def test_no_such_verbose(verbose):
    bad = Bad("number or switch", None, ValueError, "verbose must be True, False, 0, 1, 2 or")
    network = fb.Network([4, 3], seed=0)
    X = np.ones((6, 4))
    refused(network, lambda: network.fit(X, X[:, :3], verbose=verbose), bad.error, bad.text)
