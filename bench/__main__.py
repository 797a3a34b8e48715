"""`python -m bench` in the clone is `fastbp bench`."""

import sys
from pathlib import Path

# the installed package, not the checkout's, whose kernels may not be built
root = Path(__file__).resolve().parents[1]
sys.path[:] = [part for part in sys.path if Path(part or ".").resolve() != root]

from fastbp.command import main  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main(["bench", *sys.argv[1:]]))
