"""Activations and element-wise operations of those that have int8 kernels.

The converter quantizes EXP, LOG, RSQRT, SQRT, ABS, LOGISTIC, but not ELU, SQUARE, NEG, nor a clip to -1..1. And what it
takes apart by itself (a softplus as log(exp(x) + 1)) has tensors from 0 to e^x, in which 8 bits say nothing. Here every
tensor between is of the size of the input, or between 0 and 1.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tfeff.export.rewrites.building import activation_of, before_activation, scaled
from tfeff.export.rewrites.core import Match, Rewrite
from tfeff.export.rewrites.graph import GraphView
from tfeff.layers.keras_private import nodes_of

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Curves(Rewrite):
    """Replaces ELU, SELU, CELU, softplus, log-sigmoid, mish, squareplus, sparse plus, sparse sigmoid and hard tanh, as
    a layer, as another layer's activation and as an operation; `ops.square`, `-x` and `x ** 2`."""

    name = "curves"

    def is_place(self, layer: Any, graph: GraphView) -> bool:
        return _curve(layer) is not None

    def match(self, layer: Any, graph: GraphView) -> Match | None:
        curve = _curve(layer)
        return None if curve is None else Match([layer], lambda x: curve(before_activation(layer, x)))


def _curve(operation) -> Callable[[Any], Any] | None:
    """What it is made of; None where it stays."""
    if isinstance(operation, layers.ELU):
        return lambda x: elu(x, float(operation.alpha))
    if isinstance(operation, layers.Layer):
        return _ACTIVATIONS.get(_named(operation))
    name = type(operation).__name__
    if name in ("Elu", "Celu"):
        return lambda x: _OPERATIONS[name](x, float(operation.alpha))
    if name == "Squareplus":
        return lambda x: squareplus(x, float(operation.b))
    if name == "Power" and not _is_square(operation):
        return None
    return _OPERATIONS.get(name)


def _named(layer):
    """The name of a plain activation; one with an option of its own (an `alpha`) is a function that Keras has not."""
    activation = activation_of(layer)
    name = getattr(activation, "__name__", "")
    return name if activation is getattr(keras.activations, name, None) else None


def _is_square(operation):
    given = nodes_of(operation)[0].given()
    return len(given) == 2 and isinstance(given[0], keras.KerasTensor) and _is_two(given[1])


def _is_two(value):
    return not isinstance(value, keras.KerasTensor) and np.size(value) == 1 and float(np.ravel(value)[0]) == 2


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x above 0, alpha (exp(x) - 1) below: relu(x) + alpha exp(min(x, 0)) - alpha; of a map of channels, and with alpha
    up to 1, the larger of both, which rounds no sum."""
    below = _times(ops.exp(ops.minimum(x, 0.0)), alpha)
    if alpha <= 1 and _is_map(x):
        return _larger(x, ops.subtract(below, alpha))
    return ops.subtract(ops.add(_positive(x), below), alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x above 0, alpha (exp(x / alpha) - 1) below."""
    below = _times(ops.exp(_times(ops.minimum(x, 0.0), 1 / alpha)), alpha)
    if _is_map(x):
        return _larger(x, ops.subtract(below, alpha))
    return ops.subtract(ops.add(_positive(x), below), alpha)


def selu(x: Any) -> Any:
    """ELU with the constants of Klambauer et al., arXiv 1706.02515."""
    both = ops.add(_positive(x), _times(ops.exp(ops.minimum(x, 0.0)), _SELU_ALPHA))
    return ops.subtract(_times(both, _SELU_SCALE), _SELU_SCALE * _SELU_ALPHA)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)): relu(x) - log(sigmoid(|x|))."""
    return ops.subtract(_positive(x), _log_sigmoid_of_size(x))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)): min(x, 0) + log(sigmoid(|x|))."""
    return ops.add(ops.minimum(x, 0.0), _log_sigmoid_of_size(x))


