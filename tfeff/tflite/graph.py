"""Reading a `.tflite` file: its operations with their options, types and constants, and those that are still float."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.tflite.file import DAMAGE, LEFT_OUT, damaged, read_only
from tfeff.tflite.part import parts_of

_FLOATS = {"FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64"}
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
        subgraph: what its subgraph is called, in a file of several.
    """

    name: str
    version: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    code: int = -1
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    subgraph: str = ""

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
    """A file's operations.

    Attributes:
        operations: of the subgraph that runs, in execution order.
        inputs, outputs: its tensors, in the file's order.
        min_runtime_version: as the converter wrote it; empty if it did not.
        parts: the other subgraphs, which a WHILE or an IF runs, or another signature is of.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    min_runtime_version: str
    parts: tuple["Graph", ...] = ()

    @property
    def bodies(self) -> tuple[Operation, ...]:
        """Operations of the other subgraphs."""
        return tuple(op for part in self.parts for op in part.operations)

    @property
    def all_operations(self) -> tuple[Operation, ...]:
        """`operations` and `bodies`."""
        return (*self.operations, *self.bodies)

    def float_operations(self) -> list[Operation]:
        """Operations that touch float, but for QUANTIZE and DEQUANTIZE at the graph's own door."""
        doors = {"QUANTIZE": frozenset(self.inputs), "DEQUANTIZE": frozenset(self.outputs)}
        return [op for op in self.all_operations if op.is_float and not _is_door(op, doors)]

    def int8_operations(self) -> list[Operation]:
        """Operations all of whose computed inputs and outputs are 8-bit."""
        return [
            op
            for op in self.all_operations
            if not op.is_float and any(t.dtype in ("INT8", "UINT8") for t in (*op.inputs, *op.outputs))
        ]

    def constant_bytes(self, operations: Iterable[Operation] | None = None) -> int:
        """Bytes of the constants of some operations (of all by default); a shared buffer counts once."""
        operations = self.all_operations if operations is None else operations
        sizes = {t.buffer: t.size_bytes for op in operations for t in op.inputs if t.constant}
        return sum(sizes.values())


def _is_door(op, doors):
    outer = op.inputs[:1] if op.name == "QUANTIZE" else op.outputs[:1]
    return op.name in doors and any(tensor in doors[op.name] for tensor in outer)


def read_graph(path: str | Path, data: bytes | None = None) -> Graph:
    """Reads a `.tflite` file; its bytes where they are at hand.

    Raises:
        TfeffError: not a TFLite file, or damaged.
    """
    file = read_only(Path(path).read_bytes() if data is None else data, path)
    try:
        version = _metadata(file.model, b"min_runtime_version")
        names = parts_of(file) if file.bodies else [""]
        uniform: dict[tuple[int, str], Any] = {}
        first, *others = (
            _read(part, name, version, uniform) for part, name in zip((file, *file.bodies), names, strict=True)
        )
        return replace(first, parts=tuple(others))
    except DAMAGE as error:
        raise damaged(path, error) from None


def _read(subgraph, name, version, uniform):
    tensors = [_tensor(subgraph, number, uniform) for number in range(len(subgraph.tree.tensors or ()))]
    trees = subgraph.tree.operators or ()
    return Graph(
        tuple(_operation(*both, tensors, name) for both in zip(subgraph.operators, trees, strict=True)),
        tuple(tensors[i] for i in subgraph.inputs),
        tuple(tensors[i] for i in subgraph.outputs),
        version,
    )


def describe_operations(graph: Graph) -> dict[str, Any]:
    """The record's `ops` entry: `total`, `int8`, `float` (list), and a count by name."""
    counts: dict[str, int] = {}
    for op in graph.all_operations:
        counts[op.name] = counts.get(op.name, 0) + 1
    return {
        "total": len(graph.all_operations),
        "int8": len(graph.int8_operations()),
        "float": [op.label for op in graph.float_operations()],
        "by_name": dict(sorted(counts.items())),
    }


def _tensor(file, index, uniform):
    """`uniform`: value of all elements by buffer and type, for those that were looked at: tensors may share one."""
    quantization = file.scales(index)
    scales = () if quantization is None else tuple(map(float, quantization.scales))
    raw, elements = file.raw(index), file.stored(index)
    elements = None if elements is None else elements.reshape(-1)
    key = file.tree.tensors[index].buffer, file.dtype(index)
    if elements is not None and key not in uniform:
        uniform[key] = elements[0].item() if len(elements) and (elements == elements[0]).all() else None
    return Tensor(
        name=file.name(index),
        shape=file.shape(index),
        dtype=file.dtype(index),
        scale=scales[0] if len(scales) == 1 else None,
        zero_point=int(quantization.zero_points[0]) if len(scales) == 1 else None,
        constant=file.is_constant(index),
        index=index,
        shape_signature=file.shape_signature(index),
        scales=scales,
        axis=quantization.axis if scales else 0,
        buffer=file.tree.tensors[index].buffer,
        size_bytes=len(raw),
        values=tuple(elements.tolist()) if elements is not None and elements.size <= _SMALL else None,
        uniform=None if elements is None else uniform[key],
        external=file.is_external(index),
    )


def _operation(op, tree, tensors, name):
    return Operation(
        name=op.name,
        version=op.version,
        inputs=tuple(tensors[i] for i in op.inputs if i != LEFT_OUT),
        outputs=tuple(tensors[i] for i in op.outputs),
        code=op.code,
        options=_options(tree.builtinOptions or tree.builtinOptions2),
        subgraph=name,
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


def _metadata(model, key):
    for entry in model.metadata or []:
        if entry.name == key:
            return bytes(model.buffers[entry.buffer].data).rstrip(b"\0").decode()
    return ""


@lru_cache
def _names(enum):
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}
