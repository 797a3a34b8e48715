"""docs/model_file.md: what it shows runs."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/model_file.md"


@pytest.mark.skipif(not PAGE.exists(), reason="no documentation around")
def test_page():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 20 and not found.failed
