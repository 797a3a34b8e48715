"""Eigen: bench/native/eigen.cpp, a chain of dense layers of any sizes; its products use OpenMP."""

from fastbp.benchmark.peer import Run, native
from fastbp.benchmark.workload import Workload

NAME = "Eigen"
OPTIONS = ("-I/usr/include/eigen3", "-DNDEBUG", "-fopenmp")


def version() -> str:
    return str(native.library("eigen.cpp", "float", *OPTIONS).version().decode())


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    real = "float" if workload.dtype == "float32" else "double"
    return native.trainer(native.library("eigen.cpp", real, *OPTIONS), workload, threads)
