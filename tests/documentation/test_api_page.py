"""The pages of the API have every public name."""

import re
from pathlib import Path

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
