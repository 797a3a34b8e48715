"""FANN: bench/native/fann.c, in float32, with SGD alone; incremental for a batch of one."""

from fastbp.benchmark.peer import Refused, Run, native
from fastbp.benchmark.workload import Workload

NAME = "FANN"
OPTIONS = ("-lfloatfann",)
SLACK = 5  # its slope of tanh is nowhere below that of an output of 0.98


def version() -> str:
    return str(native.library("fann.c", "float", *OPTIONS).version().decode())


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    if workload.dtype != "float32":
        raise Refused("it is compiled for float32")
    return native.trainer(native.library("fann.c", "float", *OPTIONS), workload, threads)
