"""The pages of the API have every public name, and the tutorial's commands run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp as fb

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENTED = re.compile(r"auto(?:class|function|exception|module):: fastbp\.([\w.]+)")


def test_every_public_name_has_its_place():
    text = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    found = DOCUMENTED.findall(text)
    assert len(found) == len(set(found))
    assert set(fb.__all__) <= set(found)


def test_a_new_network_is_on_one_page():
    """What a network can be asked for stands on the one page of the API, but for what all can."""
    text = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    shown = {name for name in dir(fb.Network) if not name.startswith("_")}
    rest = {  # of those who look deeper
        "backend", "dtype", "feature_names", "from_config", "get_config", "history",
        "instruction_set", "layers", "loss", "metrics", "n_features", "n_outputs", "n_parameters",
        "optimizer", "seed", "stop_training",
    }  # fmt: skip
    missing = {name for name in shown - rest if not re.search(rf"\b{name}\b", text)}
    assert not missing


@pytest.mark.slow
def test_commands_of_the_tutorial_run(tmp_path):
    """In their order, in one folder, with the table that they name."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    head = "length,width,species\n"
    rows = [f"{1 + i % 7}.{i % 3},{2 + i % 5}.5,{'ab'[i % 7 > 3]}\n" for i in range(60)]
    (tmp_path / "iris.csv").write_text(head + "".join(rows))
    (tmp_path / "new.csv").write_text("length,width\n1.5,2.5\n6.0,3.5\n")
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (?:\.venv/bin/)?fastbp (.+)$", text, flags=re.M)
    assert len(commands) >= 3
    for command in commands:
        run = subprocess.run(
            [sys.executable, "-P", "-m", "fastbp", *command.split()],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert run.returncode == 0, (command, run.stderr)
