"""LiteRT with its XNNPACK delegate, for the cost of a call.

The model is a file of FullyConnected operators, written with the classes of the format's schema
that LiteRT brings: TensorFlow is not needed.
"""

from typing import Any

import numpy as np

from fastbp.benchmark.peer import Call, Refused
from fastbp.benchmark.workload import Workload

NAME = "LiteRT"


def version() -> str:
    from importlib import metadata

    return metadata.version("ai-edge-litert")


def tflite_model(workload: Workload) -> bytes:
    """From (batch, n_in) to the linear output (batch, n_out)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.description = 3, "network"
    model.buffers, graph.tensors, graph.operators = [schema.BufferT()], [], []  # buffer 0 is empty

    def tensor(shape: tuple[int, ...], value: Any = None) -> int:
        made = schema.TensorT()
        made.shape, made.type, made.buffer = list(shape), schema.TensorType.FLOAT32, 0
        made.name = f"t{len(graph.tensors)}"
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model.operatorCodes = [code]
    weights, rows = workload.weights(), workload.batch_size
    before = tensor((rows, workload.sizes[0]))
    graph.inputs = [before]
    for i, (_, n_out) in enumerate(workload.pairs):
        kernel, bias = np.ascontiguousarray(weights[2 * i].T), weights[2 * i + 1]
        layer, options = schema.OperatorT(), schema.FullyConnectedOptionsT()
        if i + 1 < len(workload.pairs):
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        layer.opcodeIndex = 0
        layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        layer.builtinOptions = options
        layer.inputs = [before, tensor(kernel.shape, kernel), tensor(bias.shape, bias)]
        before = tensor((rows, n_out))
        layer.outputs = [before]
        graph.operators.append(layer)
    graph.outputs = [before]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def call(workload: Workload, variant: str, threads: int) -> Call:
    if workload.dtype != "float32" or workload.activation != "relu":
        raise Refused("the model is written for relu in float32")
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=tflite_model(workload), num_threads=threads)
    interpreter.allocate_tensors()
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    given, found = source["index"], sink["index"]
    x = workload.data()[0][: workload.batch_size]

    def run() -> Any:
        interpreter.set_tensor(given, x)
        interpreter.invoke()
        return interpreter.get_tensor(found)

    return run
