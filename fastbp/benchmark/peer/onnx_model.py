"""The network as an ONNX model of Gemm and Relu nodes, written with `onnx`."""

from fastbp.benchmark.peer import Refused
from fastbp.benchmark.workload import Workload


def onnx_model(workload: Workload) -> bytes:
    """From x (batch, n_in) to the linear output z (batch, n_out); relu, float32."""
    if workload.dtype != "float32" or workload.activation != "relu":
        raise Refused("the model is written for relu in float32")
    from onnx import TensorProto, helper, numpy_helper

    weights, n_layers = workload.weights(), len(workload.sizes) - 1
    initial, nodes, before = [], [], "x"
    for i in range(n_layers):
        kernel, bias, z = f"W{i}", f"b{i}", "z" if i + 1 == n_layers else f"z{i}"
        initial += [
            numpy_helper.from_array(weights[2 * i], kernel),
            numpy_helper.from_array(weights[2 * i + 1], bias),
        ]
        nodes.append(helper.make_node("Gemm", [before, kernel, bias], [z]))
        if i + 1 < n_layers:
            before = f"a{i}"
            nodes.append(helper.make_node("Relu", [z], [before]))
    shapes = [[workload.batch_size, n] for n in (workload.sizes[0], workload.sizes[-1])]
    x, out = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip("xz", shapes, strict=True)
    )
    graph = helper.make_graph(nodes, "network", [x], [out], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
