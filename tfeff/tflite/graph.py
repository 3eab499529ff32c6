"""Reading a `.tflite` file: its operations with their options, types and constants, and those that are still float."""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.errors import TfeffError

_FLOATS = {"FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64"}
_NUMPY = {"BFLOAT16": None, "INT4": None, "INT2": None, "UINT4": None, "STRING": None}  # no NumPy type, or packed
_SMALL = 64  # elements: axes, paddings, permutations and begins are read, weights are not
# Options whose number stands for a word.
_WORDS = {
    "fused_activation_function": "ActivationFunctionType",
    "padding": "Padding",
    "weights_format": "FullyConnectedOptionsWeightsFormat",
    "mode": "MirrorPadMode",
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        name: as the converter called it.
        shape: sizes; where one is not fixed, what stands in for it (1 as a rule).
        dtype: TFLite's word, such as INT8.
        scale: of per-tensor quantization, else None.
        zero_point: the same.
        constant: whether the file holds its values.
        index: its number in the graph.
        shape_signature: sizes, -1 where one is known only at run time; empty where all are fixed.
        scales: all scales of per-channel quantization, the one of per-tensor, or none.
        axis: the axis that `scales` go along.
        buffer: number of the buffer with the values of a constant; tensors may share one.
        size_bytes: of those values in the file.
        values: of a constant of at most 64 elements, flat, in its own dtype.
        uniform: the value of all elements of a constant, if they are equal.
        external: whether the values lie behind the flatbuffer or in another file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    constant: bool
    index: int = -1
    shape_signature: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()
    axis: int = 0
    buffer: int = 0
    size_bytes: int = 0
    values: tuple[float, ...] | None = None
    uniform: float | None = None
    external: bool = False

    @property
    def dynamic(self) -> bool:
        """Whether a size is known only at run time."""
        return any(n < 0 for n in (*self.shape_signature, *self.shape))


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes:
        name: TFLite's name; "CUSTOM x" of a custom one, "BUILTIN n" of one that this schema has no name for.
        version: of the operation.
        inputs: tensors it reads; ones that were left out do not count.
        outputs: tensors it writes.
        code: builtin code.
        options: the schema's options in snake_case (`stride_w`, `dilation_h_factor`, `keep_num_dims`); activations,
            paddings and weight formats as words. Empty where the file has none.
    """

    name: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    code: int = -1
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def is_float(self) -> bool:
        """Whether any tensor it touches is float, weights included."""
        return any(tensor.dtype in _FLOATS for tensor in (*self.inputs, *self.outputs))

    @property
    def label(self) -> str:
        """What an error message calls it: the name and where its output belongs."""
        return f"{self.name} ({self.outputs[0].name[:80]})" if self.outputs else self.name


@dataclass(frozen=True)
class Graph:
    """The only subgraph of a file, in execution order."""

    operations: tuple[Operation, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    min_runtime_version: str

    def float_operations(self) -> list[Operation]:
        """Operations that touch float, but for QUANTIZE and DEQUANTIZE at the graph's own door."""
        return [op for op in self.operations if op.is_float and not self._at_the_door(op)]

    def int8_operations(self) -> list[Operation]:
        """Operations all of whose computed inputs and outputs are 8-bit."""
        return [
            op
            for op in self.operations
            if not op.is_float and any(t.dtype in ("INT8", "UINT8") for t in (*op.inputs, *op.outputs))
        ]

    def constant_bytes(self, operations: Iterable[Operation] | None = None) -> int:
        """Bytes of the constants of some operations (of all by default); a shared buffer counts once."""
        operations = self.operations if operations is None else operations
        sizes = {t.buffer: t.size_bytes for op in operations for t in op.inputs if t.constant}
        return sum(sizes.values())

    def _at_the_door(self, op):
        return (op.name == "QUANTIZE" and op.inputs[0] in self.inputs) or (
            op.name == "DEQUANTIZE" and op.outputs[0] in self.outputs
        )


def read_graph(path: Path) -> Graph:
    """Reads a `.tflite` file.

    Raises:
        TfeffError: not a TFLite file, damaged, or with more than one subgraph.
    """
    data = Path(path).read_bytes()
    if data[4:8] != b"TFL3":
        raise TfeffError(f"{path}: not a TFLite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        if len(model.subgraphs) != 1:
            raise TfeffError(f"{path}: {len(model.subgraphs)} subgraphs", "only files with one are read")
        subgraph = model.subgraphs[0]
        tensors = [_tensor(model, data, index, tensor) for index, tensor in enumerate(subgraph.tensors)]
        return Graph(
            operations=tuple(_operation(model, op, tensors) for op in subgraph.operators),
            inputs=tuple(tensors[i] for i in subgraph.inputs),
            outputs=tuple(tensors[i] for i in subgraph.outputs),
            min_runtime_version=_metadata(model, data, b"min_runtime_version"),
        )
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, struct.error) as error:
        raise TfeffError(f"{path}: damaged ({type(error).__name__})", "export it anew") from None


def describe_operations(graph: Graph) -> dict[str, Any]:
    """The record's `ops` entry: `total`, `int8`, `float` (list), and a count by name."""
    counts: dict[str, int] = {}
    for op in graph.operations:
        counts[op.name] = counts.get(op.name, 0) + 1
    return {
        "total": len(graph.operations),
        "int8": len(graph.int8_operations()),
        "float": [op.label for op in graph.float_operations()],
        "by_name": dict(sorted(counts.items())),
    }


def describe_tensor(tensor: Tensor) -> dict[str, Any]:
    """The record's `input` or `output` entry; `name` is the tensor's in the file."""
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.lower(),
        "scale": tensor.scale,
        "zero_point": tensor.zero_point,
    }


