"""Parameters and multiply-adds of a Keras model, counted as the papers count them."""

import math
from dataclasses import asdict, dataclass

import keras

from tfeff.layers import ActiveShift2D, GroupConv2D, SparseShift2D

# Layers that hold weights but multiply nothing that the papers count (a BN folds into its convolution).
# A shift multiplies nothing: ShiftNet and FE-Net count none; AS-ResNet's table counts 4 per shifted value (1 for w68).
_FREE = (keras.layers.Normalization, keras.layers.BatchNormalization, keras.layers.PReLU, ActiveShift2D, SparseShift2D)


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

    def as_dict(self):
        return asdict(self)


def count(model) -> Counts:
    """Counts a built Keras model.

    Raises:
        ValueError: a model without a graph, a layer with weights whose multiply-adds are not known here, or an open
            image size.
    """
    parameters = sum(math.prod(v.shape) for v in model.trainable_variables)
    state = [v for v in model.non_trainable_variables if not v.path.endswith("seed_generator_state")]
    values = parameters + sum(math.prod(v.shape) for v in state)
    return Counts(parameters, values, madds(model))


def madds(model) -> int:
    """Multiply-adds for one image: k_h * k_w * (c_in / groups) * c_out * h_out * w_out, FC in * out."""
    total = 0
    for layer, output_shape in _calls(model):
        if isinstance(layer, keras.Model):
            total += madds(layer)
        elif isinstance(layer, (keras.layers.Conv2D, GroupConv2D, keras.layers.DepthwiseConv2D)):
            _, height, width, _ = output_shape
            if height is None or width is None:
                raise ValueError(f"multiply-adds of layer {layer.name!r} depend on the image size, which is open")
            total += math.prod(layer.kernel.shape) * height * width
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape) * math.prod(output_shape[1:-1])
        elif layer.weights and not isinstance(layer, _FREE):
            raise ValueError(f"multiply-adds of layer {layer.name!r} ({type(layer).__name__}) are not known")
    return total


def _calls(model):
    """(layer, output shape) of every call in a functional graph; a shared layer counts as often as it is called."""
    graph = getattr(model, "_functional", model)  # what a Sequential is inside
    if not hasattr(graph, "_nodes_by_depth"):
        raise ValueError(f"model {model.name!r} has no graph to count; build it functionally, with its input shape")
    for nodes in graph._nodes_by_depth.values():
        for node in nodes:
            if isinstance(node.operation, keras.layers.Layer) and not node.is_input:
                yield node.operation, node.output_tensors[0].shape
