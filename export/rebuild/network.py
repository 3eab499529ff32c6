"""The Keras model of a float file, operation by operation."""

import re
from typing import Any

import keras
import numpy as np
from keras import layers

from tfeff.errors import TfeffError
from tfeff.export.rebuild import moving, pointwise, reducing, spatial, weighted  # noqa: F401  they register themselves
from tfeff.export.rebuild.reading import FloatFile
from tfeff.export.rebuild.values import HANDLERS, Step, Value, of_batch, sample_of
from tfeff.export.rewrites.graph import name_operations
from tfeff.layers import Constant
from tfeff.tensor_names import find_scope, layer_names, names_a_layer
from tfeff.tflite.graph import Operation, Tensor

_DTYPES = {"FLOAT32": "float32", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONV_3D")
_LONGEST = 60  # characters of a layer's name


def rebuild_network(file: FloatFile) -> keras.Model:
    """The model of a file: inputs and outputs in its order, batch open, weights as they are.

    Args:
        file: of `reading.read_float_file`.

    Returns:
        A functional Keras model of layers with the shapes (None, ...) of one sample each.

    Raises:
        TfeffError: an operation with options that Keras does not have.
    """
    return _Network(file).build()


class _Network:
    def __init__(self, file: FloatFile):
        self._file = file
        self._values: dict[int, Value] = {}
        self._scope = find_scope(file.names)
        self._taken: set[str] = set()
        self._anchor: Any = None  # an input: what constants take their batch from

    def build(self) -> keras.Model:
        inputs = []
        for name, tensor in self._file.inputs.items():
            dtype = "float32" if tensor.index in self._file.pixels else _DTYPES[tensor.dtype]
            given = keras.Input(sample_of(tensor.shape), dtype=dtype, name=self._fresh(name))
            inputs.append(given)
            self._values[tensor.index] = of_batch(given, floor=0.0 if tensor.index in self._file.pixels else None)
        self._anchor = inputs[0]
        for op in self._file.operations:
            self._operate(op)
        outputs: list[Any] = []
        for tensor in self._file.outputs.values():
            made = self._values[tensor.index].tensor
            again = any(made is each for each in (*inputs, *outputs))  # a tensor of its own for each output
            outputs.append(layers.Identity(name=self._fresh("output"))(made) if again else made)
        name_operations(outputs)
        stem = re.sub(r"[^A-Za-z0-9_]", "_", self._file.path.stem) or "network"
        name = stem if stem[0].isalpha() else f"n{stem}"
        return keras.Model(_one(inputs), _one(outputs), name=name[:_LONGEST])

    def _operate(self, op: Operation) -> None:
        given = [self._values.get(tensor.index, self._file.constants.get(tensor.index)) for tensor in op.inputs]
        label = f"{self._file.path}: {op.label}"
        step = Step(
            op.name, self._layer_name(op), label, op.options, given, [tensor.dtype for tensor in op.outputs],
            [tensor.shape for tensor in op.outputs], self._constant,
        )  # fmt: skip
        try:
            made = HANDLERS[op.name](step)
        except TfeffError:
            raise
        except Exception as error:  # numbers of a stranger's file, of which Keras and NumPy raise what they like
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise TfeffError(
                f"{label} cannot be rebuilt as a Keras layer ({said})",
                "give the model that the file was converted from",
            ) from error
        for tensor, value in zip(op.outputs, made if isinstance(made, list) else [made], strict=True):
            self._check(label, tensor, value)
            self._values[tensor.index] = value

    def _check(self, label: str, tensor: Tensor, value: Value) -> None:
        """That shapes are the file's, as far as the file says them."""
        if value.blocks is not None:
            return  # its shape is that of the map that was cut
        told = tensor.shape_signature or tensor.shape
        fits = len(told) == len(value.shape) and all(
            have in (-1, made) for have, made in zip(told, value.shape, strict=True)
        )
        if tuple(value.tensor.shape[1:]) != sample_of(value.shape) or (told and not fits):
            raise TfeffError(
                f"{label} makes {told} in the file and {value.shape} as a Keras layer",
                "give the model that the file was converted from",
            )

    def _constant(self, values: np.ndarray) -> Value:
        shape = tuple(values.shape)
        layer = Constant(sample_of(shape), name=self._fresh("constant"), dtype=str(values.dtype))
        made = layer(self._anchor)
        layer.set_weights([values.reshape(sample_of(shape))])
        return Value(made, shape)

    def _layer_name(self, op: Operation) -> str:
        """The layer that the file's own name of the output tells of; else the operation's."""
        told = op.outputs[0].name
        names = [each for each in layer_names(told, self._scope) if names_a_layer(each)] if names_a_layer(told) else []
        return self._fresh((names[-1] if op.name in _WEIGHTED else names[0]) if names else op.name.lower())

    def _fresh(self, name: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_LONGEST]
        plain = plain if plain[:1].isalnum() else f"n{plain}"
        fresh, number = plain, 0
        while fresh in self._taken:
            number += 1
            fresh = f"{plain}_{number}"
        self._taken.add(fresh)
        return fresh


def _one(tensors):
    return tensors[0] if len(tensors) == 1 else tensors