def _tensor(model, data, index, tensor):
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    per_tensor = quantized and len(quantization.scale) == 1
    buffer = model.buffers[tensor.buffer]
    external = buffer.offset > 1 or bool(tensor.externalBuffer)
    raw = _raw(data, buffer)
    shape, signature = (_ints(sizes) for sizes in (tensor.shape, tensor.shapeSignature))
    dtype = _names(schema.TensorType)[tensor.type]
    elements = _elements(raw, dtype, shape)
    return Tensor(
        name=(tensor.name or b"").decode(errors="replace"),
        shape=shape,
        dtype=dtype,
        scale=float(quantization.scale[0]) if per_tensor else None,
        zero_point=int(quantization.zeroPoint[0]) if per_tensor else None,
        constant=len(raw) > 0 or external,
        index=index,
        shape_signature=signature if any(n < 0 for n in signature) else (),
        scales=tuple(float(scale) for scale in quantization.scale) if quantized else (),
        axis=int(quantization.quantizedDimension) if quantized else 0,
        buffer=tensor.buffer,
        size_bytes=len(raw),
        values=tuple(elements.tolist()) if elements is not None and elements.size <= _SMALL else None,
        uniform=elements[0].item() if elements is not None and (elements == elements[0]).all() else None,
        external=external,
    )


def _raw(data, buffer):
    """The bytes of a buffer, which may lie behind the flatbuffer (offset and size from the start of the file)."""
    if buffer.offset > 1:
        if buffer.offset + buffer.size > len(data):
            raise ValueError("outside of the file")
        return data[buffer.offset : buffer.offset + buffer.size]
    return b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).data


def _elements(raw, dtype, shape):
    """A constant as a flat array; None where there is none, or not one that NumPy can hold."""
    kind = _NUMPY.get(dtype, dtype.lower())
    if kind is None or not len(raw) or not hasattr(np, kind):
        return None
    kind = np.dtype(kind)
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(raw, kind) if len(raw) == count * kind.itemsize else None


def _operation(model, op, tensors):
    code = model.operatorCodes[op.opcodeIndex]
    # Files older than schema 3a keep the code in a byte-sized field, newer ones in both when it fits.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names(schema.BuiltinOperator).get(number, f"BUILTIN {number}")
    if name == "CUSTOM":
        name = f"CUSTOM {(code.customCode or b'').decode(errors='replace')}"
    return Operation(
        name=name,
        version=code.version,
        inputs=tuple(tensors[i] for i in _ints(op.inputs) if i >= 0),
        outputs=tuple(tensors[i] for i in _ints(op.outputs)),
        code=number,
        options=_options(op.builtinOptions or op.builtinOptions2),
    )


def _options(table):
    """A table of options as a dictionary; tables inside it are left out."""
    options = {}
    for field_name, value in vars(table).items() if table is not None else ():
        name = re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", field_name)
        if name in _WORDS and isinstance(value, int):
            value = _names(getattr(schema, _WORDS[name])).get(value, value)
        elif isinstance(value, np.ndarray | list):
            value = tuple(np.asarray(value).tolist())
        if isinstance(value, bool | int | float | str | tuple):
            options[name] = value
    return options


def _ints(vector):
    return () if vector is None else tuple(int(n) for n in vector)


def _metadata(model, data, key):
    for entry in model.metadata or []:
        if entry.name == key:
            return bytes(_raw(data, model.buffers[entry.buffer])).rstrip(b"\0").decode()
    return ""


@lru_cache
def _names(enum):
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
