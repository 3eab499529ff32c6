"""Reading a `.tflite` file: its operations, their types, and those that are still float."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfeff.errors import TfeffError

_FLOATS = {"FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64"}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; `constant` when the file holds its values."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None
    constant: bool


@dataclass(frozen=True)
class Operation:
    """An operation: TFLite's name, its version, and the tensors it reads and writes."""

    name: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

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
        tensors = [_tensor(model, tensor) for tensor in subgraph.tensors]
        return Graph(
            operations=tuple(_operation(model, op, tensors) for op in subgraph.operators),
            inputs=tuple(tensors[i] for i in subgraph.inputs),
            outputs=tuple(tensors[i] for i in subgraph.outputs),
            min_runtime_version=_metadata(model, b"min_runtime_version"),
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


def _tensor(model, tensor):
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    per_tensor = quantized and len(quantization.scale) == 1
    data = model.buffers[tensor.buffer].data
    return Tensor(
        name=(tensor.name or b"").decode(errors="replace"),
        shape=tuple(int(n) for n in (tensor.shape if tensor.shape is not None else ())),
        dtype=_names(schema.TensorType)[tensor.type],
        scale=float(quantization.scale[0]) if per_tensor else None,
        zero_point=int(quantization.zeroPoint[0]) if per_tensor else None,
        constant=data is not None and len(data) > 0,
    )


def _operation(model, op, tensors):
    code = model.operatorCodes[op.opcodeIndex]
    # Files older than schema 3a keep the code in a byte-sized field, newer ones in both when it fits.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _names(schema.BuiltinOperator)[number]
    if name == "CUSTOM":
        name = f"CUSTOM {(code.customCode or b'').decode(errors='replace')}"
    return Operation(
        name=name,
        version=code.version,
        inputs=tuple(tensors[i] for i in op.inputs if i >= 0),
        outputs=tuple(tensors[i] for i in op.outputs),
    )


def _metadata(model, key):
    for entry in model.metadata or []:
        if entry.name == key:
            return bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()
    return ""


@lru_cache
def _names(enum):
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
