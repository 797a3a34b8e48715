"""`python -m bench.report [--check]`: the table of bench/result.json into the README."""

import argparse
import sys
from pathlib import Path

root = Path(__file__).resolve().parents[1]
sys.path[:] = [part for part in sys.path if Path(part or ".").resolve() != root]

from fastbp.benchmark.report import generate  # noqa: E402

README, RESULT = root / "README.md", root / "bench" / "result.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--check", action="store_true", help="status 1 where the table is another")
    arguments = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = generate(old, RESULT)
    if arguments.check:
        return int(new != old)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
