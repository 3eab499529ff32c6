"""A `.tflite` file as the schema's object tree, and the questions that everybody asks of it; the tree back into bytes.

Nothing else unpacks a file: `graph.read_graph` shows it as values that cannot change, `writer` makes files from one.
"""

import math
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.errors import TfeffError

MOST_BYTES = 2**31  # of one tensor; LiteRT's own kernels count elements in 32 bits
LEFT_OUT = -1  # the number of an optional input that an operator does without


def _numbers(enum) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


OPERATORS: dict[int, str] = _numbers(schema.BuiltinOperator)
TYPES: dict[int, str] = _numbers(schema.TensorType)
# What NumPy can hold; strings, packed 2- and 4-bit values, bfloat16, resources and variants it cannot.
NUMPY: dict[str, np.dtype] = {
    name: np.dtype(name.lower())
    for name in (
        "FLOAT16", "FLOAT32", "FLOAT64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
        "BOOL", "COMPLEX64", "COMPLEX128",
    )
}  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """An operator by the numbers of its tensors.

    Attributes:
        name: TFLite's name; "CUSTOM x" of a custom one, "BUILTIN n" of one that this schema has no name for.
        inputs: tensors it reads, `LEFT_OUT` for an optional one that is not there.
        outputs: tensors it writes.
        activation: number of the fused activation function, 0 for none.
        code: builtin code.
        version: of the operator.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: int = 0
    code: int = -1
    version: int = 1


@dataclass(frozen=True)
class Scales:
    """The quantization of a tensor: real = scale * (stored - zero point), along `axis` where there are several.

    Attributes:
        scales: float64 (n,); one, or one a channel.
        zero_points: int64 (n,).
        axis: that the channels go along.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int


