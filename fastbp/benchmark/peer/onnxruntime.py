"""ONNX Runtime, for the cost of a call."""

from fastbp.benchmark.peer import Call
from fastbp.benchmark.peer.onnx_model import onnx_model
from fastbp.benchmark.workload import Workload

NAME = "ONNX Runtime"


def call(workload: Workload, variant: str, threads: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        onnx_model(workload), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"x": workload.data()[0][: workload.batch_size]}
    return lambda: session.run(None, inputs)[0]
