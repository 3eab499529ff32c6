"""Tensors of a file as Keras has them, and what every handler of an operation is given.

A file's tensor of shape (1, ...) is a Keras tensor (None, ...): its first axis is the batch. One of any other shape,
where the batch was reshaped away, is the Keras tensor (None, *shape).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import keras
import numpy as np
from keras import layers, ops

from tfeff.errors import TfeffError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A computed tensor.

    Attributes:
        tensor: the Keras tensor, (None, *sample_of(shape)).
        shape: as the file has it.
        floor: a number that no value is below, where that is known.
        source: what a pattern of several operations has come to so far, and the value that it began from.
        factor: what that value was multiplied by, one number a channel.
        turned: (value, permutation) that it is a transposed form of.
        blocks: of what a file has cut into blocks to convolve it with gaps; the tensor is then what was cut.
    """

    tensor: Any
    shape: Shape
    floor: float | None = None
    source: tuple[str, "Value"] | None = None
    factor: np.ndarray | None = None
    turned: tuple["Value", Shape] | None = None
    blocks: "Blocks | None" = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def has_batch(self) -> bool:
        """Whether its first axis is the batch."""
        return self.shape[:1] == (1,)


@dataclass(frozen=True)
class Blocks:
    """Between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: how TensorFlow spells a dilated convolution.

    Attributes:
        size: (h, w) of a block, which is the dilation.
        pads: ((top, bottom), (left, right)) that were added first.
        convolved: of the crops at the end makes the Keras tensor; None before the convolution.
    """

    size: Shape
    pads: tuple[Shape, Shape]
    convolved: Callable[[tuple[Shape, Shape]], Any] | None = None


def sample_of(shape: Shape) -> Shape:
    """The shape without a batch of 1."""
    return shape[1:] if shape[:1] == (1,) else shape


def shaped(tensor: Any, shape: Shape, name: str | None = None) -> Any:
    """A Keras tensor (None, ...) as (None, *shape)."""
    return tensor if tuple(tensor.shape[1:]) == shape else layers.Reshape(shape, name=name)(tensor)


def lifted(value: Value) -> Any:
    """The Keras tensor (None, *shape), the batch of 1 an axis of its own."""
    return shaped(value.tensor, value.shape)


def of_batch(tensor: Any, **known: Any) -> Value:
    """What was computed with the batch as first axis."""
    return Value(tensor, (1, *tensor.shape[1:]), **known)


def of_lifted(tensor: Any, **known: Any) -> Value:
    """What was computed on `lifted` tensors."""
    shape = tuple(tensor.shape[1:])
    return Value(shaped(tensor, sample_of(shape)), shape, **known)


def of_shape(tensor: Any, shape: Shape, **known: Any) -> Value:
    """The values of a Keras tensor in another shape of the file's."""
    return Value(shaped(tensor, sample_of(shape)), shape, **known)


@dataclass
class Step:
    """One operation of the file, ready to be built.

    Attributes:
        op: TFLite's name.
        name: of the layer that it becomes, used once.
        label: of messages.
        options: see `tflite.graph.Operation`.
        given: its inputs in order, `Value` or, of what depends on no input, arrays.
        dtypes: of its outputs.
        shapes: of its outputs, as the file says.
        constant: makes a `Value` of an array.
    """

    op: str
    name: str
    label: str
    options: Mapping[str, Any]
    given: Sequence[Any]
    dtypes: Sequence[str]
    shapes: Sequence[Shape]
    constant: Callable[[np.ndarray], Value]
    used: int = field(default=0)

    def refuse(self, why: str, mend: str) -> NoReturn:
        """Raises TfeffError."""
        raise TfeffError(f"{self.label} {why}", mend)

    def value(self, place: int) -> Value:
        """A computed input; a constant in its place is made one."""
        given = self.given[place]
        if isinstance(given, Value) and given.blocks is not None:
            self.refuse("reads a map cut into blocks, and is no convolution",
                        "give the model that the file was converted from")  # fmt: skip
        return given if isinstance(given, Value) else self.constant(np.asarray(given))

    def number(self, place: int) -> np.ndarray:
        """A constant input, such as weights or axes."""
        given = self.given[place]
        if isinstance(given, Value):
            self.refuse("takes a computed tensor where weights, sizes or axes are constant",
                        "give the model that the file was converted from")  # fmt: skip
        return np.asarray(given)

    def numbers(self, place: int) -> list[int]:
        """A constant input of whole numbers, flat."""
        return [int(each) for each in self.number(place).reshape(-1)]

    def has(self, place: int) -> bool:
        """Whether that input is there."""
        return len(self.given) > place

    def activated(self, tensor: Any) -> Any:
        """A Keras tensor through the activation that is fused into the operation."""
        fused = self.options.get("fused_activation_function", "NONE")
        if fused == "NONE":
            return tensor
        if fused in ("RELU", "RELU6"):
            return layers.ReLU(6.0 if fused == "RELU6" else None, name=f"{self.name}_{fused.lower()}")(tensor)
        if fused == "RELU_N1_TO_1":
            return ops.minimum(ops.maximum(tensor, -1.0), 1.0)
        if fused == "TANH":
            return layers.Activation("tanh", name=f"{self.name}_tanh")(tensor)
        self.refuse(f"has the fused activation {fused}", "convert the model without it")

    @property
    def floor(self) -> float | None:
        """What no value is below, by the fused activation."""
        fused = self.options.get("fused_activation_function", "NONE")
        return {"RELU": 0.0, "RELU6": 0.0, "RELU_N1_TO_1": -1.0}.get(fused)


Handler = Callable[[Step], Value | list[Value]]
HANDLERS: dict[str, Handler] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Marks a function as what builds these operations."""

    def mark(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, function))
        return function

    return mark


def filled(layer: keras.layers.Layer, x: Any, weights: Sequence[np.ndarray]) -> Any:
    """`x` through a new layer that is given these weights."""
    y = layer(x)
    layer.set_weights([np.asarray(each, np.float32) for each in weights])
    return y


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    return axis + rank if axis < 0 else axis
