"""Operations behind the last ones of a `.tflite` file, whose own tensors, operations and constants stay as they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from tfeff.tflite.file import TfliteFile, pack
from tfeff.tflite.writer import named_tensor

_FLOAT = np.dtype(np.float32)


class Appender:
    """A file that grows at its end.

    Attributes:
        file: as it was read, and as it grows.
    """

    def __init__(self, data: bytes, what: object = "the file"):
        """Reads a file; `what` is what messages call it."""
        self.file = TfliteFile(data, what)

    def tensor(self, name: str, shape: Sequence[int], dtype: Any = _FLOAT) -> int:
        """A computed tensor; its number."""
        return self._add_tensor(name, shape, dtype, 0)

    def constant(self, name: str, values: np.ndarray) -> int:
        """A tensor with values; its number."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.file.model.buffers.append(buffer)
        return self._add_tensor(name, values.shape, values.dtype, len(self.file.model.buffers) - 1)

    def operation(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None, *, version: int = 1
    ) -> None:
        """An operation of TensorFlow Lite's own.

        Args:
            name: as `BuiltinOperator` has it.
            options: a table of the schema; None for none.
        """
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = version
        operator = self._add_operator(code, inputs, outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, kind), options

    def custom_operation(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Mapping[str, int | float | bool]
    ) -> None:
        """An operation of another's making, with its options as a flexbuffer's map."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode, code.version = name.encode(), 1
        operator, builder = self._add_operator(code, inputs, outputs), flexbuffers.Builder()
        with builder.Map():
            for key, value in options.items():
                builder.Key(key)
                builder.Add(value)
        operator.customOptions = np.frombuffer(bytes(builder.Finish()), np.uint8)

    def pack(self, outputs: Mapping[str, int]) -> bytes:
        """The file's bytes with these tensors, by name, in place of its outputs."""
        self.file.tree.outputs = np.array(list(outputs.values()), np.int32)
        for signature in self.file.model.signatureDefs or ():
            signature.outputs = [named_tensor(name, number) for name, number in outputs.items()]
        return bytes(pack(self.file.model))

    def _add_tensor(self, name, shape, dtype, buffer):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name.encode(), np.array(shape, np.int32), buffer
        tensor.type, tensor.hasRank = getattr(schema.TensorType, np.dtype(dtype).name.upper()), True
        self.file.tree.tensors.append(tensor)
        return len(self.file.tree.tensors) - 1

    def _add_operator(self, code, inputs, outputs):
        model, operator = self.file.model, schema.OperatorT()
        known = [(each.builtinCode, each.customCode, each.version) for each in model.operatorCodes]
        wanted = (code.builtinCode, code.customCode, code.version)
        if wanted not in known:
            model.operatorCodes.append(code)
        operator.opcodeIndex = known.index(wanted) if wanted in known else len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        self.file.tree.operators.append(operator)
        return operator
