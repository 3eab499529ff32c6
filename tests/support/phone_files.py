"""Small .tflite files that need no converter, written by the schema's own classes."""

from dataclasses import dataclass

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


@dataclass
class Op:
    """One operation of a file, by the numbers of its tensors."""

    code: int
    inputs: list
    outputs: list
    options: object = None
    kind: int = 0
    version: int = 1


def write(tensors, operations, buffers, inputs, outputs, signatures=()):
    """The bytes of a file with one subgraph.

    Args:
        buffers: arrays, None for the first, which is empty.
        inputs, outputs: numbers of tensors.
        signatures: (key, {name: tensor} of the inputs, the same of the outputs) each.
    """
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [], inputs, outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [], [graph], []
    for number, op in enumerate(operations):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = op.code
        code.version = op.version
        operator.inputs, operator.outputs, operator.opcodeIndex = op.inputs, op.outputs, number
        operator.builtinOptions, operator.builtinOptionsType = op.options, op.kind
        model.operatorCodes.append(code)
        graph.operators.append(operator)
    for data in buffers:
        buffer = schema.BufferT()
        buffer.data = None if data is None else np.frombuffer(data.tobytes(), np.uint8)
        model.buffers.append(buffer)
    model.signatureDefs = [_signature(*one) for one in signatures] or None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _signature(key, inputs, outputs):
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = key, 0
    signature.inputs, signature.outputs = [], []
    for side, names in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for name, tensor in names.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, tensor
            side.append(entry)
    return signature


def _file(code, tensors, buffers, inputs, options=None, kind=0, version=1):
    last = len(tensors) - 1
    return write(tensors, [Op(code, inputs, [last], options, kind, version)], buffers, [0], [last])


# By its names in the signature. Any number in `words` but 0 and 1 is outside of the table, and the file fails.
PORTS = {
    "inputs": {"pixels": ((1, 6, 6, 3), "float32"), "words": ((1, 5), "int32")},
    "outputs": {
        "best": ((1, 5), "int32"), "active": ((1, 6, 6, 3), "float32"), "small": ((1, 6, 6, 3), "int8"),
        "vectors": ((1, 5, 4), "float32"),
    },
}  # fmt: skip
TABLE = np.float32([[1, -2, 3, 0], [0.5, 4, -1, 2]])


def ports_file(signatures=("serving_default",), int8=True):
    """Two inputs of other ranks and types and four outputs, none of whose tensors is called as the signatures do:
    active = ReLU(pixels); small = pixels in int8; vectors = TABLE[words]; best = argmax of each vector. Without `int8`
    small is computed, but no output."""
    kinds, operators = schema.TensorType, schema.BuiltinOperator
    tensors = [
        _tensor("serving_default_pixels:0", (1, 6, 6, 3), kinds.FLOAT32, 0),
        _tensor("words,x:0", (1, 5), kinds.INT32, 0),
        _tensor("table", TABLE.shape, kinds.FLOAT32, 1),
        _tensor("axis", (), kinds.INT32, 2),
        _tensor("Identity", (1, 6, 6, 3), kinds.FLOAT32, 0),
        _tensor("Identity_1", (1, 6, 6, 3), kinds.INT8, 0, 0.05),
        _tensor("Identity_2", (1, 5, 4), kinds.FLOAT32, 0),
        _tensor("Identity_2", (1, 5), kinds.INT32, 0),
    ]
    best, gather = schema.ArgMaxOptionsT(), schema.GatherOptionsT()
    best.outputType = kinds.INT32
    options = schema.BuiltinOptions
    operations = [
        Op(operators.RELU, [0], [4]),
        Op(operators.QUANTIZE, [0], [5], schema.QuantizeOptionsT(), options.QuantizeOptions),
        Op(operators.GATHER, [2, 1], [6], gather, options.GatherOptions),
        Op(operators.ARG_MAX, [6, 3], [7], best, options.ArgMaxOptions),
    ]
    named = {"pixels": 0, "words": 1}, {"vectors": 6, "active": 4, "best": 7, **({"small": 5} if int8 else {})}
    signed = [(key, *named) for key in signatures]
    outputs = [7, 4, 5, 6] if int8 else [7, 4, 6]
    return write(tensors, operations, [None, TABLE, np.int32([2])], [0, 1], outputs, signed)


def ports_answer(pixels, words):
    """What `ports_file` means, by output."""
    vectors = TABLE[words]
    return {
        "best": vectors.argmax(-1).astype(np.int32),
        "active": np.maximum(pixels, 0),
        "small": np.clip(np.round(pixels / np.float32(0.05)), -128, 127).astype(np.int8),
        "vectors": vectors,
    }


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
    """Paths by name: `float` and `int8` with one input and one output, `ports` with several."""
    made = {"float": float_file(), "int8": int8_file(), "ports": ports_file()}
    paths = {name: tmp_path / f"{name}.tflite" for name in made}
    for name, data in made.items():
        paths[name].write_bytes(data)
    return paths