@dataclass(frozen=True)
class Grid:
    """The real numbers that a quantized tensor can hold: (code - zero_point) * scale for each code of its dtype."""

    scale: float
    zero_point: int
    dtype: np.dtype

    @property
    def levels(self) -> int:
        return 2 ** (8 * self.dtype.itemsize)

    @property
    def low(self) -> float:
        return (np.iinfo(self.dtype).min - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        return (np.iinfo(self.dtype).max - self.zero_point) * self.scale

    def values(self, codes: np.ndarray) -> np.ndarray:
        """Codes -> real numbers, float32 of the same shape."""
        return (codes.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)

    def same_values(self, other: "Grid | None") -> bool:
        """Whether both hold the same real numbers; a uint8 and an int8 tensor may."""
        return other is not None and (self.scale, self.low, self.levels) == (other.scale, other.low, other.levels)


_BITS = {"INT2": 2, "INT4": 4, "UINT4": 4, "BFLOAT16": 16}  # of those that NumPy does not hold


def bytes_of(dtype: str, shape: Iterable[int]) -> int:
    """What a tensor of a type, in TFLite's words, and a shape takes; sizes that are open count as 1."""
    bits = NUMPY[dtype].itemsize * 8 if dtype in NUMPY else _BITS.get(dtype, 8)
    return (math.prod(size if size >= 0 else 1 for size in shape) * bits + 7) // 8


def has_known_size(dtype: str) -> bool:
    """Whether `bytes_of` knows it; of strings, resources and variants it does not."""
    return dtype in NUMPY or dtype in _BITS


def unpack(data: bytes | bytearray) -> schema.ModelT:
    """The tree of a file that is known to be whole."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))


def pack(model: schema.ModelT) -> bytearray:
    """A model's bytes, in a buffer that may be changed."""
    # Room for all constants at once: to double it on the way takes three times their size.
    held = sum(len(buffer.data) for buffer in model.buffers or () if buffer.data is not None)
    builder = flatbuffers.Builder(2**20 + held)
    builder.Finish(model.Pack(builder), b"TFL3")
    return builder.Output()


def operator_code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """The builtin code: files older than schema 3a keep it in a byte-sized field, newer ones in both when it fits."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def integers(vector: Iterable[Any] | None) -> tuple[int, ...]:
    """A vector of the schema; one that was left out is empty."""
    return () if vector is None else tuple(int(n) for n in vector)


_MOST_NAME = 200  # bytes of a custom operator's name that are read
_RESOURCES = ("VAR_HANDLE", "HASHTABLE")
# What the schema's code raises where a file contradicts itself.
DAMAGE = (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, struct.error)


def damaged(what: object, error: Exception) -> TfeffError:
    """The error for a file that could not be read."""
    return TfeffError(f"{what}: damaged ({type(error).__name__}: {error})", "export or convert it anew")


class Subgraph:
    """Tensors, by number, and operators of a subgraph.

    Attributes:
        model: the schema's tree of the whole file.
        tree: the schema's tree of this subgraph.
        operators: in the order in which they run.
        inputs, outputs: numbers of its tensors, in the file's order.
        producers: {tensor: number of the operator that writes it}.
    """

    def __init__(self, model: schema.ModelT, number: int = 0, external: Collection[int] = ()):
        """`external`: numbers of buffers that lay behind the flatbuffer.

        Raises:
            IndexError and its like: a number that leads nowhere.
        """
        self.model, self.tree, self._external = model, model.subgraphs[number], external
        self.operators = tuple(self._operator(op) for op in self.tree.operators or ())
        self.inputs, self.outputs = integers(self.tree.inputs), integers(self.tree.outputs)
        self.producers = {tensor: n for n, op in enumerate(self.operators) for tensor in op.outputs}
        self._check_numbers()

    def _check_numbers(self):
        tensors = [i for op in self.operators for i in (*op.inputs, *op.outputs) if i != LEFT_OUT]
        buffers = [tensor.buffer for tensor in self.tree.tensors or ()]
        counts = (len(self.tree.tensors or ()), len(self.model.buffers or ()))
        for numbers, count in zip(([*tensors, *self.inputs, *self.outputs], buffers), counts, strict=True):
            if numbers and not 0 <= min(numbers) <= max(numbers) < count:
                raise IndexError("a number outside of its table")

    def _operator(self, operator):
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = operator_code(self.model, operator)
        name = _operator_name(number, code.customCode)
        activation = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        inputs, outputs = integers(operator.inputs), integers(operator.outputs)
        return Operator(name, inputs, outputs, activation, number, code.version)

    def name(self, number: int) -> str:
        """A tensor's name."""
        return (self.tree.tensors[number].name or b"").decode("utf-8", "replace")

    def shape(self, number: int) -> tuple[int, ...]:
        """Its sizes; where one is not fixed, what stands in for it (1 as a rule)."""
        return integers(self.tree.tensors[number].shape)

    def shape_signature(self, number: int) -> tuple[int, ...]:
        """Its sizes, -1 where one is known only at run time; empty where all are fixed."""
        sizes = integers(self.tree.tensors[number].shapeSignature)
        return sizes if any(n < 0 for n in sizes) else ()

    def dtype(self, number: int) -> str:
        """TFLite's word for its type, such as INT8; "?" for one that this schema has no word for."""
        return TYPES.get(self.tree.tensors[number].type, "?")

    def is_external(self, number: int) -> bool:
        """Whether its values lie behind the flatbuffer or in another file."""
        tensor = self.tree.tensors[number]
        return tensor.buffer in self._external or bool(tensor.externalBuffer)

    def is_constant(self, number: int) -> bool:
        """Whether the file holds its values."""
        return len(self.raw(number)) > 0 or self.is_external(number)

    def raw(self, number: int) -> np.ndarray:
        """The bytes of a constant as they are stored, uint8 (n,); empty for a computed tensor."""
        data = self.model.buffers[self.tree.tensors[number].buffer].data
        return np.empty(0, np.uint8) if data is None else np.asarray(data, np.uint8)

    def stored(self, number: int) -> np.ndarray | None:
        """The numbers of a constant as they are stored, in its shape.

        None for a computed tensor, and for one that NumPy cannot hold or whose bytes are not as many as its shape says:
        packed, sparse, strings.
        """
        raw, kind = self.raw(number), NUMPY.get(self.dtype(number))
        if not len(raw) or kind is None or self.tree.tensors[number].sparsity is not None:
            return None
        shape = self.shape(number)
        if len(raw) != int(np.prod(shape, dtype=np.int64)) * kind.itemsize:
            return None
        return np.frombuffer(raw, kind).reshape(shape)

    def scales(self, number: int) -> Scales | None:
        """Its quantization; None where it has none."""
        quantization = self.tree.tensors[number].quantization
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            return None
        scales = np.asarray(quantization.scale, np.float64)
        given = quantization.zeroPoint
        zero_points = (
            np.zeros(len(scales), np.int64) if given is None or not len(given) else np.asarray(given, np.int64)
        )
        return Scales(scales, zero_points, int(quantization.quantizedDimension or 0))

    def measured_range(self, number: int) -> tuple[float, float] | None:
        """(low, high) of a tensor of a calibrated float file; None where none is written."""
        quantization = self.tree.tensors[number].quantization
        if quantization is None or quantization.min is None or len(quantization.min) != 1:
            return None
        return float(quantization.min[0]), float(quantization.max[0])

    def signature(self) -> tuple[dict[str, int], dict[str, int]]:
        """Inputs and outputs by the names that the file's signature gives them; both empty without a signature."""
        for signature in self.model.signatureDefs or ():
            if self.model.subgraphs[signature.subgraphIndex] is self.tree:
                inputs, outputs = (
                    {entry.name.decode("utf-8", "replace"): int(entry.tensorIndex) for entry in side or ()}
                    for side in (signature.inputs, signature.outputs)
                )
                return inputs, outputs
        return {}, {}


def _operator_name(number: int, custom: bytes | None) -> str:
    name = OPERATORS.get(number, f"BUILTIN {number}")
    return f"CUSTOM {(custom or b'')[:_MOST_NAME].decode(errors='replace')}" if name == "CUSTOM" else name


class TfliteFile(Subgraph):
    """A file as its first subgraph: the one that runs.

    Attributes:
        bodies: the other subgraphs, which a WHILE or an IF runs, or another signature is of.
    """

    @property
    def keeps_resources(self) -> bool:
        """Whether it has variables by handle, which only a new interpreter forgets."""
        return any(op.name in _RESOURCES for part in (self, *self.bodies) for op in part.operators)

    def __init__(self, data: bytes | bytearray, what: object = "the file"):
        """Reads a file; constants that lie behind its flatbuffer are put into the tree.

        Args:
            data: its bytes. Of a stranger's file `verify.check_tflite` comes first.
            what: what messages call it.

        Raises:
            TfeffError: not a TFLite file, or damaged.
        """
        if data[4:8] != b"TFL3":
            raise TfeffError(f"{what}: not a TFLite file")
        try:
            model, external = unpack(data), set()
            for number, buffer in enumerate(model.buffers or ()):
                if buffer.offset > 1:  # counted from the start of the file
                    buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
                    buffer.offset = buffer.size = 0
                    external.add(number)
            super().__init__(model, 0, external)
            self.bodies = tuple(Subgraph(model, n, external) for n in range(1, len(model.subgraphs)))
        except DAMAGE as error:
            raise damaged(what, error) from None


_KEPT = 2**25  # bytes; of larger files a second reading costs less than what it would keep


def read_only(data: bytes | bytearray, what: object = "the file") -> TfliteFile:
    """A file that nobody will change: of the last few the same object again, for an export reads each of its files a
    dozen times.

    Raises:
        TfeffError: what `TfliteFile` raises.
    """
    if len(data) > _KEPT:
        return TfliteFile(data, what)
    try:
        return _read(bytes(data))
    except TfeffError:
        return TfliteFile(data, what)  # the same error, with its name


@lru_cache(maxsize=4)
def _read(data: bytes) -> TfliteFile:
    return TfliteFile(data)
