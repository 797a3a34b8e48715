"""The lines that `fit` prints: one an epoch, on a terminal no more than five a second."""

import sys
import time

import numpy as np
import pytest

import fastbp as fb

X, Y = np.arange(4.0)[:, None], np.arange(4.0)


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
        before = network.history

        def clock() -> float:
            done = 0 if network.history is before else len(network.history)
            return 1000 + done * seconds

        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", clock)
            network.fit(X, Y, epochs=10, **options)

    return train


@pytest.mark.parametrize(
    ("seconds", "epochs"),
    [
        (1.0, [*range(1, 11)]),
        (0.201, [*range(1, 11)]),
        (0.199, [1, 3, 5, 7, 9, 10]),
        (0.06, [1, 5, 9, 10]),
        (0.0, [1, 10]),
    ],
)
def test_on_a_terminal_a_line_each_fifth_of_a_second(
    seconds, epochs, epochs_of, monkeypatch, capsys
):
    """The first and the last in any case."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    epochs_of(seconds)
    assert _printed(capsys) == epochs


@pytest.mark.parametrize("terminal", [False, True])
def test_every_line_where_they_are_asked_for(terminal, epochs_of, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    epochs_of(0.0, verbose=True)
    assert _printed(capsys) == [*range(1, 11)]


@pytest.mark.parametrize(("terminal", "verbose"), [(False, "auto"), (True, False)])
def test_none_elsewhere(terminal, verbose, epochs_of, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    epochs_of(1.0, verbose=verbose)
    assert _printed(capsys) == []
