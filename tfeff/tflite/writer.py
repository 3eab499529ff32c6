"""Writing a `.tflite` file operation by operation, with operations and tensors taken over from another one."""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfeff.tflite.file import Grid, Subgraph, TfliteFile, integers, pack


class FileWriter:
    """A file in the making.

    Attributes:
        operators: so far.
    """

    def __init__(self, source: Subgraph):
        self._source = source
        self._model, self._graph = schema.ModelT(), schema.SubGraphT()
        bodies = [each for each in source.model.subgraphs if each is not source.tree]  # of WHILE and IF
        self._model.version, self._model.subgraphs = 3, [self._graph, *bodies]
        self._model.buffers = list(source.model.buffers) if bodies else [schema.BufferT()]  # bodies go by these numbers
        self._model.operatorCodes = list(source.model.operatorCodes)
        self._graph.tensors, self._graph.operators = [], []
        self._quantize = self._code(schema.BuiltinOperator.QUANTIZE)
        self._dequantize = self._code(schema.BuiltinOperator.DEQUANTIZE)

    @property
    def operators(self) -> list:
        return self._graph.operators

    def float_tensor(self, number: int) -> int:
        """A float32 tensor with name and shape of the source's tensor `number`."""
        return self._like(number, schema.TensorType.FLOAT32, None)

    def same_tensor(self, number: int) -> int:
        """The source's tensor `number` without its quantization; with its values where it is a constant."""
        tensor = self._source.tree.tensors[number]
        return self._like(number, tensor.type, self._source.model.buffers[tensor.buffer].data)

    def whole_tensor(self, number: int) -> int:
        """The source's tensor `number` as it is: with its quantization, and as the state that it may be."""
        source = self._source.tree.tensors[number]
        copied = self.same_tensor(number)
        self._graph.tensors[copied].quantization = source.quantization
        self._graph.tensors[copied].isVariable = source.isVariable
        return copied

    def constant(self, number: int, values: np.ndarray) -> int:
        """A float32 constant in place of the source's tensor `number`."""
        raw = np.ascontiguousarray(values, np.float32)
        return self._like(number, schema.TensorType.FLOAT32, np.frombuffer(raw.tobytes(), np.uint8))

    def operation(self, number: int, inputs: list[int], outputs: list[int]) -> None:
        """The source's operation `number` on other tensors."""
        operator = copy.copy(self._source.tree.operators[number])
        operator.intermediates = [self.whole_tensor(i) for i in integers(operator.intermediates)] or None
        self._add(operator, inputs, outputs)

    def through_grid(self, number: int, value: int, grid: Grid) -> int:
        """The float32 tensor `value` put on a grid, by QUANTIZE and DEQUANTIZE; it stands for tensor `number`.

        FAKE_QUANT would do the same, but takes its scale from a rounded range, and XNNPACK does not run it.
        """
        codes = self._like(number, getattr(schema.TensorType, grid.dtype.name.upper()), None)
        parameters = schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint = (
            np.array([grid.scale], np.float32),
            np.array([grid.zero_point], np.int64),
        )
        self._graph.tensors[codes].quantization = parameters
        self._convert(self._quantize, value, codes)
        return self.to_real(number, codes)

    def to_codes(self, number: int, value: int) -> int:
        """The float32 tensor `value` as the source stores its tensor `number`."""
        codes = self.whole_tensor(number)
        self._convert(self._quantize, value, codes)
        return codes

    def to_real(self, number: int, codes: int) -> int:
        """The quantized tensor `codes`, which stands for tensor `number`, in float32."""
        real = self.float_tensor(number)
        self._convert(self._dequantize, codes, real)
        return real

    def pack(self, inputs: list[int], outputs: list[int]) -> bytearray:
        """The file's bytes."""
        self._graph.inputs, self._graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        return pack(self._model)

    def _code(self, builtin):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 2  # of QUANTIZE and DEQUANTIZE the first that also take int16
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def _like(self, number, kind, data):
        tensor, source = schema.TensorT(), self._source.tree.tensors[number]
        tensor.name, tensor.shape, tensor.shapeSignature = source.name, source.shape, source.shapeSignature
        tensor.hasRank, tensor.type, tensor.buffer = source.hasRank, kind, 0
        if data is not None and len(data):
            buffer = schema.BufferT()
            buffer.data = data
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _convert(self, code, source, target):
        operator = schema.OperatorT()
        operator.opcodeIndex = code
        self._add(operator, [source], [target])

    def _add(self, operator, inputs, outputs):
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self._graph.operators.append(operator)


def named_tensor(name: str, number: int) -> schema.TensorMapT:
    """An entry of a signature: a tensor under a name."""
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), number
    return entry


def with_ranges(data: bytes, ranges: Mapping[int, tuple[float, float]]) -> bytes:
    """A calibrated float file with other ranges: (low, high) by the number of the tensor."""
    file = TfliteFile(data)
    for number, (low, high) in ranges.items():
        tensor = file.tree.tensors[number]
        tensor.quantization = tensor.quantization or schema.QuantizationParametersT()
        tensor.quantization.min, tensor.quantization.max = [low], [high]
    return bytes(pack(file.model))


def with_constants(data: bytes, changes: Iterable[tuple[np.ndarray, np.ndarray]]) -> bytes | None:
    """A file in which some float32 constants hold other values.

    Args:
        data: the file.
        changes: (the values as they are, others of the same shape) of each constant.

    Returns:
        The file; None where one of the constants is not there, or not once: then nobody knows which was meant.
    """
    file = TfliteFile(data)
    tensors = file.tree.tensors
    held: dict[bytes, list[int]] = {}
    for number, tensor in enumerate(tensors):
        if tensor.type == schema.TensorType.FLOAT32 and len(raw := file.raw(number)):
            held.setdefault(raw.tobytes(), []).append(number)
    # The converter leaves equal constants once, for all operations that read them.
    sharing = Counter(tensor.buffer for tensor in tensors)
    reading = Counter(number for op in file.operators for number in op.inputs)
    for before, after in changes:
        found = held.get(np.ascontiguousarray(before, np.float32).tobytes(), [])
        if len(found) != 1 or reading[found[0]] != 1 or sharing[tensors[found[0]].buffer] != 1 or file.bodies:
            return None
        values = np.ascontiguousarray(after, np.float32).tobytes()
        file.model.buffers[tensors[found[0]].buffer].data = np.frombuffer(values, np.uint8)
    return bytes(pack(file.model))


def with_outputs(file: Subgraph, tensors: Sequence[int]) -> bytearray:
    """The file with these tensors as its outputs, so that kernels that fuse or delegate still give them."""
    model, graph = copy.copy(file.model), copy.copy(file.tree)
    graph.outputs, model.signatureDefs = np.array(tensors, np.int32), None
    model.subgraphs = [graph if each is file.tree else each for each in file.model.subgraphs]
    return pack(model)


def rewired(data: bytes | bytearray, inputs: Mapping[int, Sequence[int]], outputs: Sequence[int]) -> bytes:
    """A file with other inputs of some operators, and other outputs, as many as before: the rest stays byte for byte.

    Args:
        data: the file.
        inputs: {number of an operator: the tensors it reads}.
        outputs: of the file.
    """
    changed = bytearray(data)
    subgraph = schema.Model.GetRootAs(changed, 0).Subgraphs(0)
    for operator, tensors in inputs.items():
        subgraph.Operators(operator).InputsAsNumpy()[:] = tensors  # a view of these bytes
    subgraph.OutputsAsNumpy()[:] = outputs
    return bytes(changed)
