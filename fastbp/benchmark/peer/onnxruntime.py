"""ONNX Runtime, for the cost of a call: the network as two Gemm nodes, written with `onnx`."""

from fastbp.benchmark.peer import Call, Refused
from fastbp.benchmark.workload import Workload

NAME = "ONNX Runtime"


def call(workload: Workload, variant: str) -> Call:
    if workload.dtype != "float32":
        raise Refused("the model is written for float32")
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    names = ["W1", "b1", "W2", "b2"]
    parts = zip(workload.weights(), names, strict=True)
    initial = [numpy_helper.from_array(part, name) for part, name in parts]
    shapes = [[workload.batch_size, n] for n in (workload.sizes[0], workload.sizes[-1])]
    x, z = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip("xz", shapes, strict=True)
    )
    nodes = [
        helper.make_node("Gemm", ["x", "W1", "b1"], ["s"]),
        helper.make_node("Relu", ["s"], ["a"]),
        helper.make_node("Gemm", ["a", "W2", "b2"], ["z"]),
    ]
    graph = helper.make_graph(nodes, "network", [x], [z], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"x": workload.data()[0][: workload.batch_size]}
    return lambda: session.run(None, inputs)[0]
