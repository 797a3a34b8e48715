"""The process of one contestant: reads requests from stdin, a JSON object a line, and answers them.

    {"do": "prepare", "adapter", "variant", "threads", "workload": fields, "truth": file, "seconds",
     "kind": "steps" | "call"}
        -> {"status": "ok", version, compile_s, steps or calls, deviations}
        or {"status": "missing" | "refused" | "wrong" | "failed", "note"}
    {"do": "round"}      -> {"seconds"}: of one call of so many steps, or so many calls

Before all that, one line of its own: {"import_s"}, or {"status": "missing", "note"} and it ends.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np

from fastbp.benchmark.peer import Missing, Refused, Run
from fastbp.benchmark.workload import Array, Workload

# Of the loss, relative; of the parameters, by the way they went: in norm, and the median of all.
# Where rounding moves one pre-activation of a relu over 0, the unit's weights get another gradient,
# Adam's first steps go by its sign, and all the layers follow: 2e-2 in norm and 2e-3 in the median
# were seen of a correct loop in float32, of 1 % in the learning rate 4e-2 and 1e-2.
BOUND = {
    ("float32", False): (1e-4, 1e-3, 1e-3),
    ("float32", True): (1e-4, 3e-2, 8e-3),  # of workloads whose derivative jumps
    ("float64", False): (1e-7, 1e-5, 1e-5),
    ("float64", True): (1e-7, 1e-5, 1e-5),
}
CALL_BOUND = 1e-5
SLOW = 10.0  # seconds: a call that takes as long is not repeated before the timed ones

Answer = dict[str, Any]
Timed = Callable[[], float]  # seconds of one round


def deviations(
    workload: Workload, truth: Any, loss: float, parameters: Sequence[Any]
) -> dict[str, float]:
    """From the float64 oracle, relative: of the final loss, and by the way the parameters went.

    Half a unit in the last place a step is no deviation: of a way that short the digits are few.
    """
    flat = np.concatenate([np.asarray(part, np.float64).ravel() for part in parameters])
    start = np.concatenate([part.ravel() for part in workload.weights()]).astype(np.float64)
    end = truth["parameters"]
    way, away = np.abs(end - start), np.abs(flat - end)
    rounding = workload.checked_steps * np.finfo(workload.dtype).eps / 2 * np.abs(end)
    away = np.where(away > rounding, away - rounding, np.where(np.isnan(away), away, 0.0))
    return {
        "loss_deviation": ratio(abs(loss - truth["loss"]), abs(truth["loss"])),
        "parameter_deviation": ratio(np.linalg.norm(away), np.linalg.norm(way)),
        "median_deviation": ratio(np.median(away), np.median(way)),
    }


def ratio(part: Any, whole: Any) -> float:
    """part / whole; 0 of nothing is 0, as for the median parameter of units that are all dead."""
    return 0.0 if part == 0 else float(part / whole) if whole else float("inf")


def check(found: dict[str, float], bounds: Sequence[float]) -> Answer:
    """`found`, or that it is wrong: a deviation is beyond its bound, or not a number."""
    for (name, value), bound in zip(found.items(), bounds, strict=True):
        if not value <= bound:
            note = f"{name.replace('_', ' ')} {value:.1e}, allowed are {bound:.0e}"
            return found | {"status": "wrong", "note": note}
    return found | {"status": "ok"}


def seconds_of(run: Callable[[int], object], count: int) -> float:
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start


def prepare_steps(
    adapter: Any, workload: Workload, request: Answer, truth: Any
) -> tuple[Answer, Timed | None]:
    start = time.perf_counter()
    run: Run = adapter.trainer(workload, request["variant"], request["threads"])
    loss, parameters = run(workload.checked_steps)
    first = time.perf_counter() - start
    found: Answer = {"status": "ok"}
    if truth is None:
        found["loss"] = loss
    else:
        slack = workload.tolerance * getattr(adapter, "SLACK", 1)
        bounds = [slack * bound for bound in BOUND[workload.dtype, workload.is_kinked]]
        found = check(deviations(workload, truth, loss, parameters), bounds)
    if found["status"] != "ok":
        return found | {"note": found["note"] + getattr(adapter, "DIFFERENCE", "")}, None
    repeated = workload.checked_steps if first < SLOW else workload.n_batches
    again = seconds_of(run, repeated) / repeated
    epochs = max(1, round(request["seconds"] / (again * workload.n_batches)))
    steps = epochs * workload.n_batches
    if steps != repeated and again * steps < SLOW:
        run(steps)  # the caches warm, and what is compiled for a number of steps
    compiling = max(0.0, first - again * workload.checked_steps)
    return found | {"compile_s": compiling, "steps": steps}, partial(seconds_of, run, steps)


def prepare_call(
    adapter: Any, workload: Workload, request: Answer, truth: Any
) -> tuple[Answer, Timed | None]:
    start = time.perf_counter()
    call = adapter.call(workload, request["variant"], request["threads"])
    answer: Array = np.asarray(call(), np.float64)
    first = time.perf_counter() - start
    # outputs or probabilities, whichever it returns
    away = [np.abs(answer - truth[name]).max() / np.abs(truth[name]).max() for name in truth.files]
    found = check({"deviation": float(min(away))}, [CALL_BOUND])
    if found["status"] != "ok":
        return found, None

    def repeat(calls: int) -> None:
        for _ in range(calls):
            call()

    once = min(seconds_of(repeat, 1) for _ in range(2))
    if once < 1e-3:
        repeat(10)
        once = min(seconds_of(repeat, 10) for _ in range(5)) / 10
    calls = max(1, round(request["seconds"] / once))
    found |= {"compile_s": max(0.0, first - once), "calls": calls}
    return found, partial(seconds_of, repeat, calls)


def prepare(request: Answer) -> tuple[Answer, Timed | None]:
    adapter = importlib.import_module(f"fastbp.benchmark.peer.{request['adapter']}")
    fields = request["workload"]
    workload = Workload(**fields | {"sizes": tuple(fields["sizes"])})
    prepared = prepare_steps if request["kind"] == "steps" else prepare_call
    number = ""
    try:
        number = version(adapter, request["adapter"])
        truth = request["truth"] and np.load(request["truth"])
        found, timed = prepared(adapter, workload, request, truth)
    except (Refused, Missing, ModuleNotFoundError) as reason:  # a module beside its own
        status = "refused" if isinstance(reason, Refused) else "missing"
        found, timed = {"status": status, "note": str(reason)}, None
    return ({"version": f"{adapter.NAME} {number}"} if number else {}) | found, timed


def version(adapter: Any, module: str) -> str:
    """What the adapter says itself, or what the module of that name or its distribution says."""
    if hasattr(adapter, "version"):
        return str(adapter.version())
    found = getattr(importlib.import_module(module), "__version__", None)
    return str(found or metadata.version(module))


def answers() -> Iterator[Answer]:
    timed: Timed | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                timed = None  # its memory first
                found, timed = prepare(request)
                yield found
            else:
                assert timed is not None
                yield {"seconds": timed()}
        except Exception as reason:  # whatever a peer raises is a row of the table
            text = " ".join(str(reason).split())[:200]
            yield {"status": "failed", "note": f"{type(reason).__name__}: {text}"}


def main(first: Answer) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is no answer
    print(json.dumps(first), file=out, flush=True)
    for answer in answers() if "import_s" in first else ():
        print(json.dumps(answer), file=out, flush=True)
