"""docs/feature.md is what the package says of itself, and every test that it names is there."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "bench" / "feature.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="no repository around")


@pytest.fixture(scope="module")
def feature() -> Any:
    spec = importlib.util.spec_from_file_location("feature", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_package(feature: Any) -> None:
    assert feature.PAGE.read_text(encoding="utf-8") == feature.page()


def test_every_file_is_there(feature: Any) -> None:
    found = feature.features()
    assert len(found) == len({(kind, name) for kind, name, _ in found}) > 80
    assert {kind for kind, _, _ in found} == {*feature.PROOF, "callback"}
    for _, name, file in found:
        assert (ROOT / file).is_file(), name


def test_the_readme_counts_them(feature: Any) -> None:
    count = Counter(kind for kind, _, _ in feature.features())
    activations, losses, optimizers = count["activation"], count["loss"], count["optimizer"]
    text = f"**{activations} activations, {losses} losses, {optimizers} optimizers**"
    assert text in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_feature_without_a_test_is_an_error(feature: Any) -> None:
    with pytest.raises(LookupError, match="callback Nobody has no test"):
        feature.proof("callback", "Nobody")
