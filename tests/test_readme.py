"""What the README shows runs, and its two commands are what a newcomer can paste."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp

README = Path(__file__).parent.parent / "README.md"
in_repository = pytest.mark.skipif(
    not (README.parent / "fastbp").exists(), reason="no repository around"
)


def test_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # it writes files
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted >= 7 and result.failed == 0


def test_two_commands_of_one_line_each():
    lines = [line.strip() for line in README.read_text(encoding="utf-8").splitlines()]
    commands = [line for line in lines if line.startswith("python3 -m venv .venv && ")]
    assert commands == [
        "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/fastbp demo",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' "
        "&& .venv/bin/python -P -m pytest -n auto",
    ]


@in_repository
@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    """To files of the repository; Sphinx sees to the links within docs/."""
    text = (README.parent / name).read_text(encoding="utf-8")
    paths = re.findall(r"\]\(([^)#:]+)\)", text)
    assert paths and not [path for path in paths if not (README.parent / path).exists()]


@in_repository
def test_architecture_names_what_exists():
    """Every path that ARCHITECTURE.md names, from the root, from fastbp or from a folder there."""
    root = README.parent
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+(?:/|\.py|\.pxi|\.h|\.md))`", text))
    assert len(named) > 40
    folders = [root, root / "fastbp", root / "fastbp/runtime", root / "fastbp/plan"]
    written = {"build/cython/build/kernels/", "build/kernels/formula.pxi"}  # by a build
    missing = [name for name in named - written if not any((f / name).exists() for f in folders)]
    assert not missing


@pytest.mark.slow
def test_example_passes_mypy_strict(tmp_path):
    """With the annotations of the package that is tested, as an engineer who uses it sees them."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    examples = doctest.DocTestParser().get_examples(README.read_text(encoding="utf-8"))
    source = ["from typing import Any", "import numpy as np"]
    source += [example.source.rstrip() for example in examples]
    source += [
        "layers: list[fb.Layer] = [fb.Input(4), fb.Dense(8), fb.Residual([fb.Dense(8)])]",
        'layers += [fb.Branch([[fb.Dense(2, "tanh")], []], merge="concat"), fb.Dense(2)]',
        'fb.Network(layers, kernel_initializer=fb.VarianceScaling(2, mode="fan_out"))',
        "fb.Network((3, 4, 2), bias_initializer=0)",
        "class Own(fb.Network):\n    pass",
        'own: Own = Own.load("path").copy()',
        "shown: dict[str, np.ndarray[Any, np.dtype[np.floating[Any]]]] = own.parameters",
        "mean: np.floating[Any] = own.predict([0.5, 1.5]).mean()",
        "own.update_from(fb.Network([2, 1]), tau=0.01)",
        "own.reset(seed=3)",
        "fb.set_num_threads(fb.get_num_threads())",
    ]
    (tmp_path / "example.py").write_text("\n".join(source) + "\n")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\nfollow_imports = silent\n")
    folder = Path(fastbp.__file__).parents[1]
    environment = dict(os.environ)
    if folder.name != "site-packages":  # an editable installation, which mypy does not find
        environment["MYPYPATH"] = str(folder)
    run = subprocess.run(
        [sys.executable, "-P", "-m", "mypy", "example.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
