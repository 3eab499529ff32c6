"""`.tflite` files of a few operations, written by hand: what they compute is known without a converter."""

from dataclasses import dataclass, field

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from checking_files import pack

CODES = {name: number for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
TYPES = {name.lower(): number for name, number in vars(schema.TensorType).items() if isinstance(number, int)}


@dataclass
class Values:
    """A tensor; a constant where it has `values`, a state where `kept`."""

    shape: tuple
    dtype: str = "float32"
    scale: float | list | None = None
    zero_point: int = 0
    axis: int = 0
    values: np.ndarray | None = None
    kept: bool = False


@dataclass
class Step:
    """An operation on tensors by name; `options` are fields of the schema's options of that name."""

    op: str
    inputs: list
    outputs: list
    options: str = ""
    fields: dict = field(default_factory=dict)


@dataclass
class Part:
    """A subgraph: {name: Values}, its operations, and the names of its inputs and outputs, by port where they have a
    name of their own."""

    tensors: dict
    steps: list
    inputs: dict
    outputs: dict


def constant(values, dtype=None, scale=None, axis=0):
    """A constant of numbers as they are stored."""
    values = np.asarray(values, dtype)
    return Values(values.shape, values.dtype.name, scale, axis=axis, values=values)


def write_file(path, *parts):
    """Writes a file of these subgraphs, the first of which runs and has a signature; the path."""
    model = schema.ModelT()
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [], []
    for part in parts:
        model.subgraphs.append(_subgraph(model, part))
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
    places = {name: number for number, name in enumerate(parts[0].tensors)}
    signature.inputs, signature.outputs = (
        [_entry(name, places[tensor]) for name, tensor in side.items()] for side in (parts[0].inputs, parts[0].outputs)
    )
    model.signatureDefs = [signature]
    path.write_bytes(pack(model))
    return path


def _entry(name, number):
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), number
    return entry


def _subgraph(model, part):
    graph = schema.SubGraphT()
    places = {name: number for number, name in enumerate(part.tensors)}
    graph.tensors = [_tensor(model, name, values) for name, values in part.tensors.items()]
    graph.inputs, graph.outputs = ([places[name] for name in side.values()] for side in (part.inputs, part.outputs))
    graph.operators = []
    for step in part.steps:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = CODES[step.op], min(CODES[step.op], 127), 1
        model.operatorCodes.append(code)
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = (
            [-1 if name is None else places[name] for name in side] for side in (step.inputs, step.outputs)
        )
        if step.options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, step.options)
            operator.builtinOptions = getattr(schema, f"{step.options}T")()
            for key, value in step.fields.items():
                setattr(operator.builtinOptions, key, value)
        graph.operators.append(operator)
    return graph


def _tensor(model, name, values):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(values.shape), TYPES[values.dtype], 0
    tensor.isVariable, tensor.hasRank = values.kept, True
    if values.scale is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.float32(np.atleast_1d(values.scale))
        tensor.quantization.zeroPoint = np.full(len(np.atleast_1d(values.scale)), values.zero_point, np.int64)
        tensor.quantization.quantizedDimension = values.axis
    if values.values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values.values).tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    return tensor
