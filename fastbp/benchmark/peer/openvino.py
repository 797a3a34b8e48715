"""OpenVINO, for the cost of a call: the ONNX model, float32 arithmetic asked for."""

from fastbp.benchmark.peer import Call
from fastbp.benchmark.peer.onnx_model import onnx_model
from fastbp.benchmark.workload import Workload

NAME = "OpenVINO"


def call(workload: Workload, variant: str, threads: int) -> Call:
    import openvino

    core = openvino.Core()
    options = {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }  # fmt: skip
    compiled = core.compile_model(core.read_model(onnx_model(workload)), "CPU", options)
    request, x = compiled.create_infer_request(), workload.data()[0][: workload.batch_size]
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)[0]
