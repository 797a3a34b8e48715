"""Tables as files, and what a command that fails has printed."""

import pytest
from support.table_file import write_csv

from fastbp.command import main


@pytest.fixture
def flowers(tmp_path, rng):
    """Two numbers and a name tell three species apart."""
    pytest.importorskip("pandas")
    rows = []
    for i in range(120):
        kind = i % 3
        size, weight = rng.normal(kind, 0.1), rng.normal(-kind, 0.1)
        name = ["aster", "birch", "cedar"][kind]
        rows.append([f"{size:.4f}", f"{weight:.4f}", "north" if i % 2 else "south", name])
    return write_csv(tmp_path / "flowers.csv", ["size", "weight", "side", "species"], rows)


@pytest.fixture
def prices(tmp_path, rng):
    """A price in the hundreds, linear in two numbers."""
    pytest.importorskip("pandas")
    values = rng.normal(size=(200, 2))
    rows = [[f"{a:.5f}", f"{b:.5f}", "m", f"{500 + 100 * a - 50 * b:.5f}"] for a, b in values]
    return write_csv(tmp_path / "prices.csv", ["a", "b", "unit", "price"], rows)


@pytest.fixture
def model(tmp_path, flowers, capsys):
    """What one epoch makes of the flowers."""
    path = str(tmp_path / "model.npz")
    assert main(["train", flowers, "--target", "species", "--epochs", "1", "--save", path]) == 0
    capsys.readouterr()
    return path


@pytest.fixture
def fails(capsys):
    """A function that runs a command which must fail, in one line with these messages, and returns
    what it printed before.
    """

    def run(argv, *messages, code=2):
        assert main([str(word) for word in argv]) == code
        out, err = capsys.readouterr()
        assert "Traceback" not in err and len(err.strip().splitlines()) == 1
        for message in messages:
            assert message in err
        return out

    return run
