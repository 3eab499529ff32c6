"""An int8 `.tflite` file as a graph: operations, the grid of every quantized tensor, constants as real numbers."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.artifact import check_tflite
from tfeff.errors import TfeffError
from tfeff.tensor_names import find_scope, layer_names, names_a_layer

_NUMPY = {
    schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16, schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8, schema.TensorType.INT16: np.int16, schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64, schema.TensorType.BOOL: np.bool_,
}  # fmt: skip
_GRIDS = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16)
_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_TYPES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
# Places of input, weights and bias.
_BIASED = {
    "CONV_2D": (0, 1, 2), "DEPTHWISE_CONV_2D": (0, 1, 2), "FULLY_CONNECTED": (0, 1, 2), "TRANSPOSE_CONV": (2, 1, 3),
}  # fmt: skip


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


@dataclass(frozen=True)
class Operation:
    """An operation: TFLite's name, "CUSTOM x" of a custom one; tensors by number, -1 for an input that was left out."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: int


class Network:
    """A file with one subgraph, one input and one output that matters.

    Attributes:
        path, sha256: of the file.
        model: the schema's object tree; constants that lay behind the flatbuffer have been put into it.
        graph: its subgraph.
        operations: in the order in which they run.
        input, output: numbers of the tensors at the doors.
        producers: number of the operation that writes a tensor.
    """

    def __init__(self, path: Path):
        """Reads a file.

        Raises:
            TfeffError: missing, damaged, several subgraphs, inputs or outputs, sizes that are known only at run time,
                or constants of a kind that cannot be read here (packed 4-bit, sparse).
        """
        self.path, self.sha256 = Path(path), check_tflite(Path(path))
        try:
            self._read(self.path.read_bytes())
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError, struct.error) as error:
            raise TfeffError(f"{path}: damaged ({type(error).__name__}: {error})", "convert it anew") from None

    def _read(self, data):
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        if len(self.model.subgraphs) != 1:
            raise TfeffError(f"{self.path}: has {len(self.model.subgraphs)} subgraphs", "give a file with one")
        (self.graph,) = self.model.subgraphs
        self._check_numbers()
        for buffer in self.model.buffers:
            if buffer.offset > 1:  # behind the flatbuffer, counted from the start of the file
                buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        self.operations = tuple(self._operation(op) for op in self.graph.operators)
        self.producers = {tensor: n for n, op in enumerate(self.operations) for tensor in op.outputs}
        self.input, self.output = self._doors()
        self._scope = find_scope(self.name(i) for i in self.producers)
        self._check_shapes()

    def _check_numbers(self):
        graph = self.graph
        tensors = [int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i != -1]
        buffers = [tensor.buffer for tensor in graph.tensors]
        for numbers, count in ((tensors, len(graph.tensors)), (buffers, len(self.model.buffers))):
            if numbers and not 0 <= min(numbers) <= max(numbers) < count:
                raise IndexError("a number outside of its table")

    def _operation(self, op):
        code = self.model.operatorCodes[op.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        name = _OPERATORS.get(number, f"BUILTIN {number}")
        if name == "CUSTOM":
            name = f"CUSTOM {(code.customCode or b'').decode(errors='replace')}"
        activation = getattr(op.builtinOptions, "fusedActivationFunction", 0)
        return Operation(name, tuple(map(int, op.inputs)), tuple(map(int, op.outputs)), activation)

    def _doors(self):
        inputs, outputs = list(map(int, self.graph.inputs)), list(map(int, self.graph.outputs))
        if len(inputs) != 1:
            names = ", ".join(self.name(i) for i in inputs)
            raise TfeffError(f"{self.path}: has {len(inputs)} inputs ({names})", "give a file that takes one image")
        if len(outputs) > 1:
            outputs = [
                int(entry.tensorIndex)
                for signature in self.model.signatureDefs or []
                for entry in signature.outputs or []
                if entry.name == b"logits"
            ][:1]
        if len(outputs) != 1:
            names = ", ".join(self.name(int(i)) for i in self.graph.outputs)
            raise TfeffError(
                f"{self.path}: has {len(self.graph.outputs)} outputs ({names}), and no signature says which are the "
                f"logits",
                "give a file with one output, or one whose signature names it `logits`",
            )
        return inputs[0], outputs[0]

    def _check_shapes(self):
        for number in (self.input, *self.producers):
            tensor = self.graph.tensors[number]
            signature = [] if tensor.shapeSignature is None else list(tensor.shapeSignature)
            if any(size < 0 for size in signature[1:]) or any(size < 0 for size in self.shape(number)):
                raise TfeffError(
                    f"{self.path}: the sizes of {self.name(number)[:80]} are known only at run time "
                    f"({[int(size) for size in signature]})",
                    "convert it with a fixed input shape (1, height, width, channels)",
                )
        shape = self.shape(self.input)
        if len(shape) != 4 or shape[0] != 1:
            raise TfeffError(
                f"{self.path}: its input has shape {shape}", "convert it with the shape (1, height, width, channels)"
            )

    def name(self, number: int) -> str:
        return (self.graph.tensors[number].name or b"").decode("utf-8", "replace")

    def shape(self, number: int) -> tuple[int, ...]:
        sizes = self.graph.tensors[number].shape
        return () if sizes is None else tuple(int(size) for size in sizes)

    def dtype(self, number: int) -> str:
        """TFLite's word for a tensor's type, such as INT8."""
        return _TYPES.get(self.graph.tensors[number].type, "?")

    def is_constant(self, number: int) -> bool:
        data = self.model.buffers[self.graph.tensors[number].buffer].data
        return data is not None and len(data) > 0

    def grid(self, number: int) -> Grid | None:
        """The grid of a computed tensor or the input; None for one that is not quantized."""
        tensor = self.graph.tensors[number]
        scales, zero_points, _ = self._scales(number)
        if tensor.type not in _GRIDS or not len(scales) or self.is_constant(number):
            return None
        if len(scales) != 1 or not scales[0] > 0:
            raise TfeffError(
                f"{self.path}: the computed tensor {self.name(number)[:80]} has {len(scales)} scales, "
                f"the first {scales[0]:g}",
                "give a file with one positive scale for each computed tensor",
            )
        return Grid(float(scales[0]), int(zero_points[0]), np.dtype(_NUMPY[tensor.type]))

    def constants(self) -> list[int]:
        """Numbers of the constants that operations read."""
        read = (i for op in self.operations for i in op.inputs)
        return [i for i in dict.fromkeys(read) if i >= 0 and self.is_constant(i)]

    def constant(self, number: int) -> np.ndarray | None:
        """The numbers of a constant as they are stored, in its shape; None for a computed tensor."""
        tensor = self.graph.tensors[number]
        if not self.is_constant(number):
            return None
        if tensor.type not in _NUMPY or tensor.sparsity is not None:
            kind = "sparse" if tensor.sparsity is not None else _TYPES.get(tensor.type, tensor.type)
            raise TfeffError(
                f"{self.path}: the constant {self.name(number)[:80]} is {kind}", "give a file with plain 8-bit weights"
            )
        raw = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8)
        return np.frombuffer(raw.tobytes(), _NUMPY[tensor.type]).reshape(self.shape(number))

    def steps(self, number: int) -> np.ndarray | None:
        """The quantization step of a constant, float64, one or one a channel in a shape that goes with its own; None
        for a constant that is not quantized."""
        scales, _, axis = self._scales(number)
        return np.float64(scales).reshape(_along(axis, len(scales), self.shape(number))) if len(scales) else None

    def real(self, number: int) -> np.ndarray | None:
        """A constant as float32 real numbers; None where it is none, or holds sizes, axes and the like."""
        stored = self.constant(number)
        if stored is None:
            return None
        if np.issubdtype(stored.dtype, np.floating):
            return stored.astype(np.float32)
        step = self.steps(number)
        if step is None:
            return None
        _, zero_points, axis = self._scales(number)
        zero = np.int64(zero_points).reshape(_along(axis, len(zero_points), stored.shape))
        return ((stored.astype(np.int64) - zero) * step).astype(np.float32)

    def _scales(self, number):
        """(scales, zero points, axis); all empty where the tensor is not quantized."""
        found = self._own_scales(number)
        if len(found[0]) or self.graph.tensors[number].type not in (schema.TensorType.INT32, schema.TensorType.INT64):
            return found
        for op in self.operations:  # a bias that does not say it: the product of the input's and the weights' scales
            places = _BIASED.get(op.name)
            if places and len(op.inputs) > places[2] and op.inputs[places[2]] == number:
                scales = self._own_scales(op.inputs[places[0]])[0][:1] * self._own_scales(op.inputs[places[1]])[0]
                return scales, np.zeros(len(scales), np.int64), 0
        return found

    def _own_scales(self, number):
        quantization = self.graph.tensors[number].quantization
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            return np.empty(0), np.empty(0, np.int64), 0
        scales = np.float64(quantization.scale)
        zero_points = np.zeros(len(scales), np.int64) if quantization.zeroPoint is None else quantization.zeroPoint
        return scales, np.int64(zero_points), int(quantization.quantizedDimension or 0)

    def layers(self, number: int) -> tuple[str, ...]:
        """The Keras layers that an operation's output comes from, as far as names tell; at least one name."""
        op = self.operations[number]
        for name in map(self.name, (op.outputs[0], *(i for i in op.inputs if i >= 0 and self.is_constant(i)))):
            if names_a_layer(name) and (found := layer_names(name, self._scope)):
                return found  # of weights, where the output is called `PartitionedCall:0`
        return (f"{op.name.lower()}_{number}",)

    def input_layer(self) -> str:
        return (layer_names(self.name(self.input), self._scope) or ("input",))[0]


def _along(axis, count, shape):
    """The shape in which `count` numbers go along an axis of a tensor."""
    if count == 1 or not shape:
        return (1,) * len(shape)
    return tuple(count if n == axis else 1 for n in range(len(shape)))
