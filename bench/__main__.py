"""Microseconds per step, hand-written NumPy against fastbp; status 1 below what is wanted."""

import argparse
import os
import sys
from pathlib import Path

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# not the checkout, whose fastbp/ would hide the installed package
sys.path[0] = str(Path(__file__).parent)

import numpy as np  # noqa: E402
from measure import IMPLEMENTATIONS, check_answers, refuse_fallback, step_times  # noqa: E402
from workload import WORKLOADS  # noqa: E402

import fastbp as fb  # noqa: E402

LINE = "{:15} {:>5} {:>12} {:>12} {:>12} {:>12} {:>6} {:>6} {:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="calls of which the fastest counts")
    repeats = parser.parse_args().repeats
    refuse_fallback()
    facts = fb.show_config("dict") or {}
    print(
        f"fastbp {facts['fastbp']} {facts['instruction set']}, {facts['compiler']}; "
        f"NumPy {np.__version__}; float32, one thread; minimum of {repeats}"
    )
    columns = ("workload", "batch", *IMPLEMENTATIONS, "ratio", "wanted", "to tuned")
    print(LINE.format(*columns))
    short = False
    for workload in WORKLOADS:
        check_answers(workload)
        times = step_times(workload, repeats=repeats)
        ratio = times["NumPy"] / times["fastbp"]
        short |= ratio < workload.required
        figures = [f"{1e6 * seconds:.1f} us" for seconds in times.values()]
        print(
            LINE.format(
                workload.name,
                workload.batch_size,
                *figures,
                f"{ratio:.2f}",
                f"{workload.required:.1f}",
                f"{times['NumPy, tuned'] / times['fastbp']:.2f}",
            )
        )
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
