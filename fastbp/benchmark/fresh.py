"""What a fresh process costs: peak memory of a large fit, and the time until the first fit is done.

Each figure comes from processes of their own, of which nothing else was asked.  A process that
fails raises ChildProcessError.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from fastbp.benchmark.contestant import environment

N_ROWS, N_FEATURES = 1_000_000, 100
STARTS = 7

MEMORY = """
import json, resource, sys
import numpy as np, fastbp as fb
X, y = np.empty(({rows}, {columns}), np.float32), np.empty(({rows}, 1), np.float32)
np.random.default_rng(0).standard_normal(dtype=np.float32, out=X)  # memory freed would hide some
y[:] = X[:, :1]
net = fb.Network([{columns}, 64, 1], activation="relu", seed=0)
unit = 1 if sys.platform == "darwin" else 1024
before = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
net.fit(X, y, batch_size=256, shuffle={shuffle}, n_threads=1, verbose=False)
after = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(after - before))
"""

START = """
import json, time
import numpy as np
start = time.perf_counter()
import fastbp as fb
imported = time.perf_counter()
net = fb.Network([4, 16, 1], activation="tanh", seed=0)
X, y = np.ones((32, 4), np.float32), np.ones((32, 1), np.float32)
net.fit(X, y, batch_size=32, n_threads=1, verbose=False)
print(json.dumps([imported - start, time.perf_counter() - imported]))
"""


def memory_rows(*, n_rows: int = N_ROWS) -> Iterator[dict[str, Any]]:
    """Bytes that the peak of resident memory rises by during one epoch of 100-64-1, batch 256."""
    for shuffle in (False, True):
        row = {"rows": n_rows, "columns": N_FEATURES, "shuffle": shuffle}
        yield row | {"peak_bytes": _result(MEMORY.format(**row))}


def start_rows(*, starts: int = STARTS) -> Iterator[dict[str, float]]:
    """Milliseconds to import fastbp with NumPy loaded, and to build and fit a small network."""
    times = [_result(START) for _ in range(starts)]
    imports, fits = ([1e3 * value for value in column] for column in zip(*times, strict=True))
    yield {
        "import_ms_min": min(imports),
        "import_ms_median": statistics.median(imports),
        "fit_ms_min": min(fits),
        "fit_ms_median": statistics.median(fits),
    }


def _result(code: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, env=environment(1)
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ChildProcessError(f"a process ended with status {done.returncode}: {last}")
    return json.loads(done.stdout)
