"""C by hand, every size literal: what one network alone could have.  bench/native/chain_*.c."""

from fastbp.benchmark.peer import Refused, Run, native
from fastbp.benchmark.workload import Workload

NAME = "C by hand,"
WRITTEN = {(2, 2, 1): 1, (4, 32, 16, 1): 32, (64, 32, 10): 32}  # and their batch


def source(sizes: tuple[int, ...]) -> str:
    return f"chain_{'_'.join(map(str, sizes))}.c"


def version() -> str:
    return str(native.library(source(next(iter(WRITTEN))), "float").version().decode())


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    if WRITTEN.get(workload.sizes) != workload.batch_size or workload.dtype != "float32":
        raise Refused("it is written for 2-2-1 batch 1, 4-32-16-1 and 64-32-10 batch 32, float32")
    return native.trainer(native.library(source(workload.sizes), "float"), workload, threads)
