"""support/tolerance.py has the only tolerances, and this is what would be one elsewhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
OWN = TESTS / "support" / "tolerance.py"
NAMES = {"approx", "allclose", "isclose", "assert_allclose", "assert_almost_equal"}
NUMBERS = {"eps", "spacing", "resolution"}  # of NumPy, by which one would make a tolerance
SMALL = 1e-5  # a literal limit as small as this one is a tolerance


def tolerances(source: str) -> Iterator[int]:
    """The lines that compare with a tolerance of their own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in NAMES | NUMBERS:
            yield node.lineno
        if isinstance(node, ast.Name) and node.id in NAMES:
            yield node.lineno
        if isinstance(node, ast.keyword) and node.arg in ("rtol", "atol"):
            yield node.value.lineno
        if isinstance(node, ast.Compare):
            for sign, limit in zip(node.ops, node.comparators, strict=True):
                if isinstance(sign, ast.Lt | ast.LtE) and isinstance(limit, ast.Constant):
                    if isinstance(limit.value, float) and 0 < limit.value <= SMALL:
                        yield limit.lineno


def test_no_other_file_has_one() -> None:
    files = sorted(set(TESTS.rglob("*.py")) - {OWN, Path(__file__)})
    assert len(files) > 60
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in files
        for line in tolerances(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_what_would_be_one() -> None:
    source = """
assert a == pytest.approx(b)
assert error < 1e-6
assert error <= 8 * np.finfo(float).eps
np.testing.assert_allclose(a, b, rtol=0)
assert 1e-6 < size < 5
"""
    assert sorted(set(tolerances(source))) == [2, 3, 4, 5]
