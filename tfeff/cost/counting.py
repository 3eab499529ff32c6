"""Parameters and multiply-adds of a Keras model, counted as the papers count them."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras

from tfeff.cost.graph import Call, calls
from tfeff.layers import ActiveShift2D, GroupConv2D, SparseShift2D

# Layers that hold weights but multiply nothing that the papers count (a BN folds into its convolution).
# A shift multiplies nothing: ShiftNet and FE-Net count none; AS-ResNet's table counts 4 per shifted value (1 for w68).
_FREE = (keras.layers.Normalization, keras.layers.BatchNormalization, keras.layers.PReLU, ActiveShift2D, SparseShift2D)
CONVOLUTIONS = (
    keras.layers.Conv2D, GroupConv2D, keras.layers.DepthwiseConv2D, keras.layers.Conv2DTranspose,
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """What a network costs.

    Attributes:
        parameters: trainable values (what torch's `numel(parameters())` says).
        values: all stored values, BN moving statistics included (VarGNet's "model size", in 2^20, is close to it).
        madds: multiply-adds of convolutions and fully connected layers for one image; no BN, bias, activation, pooling.
    """

    parameters: int
    values: int
    madds: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def count(model: keras.Model) -> Counts:
    """Counts a built Keras model.

    Raises:
        ValueError: a model without a graph, a layer with weights whose multiply-adds are not known here, or an open
            image size.
    """
    return Counts(*stored(model), madds(model))


def stored(model: keras.Model) -> tuple[int, int]:
    """Trainable values, and all stored values, of a built Keras model."""
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    state = [v for v in model.non_trainable_variables if not v.path.endswith("seed_generator_state")]
    return parameters, parameters + sum(math.prod(v.shape) for v in state)


def madds(model: keras.Model) -> int:
    """Multiply-adds for one image: k_h * k_w * (c_in / groups) * c_out * h_out * w_out, FC in * out.

    A transposed convolution has the map that it reads in place of the one that it gives.
    """
    total = 0
    for call in calls(model):
        if not is_known(call):
            raise ValueError(f"multiply-adds of layer {call.operation.name!r} ({call.type}) are not known")
        total += call_madds(call)
    return total


def is_known(call: Call) -> bool:
    """Whether the multiply-adds of a call are known: not those of a layer with weights that is not listed here."""
    layer = call.operation
    multiplies = isinstance(layer, (*CONVOLUTIONS, keras.layers.Dense))
    return multiplies or isinstance(layer, _FREE) or not getattr(layer, "weights", None)


def call_madds(call: Call) -> int:
    """Multiply-adds of one call; 0 for what is neither a convolution nor fully connected.

    Raises:
        ValueError: an open image size.
    """
    if not isinstance(call.operation, (*CONVOLUTIONS, keras.layers.Dense)):
        return 0
    read = isinstance(call.operation, keras.layers.Conv2DTranspose)
    return math.prod(call.operation.kernel.shape) * pixels(call, (call.inputs if read else call.outputs)[0])


def pixels(call: Call, shape: Sequence[Any]) -> int:
    """h * w of a map (n, h, w, c); 1 for a vector (n, c).

    Raises:
        ValueError: an open image size.
    """
    if None in shape[1:-1]:
        raise ValueError(f"multiply-adds of layer {call.operation.name!r} depend on the image size, which is open")
    return math.prod(shape[1:-1])
