"""Small .tflite files that need no converter: one operation each, written by the schema's own classes."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

IMAGE = (1, 12, 12, 8)


def _tensor(name, shape, kind, buffer, scale=None):
    quantization = None
    if scale is not None:
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [0]
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    tensor.quantization = quantization
    return tensor


def _file(code, tensors, buffers, inputs, options=None, kind=0, version=1):
    operator_code, operator, graph, model = (
        schema.OperatorCodeT(), schema.OperatorT(), schema.SubGraphT(), schema.ModelT(),
    )  # fmt: skip
    operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
    operator_code.version = version
    operator.inputs, operator.outputs, operator.opcodeIndex = inputs, [len(tensors) - 1], 0
    operator.builtinOptions, operator.builtinOptionsType = options, kind
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], [0], [len(tensors) - 1]
    model.version, model.operatorCodes, model.subgraphs = 3, [operator_code], [graph]
    model.buffers = []
    for data in buffers:
        buffer = schema.BufferT()
        buffer.data = None if data is None else np.frombuffer(data.tobytes(), np.uint8)
        model.buffers.append(buffer)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def float_file(shape=IMAGE):
    """A ReLU in float."""
    kind = schema.TensorType.FLOAT32
    tensors = [_tensor("image:0", shape, kind, 0), _tensor("logits", shape, kind, 0)]
    return _file(schema.BuiltinOperator.RELU, tensors, [None], [0])


def int8_file():
    """A convolution in int8, 1 x 1, 8 to 16 channels."""
    random, kinds = np.random.default_rng(0), schema.TensorType
    kernel = random.integers(-127, 128, (16, 1, 1, 8), np.int8)
    bias = random.integers(-500, 500, 16, np.int32)
    tensors = [
        _tensor("image:0", IMAGE, kinds.INT8, 0, 0.05),
        _tensor("kernel", kernel.shape, kinds.INT8, 1, 0.01),
        _tensor("bias", bias.shape, kinds.INT32, 2, 0.0005),
        _tensor("logits", (*IMAGE[:3], 16), kinds.INT8, 0, 0.1),
    ]
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    kind = schema.BuiltinOptions.Conv2DOptions
    return _file(schema.BuiltinOperator.CONV_2D, tensors, [None, kernel, bias], [0, 1, 2], options, kind, version=3)


def mul_file():
    """A product of the image with itself, in int8."""
    kind = schema.TensorType.INT8
    tensors = [_tensor("image:0", IMAGE, kind, 0, 0.05), _tensor("square", IMAGE, kind, 0, 0.25)]
    kinds = schema.BuiltinOptions.MulOptions
    return _file(schema.BuiltinOperator.MUL, tensors, [None], [0, 0], schema.MulOptionsT(), kinds, version=2)


@pytest.fixture
def files(tmp_path):
    """Paths by name: `float`, `int8`."""
    paths = {name: tmp_path / f"{name}.tflite" for name in ("float", "int8")}
    for name, data in {"float": float_file(), "int8": int8_file()}.items():
        paths[name].write_bytes(data)
    return paths