def mish(x: Any) -> Any:
    """x tanh(softplus(x)): x (1 - c c) / (1 + c c) with c = 1 - sigmoid(x)."""
    complement = ops.subtract(1.0, ops.sigmoid(x))
    square = ops.multiply(complement, complement)
    root = ops.rsqrt(ops.add(square, 1.0))
    gate = ops.multiply(ops.multiply(ops.subtract(1.0, square), root), root)
    return ops.multiply(x, gate)


def squareplus(x: Any, b: float = 4.0) -> Any:
    """(x + sqrt(x x + b)) / 2. The root is (|x| + c) sqrt(p p + q q) with c = sqrt(b), q = c / (|x| + c), p = 1 - q,
    so that no square of x, of which 8 bits keep the largest only, is needed; `b` above 0."""
    size = ops.add(ops.absolute(x), b**0.5)
    root = ops.rsqrt(size)
    q = _times(ops.multiply(root, root), b**0.5)
    p = ops.subtract(1.0, q)
    hypotenuse = ops.sqrt(ops.add(ops.multiply(p, p), ops.multiply(q, q)))
    return _times(ops.add(x, ops.multiply(size, hypotenuse)), 0.5)


def sparse_plus(x: Any) -> Any:
    """0 up to -1, x from 1 on, (x + 1)^2 / 4 between: relu(x - 1) + c c / 36 with c = relu6(3 x + 3)."""
    clipped = _clipped(x)
    return ops.add(_positive(ops.subtract(x, 1.0)), _times(ops.multiply(clipped, clipped), 1 / 36))


def hard_tanh(x: Any) -> Any:
    """x from -1 to 1, these beyond: relu6(3 x + 3) / 3 - 1. Of the plain clip the converter makes RELU_N1_TO_1, and of
    a minimum and a maximum with other numbers they are rounded to the steps of x."""
    return ops.subtract(_times(_clipped(x), 1 / 3), 1.0)


def sparse_sigmoid(x: Any) -> Any:
    """0 up to -1, 1 from 1 on, (x + 1) / 2 between: relu6(3 x + 3) / 6."""
    return _times(_clipped(x), 1 / 6)


def square(x: Any, _two: Any = None) -> Any:
    """x x"""
    return ops.multiply(x, x)


def negative(x: Any) -> Any:
    """-x"""
    return ops.multiply(x, -1.0)


def _is_map(x):
    """Whether a depthwise convolution takes it."""
    return len(x.shape) in (3, 4) and x.shape[-1] is not None


def _larger(x, other):
    """max(x, other); x by a convolution of ones, so that its own range is not cut off where the other is larger."""
    return ops.maximum(scaled(x, np.ones(x.shape[-1]), name=None), other)


def _positive(x):
    return layers.ReLU()(x)


def _clipped(x):
    """relu6(3 x + 3), the sum as a batch normalization: it goes into the weights in front, with the clip behind it."""
    if not _is_map(x):
        return layers.ReLU(6.0)(ops.add(ops.multiply(x, 3.0), 3.0))
    norm, size = layers.BatchNormalization(epsilon=0.0), x.shape[-1]
    y = norm(x)
    norm.set_weights([np.full(size, 3.0), np.full(size, 3.0), np.zeros(size), np.ones(size)])
    return layers.ReLU(6.0)(y)


def _log_sigmoid_of_size(x):
    return ops.log(ops.sigmoid(ops.absolute(x)))


def _times(x, factor):
    return x if factor == 1 else ops.multiply(x, factor)


_ACTIVATIONS = {
    each.__name__: each
    for each in (
        elu, celu, selu, softplus, log_sigmoid, mish, squareplus, sparse_plus, sparse_sigmoid, hard_tanh,
    )
}  # fmt: skip
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "Elu": elu, "Celu": celu, "Selu": selu, "Softplus": softplus, "LogSigmoid": log_sigmoid, "Mish": mish,
    "SparsePlus": sparse_plus, "SparseSigmoid": sparse_sigmoid, "HardTanh": hard_tanh, "Square": square,
    "Power": square, "Negative": negative,
}  # fmt: skip
