"""Random workloads: fastbp beside JAX and PyTorch on networks that nobody chose.

Workload i of a seed is a function of the two, so that a run that was ended goes on where it was.
"""

import dataclasses
import datetime
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from fastbp.benchmark import oracle, roofline
from fastbp.benchmark.contestant import Contestant
from fastbp.benchmark.machine import Probe
from fastbp.benchmark.run import Row, Settings, Team, step_truth
from fastbp.benchmark.workload import Workload

# The widths of a network are log-uniform in one of these ranges, each as often.
RANGES = (1, 32), (1, 256), (1, 2048), (64, 2048)
DEEPEST, LARGEST_BATCH = 8, 4096
MOST_FLOP = 1e10  # of a step in float32, half of it in float64: another network is drawn
MOST_NUMBERS = 2**21  # of the data, where more than one batch of them is wanted
MOST_BATCHES = 16
LOSSES = ("mse", "half_sse", "mae", "huber", "binary_cross_entropy", "cross_entropy")
OPTIMIZERS = ("sgd", "adam", "adamw")
CHECKED = 8  # steps; after more, networks that learn nothing else amplify their rounding
# Of wide networks with kinks, in float32: fastbp and PyTorch came to 1.3 and 1.4e-2 in the median
# where 8e-3 are allowed.  The same adapters are held to 1e-5 in float64.
TOLERANCE = 3.0
# A step of PyTorch takes about 100 us whatever is in it: below, it is never the best peer.
PYTORCH_FROM = 50e-6  # seconds of the limit, which a step takes twice of
FASTBP, JAX, PYTORCH = CONTESTANTS = (
    Contestant("fastbp", "fastbp", "cython"),
    Contestant("JAX", "jax", "scan"),
    Contestant("PyTorch", "torch", "eager"),
)
NARROW, FAR_LARGE, FAR_SMALL, REST = KINDS = (
    "all widths up to 32",
    "weights beyond L2, batch 100 and more",
    "weights beyond L2, batch below 100",
    "others",
)


