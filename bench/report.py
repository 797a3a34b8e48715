"""`python -m bench.report [--check]`: bench/result into README.md, docs/benchmark.md, a picture."""

import argparse
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[1]
sys.path[:] = [part for part in sys.path if Path(part or ".").resolve() != root]

from fastbp.benchmark.chart import chart  # noqa: E402
from fastbp.benchmark.report import generate, generate_page  # noqa: E402

RESULTS = sorted((root / "bench" / "result").glob("*.json"))
OF_README = root / "bench" / "result" / "amd-epyc-family-26-model-2.json"


def texts() -> dict[Path, str]:
    """What the files have to say, by their paths."""
    readme, page = root / "README.md", root / "docs" / "benchmark.md"
    return {
        readme: generate(readme.read_text(encoding="utf-8"), OF_README),
        page: generate_page(page.read_text(encoding="utf-8"), RESULTS),
        root / "docs" / "picture" / "benchmark.svg": chart(OF_README).svg(),
    }


def _is_other(path: Path, new: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != new


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="status 1 where a table is another")
    arguments = parser.parse_args()
    found = texts()
    if arguments.check:
        return int(any(_is_other(path, new) for path, new in found.items()))
    for path, new in found.items():
        path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