def draw(seed: int, index: int) -> Workload:
    """The workload of an index of a seed."""
    random = np.random.Generator(np.random.Philox(key=[seed, index]))

    def between(least: int, most: int, n: int) -> list[int]:
        """Whole numbers, their logarithms uniform."""
        return [int(x) for x in np.exp(random.uniform(np.log(least), np.log(most + 1), n))]

    while True:
        least, most = RANGES[random.integers(len(RANGES))]
        sizes = tuple(between(least, most, int(random.integers(2, DEEPEST + 2))))
        (batch,) = between(1, LARGEST_BATCH, 1)
        chosen = (
            str(random.choice(names)) for names in (list(oracle.ACTIVATIONS), LOSSES, OPTIMIZERS)
        )
        activation, loss, optimizer = chosen
        dtype = str(random.choice(["float32", "float64"]))
        n_batches = min(MOST_BATCHES, max(1, MOST_NUMBERS // (batch * sizes[0])))
        found = Workload(
            sizes, activation, loss, batch, n_batches, optimizer, dtype, least_checked=CHECKED
        )
        if dtype == "float32" and found.is_kinked:
            found = dataclasses.replace(found, tolerance=TOLERANCE)
        flop = found.flop * (2 if dtype == "float64" else 1)
        if flop <= MOST_FLOP and (loss != "cross_entropy" or sizes[-1] > 1):
            return found


def kind(workload: Workload, constants: roofline.Constants) -> str:
    if max(workload.sizes) <= 32:
        return NARROW
    n_bytes = constants.itemsize * sum(n_in * n_out for n_in, n_out in workload.pairs)
    if n_bytes <= constants.caches[1]:
        return REST
    return FAR_LARGE if workload.batch_size >= 100 else FAR_SMALL


def measure(
    previous: Row,
    count: int,
    seed: int,
    settings: Settings,
    *,
    minutes: float,
    show: Callable[[Row], None],
    save: Callable[[Row], None],
) -> Row:
    """The first `count` workloads of a seed, one thread: those that `previous` has a ratio of, then
    further ones.

    Begins none after `minutes`.  `show` gets each row and `save` the whole as soon as it is known.
    """
    end = time.monotonic() + 60 * minutes
    about = {"rounds": settings.rounds, "seconds": settings.seconds}
    found: Row = {"seed": seed, "date": datetime.date.today().isoformat(), "settings": about}
    found |= {"versions": [], "constants": {}, "rows": []}
    if previous.get("seed") == seed and previous.get("settings") == about:
        found["versions"] = list(previous["versions"])
        found["rows"] = [row for row in previous["rows"] if "ratio" in row]
    known = {row["index"] for row in found["rows"]}
    probe = Probe()
    probe.run()
    with closing(Team(CONTESTANTS, threads=1)) as team:
        for index in (i for i in range(count) if i not in known):
            if time.monotonic() > end:
                break
            workload = draw(seed, index)
            constants = probe.constants()[workload.dtype]
            row, versions = _row(index, workload, team, constants, settings)
            found["versions"] = sorted({*found["versions"], *versions})
            found["rows"] = sorted([*found["rows"], row], key=lambda row: row["index"])
            show(row)
            save(found)
    probe.run()
    found["constants"] = {name: dataclasses.asdict(one) for name, one in probe.constants().items()}
    for row in found["rows"]:
        _add_limit(row, draw(seed, row["index"]), probe.constants())
    save(found)
    return found


def _row(
    index: int,
    workload: Workload,
    team: Team,
    constants: roofline.Constants,
    settings: Settings,
) -> tuple[Row, list[str]]:
    takes_pytorch = roofline.limit(workload, constants)[0] >= PYTORCH_FROM
    names = [one.name for one in CONTESTANTS if takes_pytorch or one is not PYTORCH]
    with tempfile.TemporaryDirectory() as folder:
        truth = step_truth(workload, Path(folder) / "truth.npz")
        answers = dict(
            zip(names, team.time("steps", workload, truth, settings, names), strict=True)
        )
    row: Row = {"index": index, "workload": workload.network, "batch_size": workload.batch_size}
    row |= {"dtype": workload.dtype, "kind": kind(workload, constants)}
    notes = [
        f"{name} {one['status']}: {one['note']}" for name, one in answers.items() if "note" in one
    ]
    if notes:
        row["note"] = "; ".join(notes)
    times = {name: one["us_min"] for name, one in answers.items() if one["status"] == "ok"}
    row |= {f"{name.lower()}_us": us for name, us in times.items()}
    own = times.pop(FASTBP.name, None)
    if own is not None and times:
        row["best_peer"] = min(times, key=lambda name: times[name])
        row["ratio"] = times[row["best_peer"]] / own
    _add_limit(row, workload, {workload.dtype: constants})
    return row, [one["version"] for one in answers.values() if "version" in one]


def _add_limit(row: Row, workload: Workload, constants: dict[str, roofline.Constants]) -> None:
    seconds, row["bound"] = roofline.limit(workload, constants[workload.dtype])
    row["limit_us"] = 1e6 * seconds
    if "fastbp_us" in row:
        row["fraction"] = row["limit_us"] / row["fastbp_us"]


def groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows with a ratio, of each kind, of each type of number, and all."""
    timed = [row for row in rows if "ratio" in row]
    for name, column in [(one, "kind") for one in KINDS] + [
        ("float32", "dtype"),
        ("float64", "dtype"),
    ]:
        yield name, [row for row in timed if row[column] == name]
    yield "all", timed


def quantiles(rows: Sequence[Row], column: str) -> list[float]:
    """The least, the first tenth, the median, the last tenth."""
    values: Any = [row[column] for row in rows]
    return [float(x) for x in np.quantile(values, [0.0, 0.1, 0.5, 0.9])]


def worst(rows: Sequence[Row], count: int = 10) -> list[Row]:
    """The rows of least ratio, the least first."""
    return sorted((row for row in rows if "ratio" in row), key=lambda row: row["ratio"])[:count]
