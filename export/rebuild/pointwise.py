"""Operations that treat each value alone: sums and products of two tensors, activations, comparisons."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers, ops

from tfeff.export.rebuild.values import (
    Step,
    Value,
    filled,
    handles,
    lifted,
    of_batch,
    of_lifted,
    of_shape,
    sample_of,
    shaped,
)

_MERGES = {"ADD": layers.Add, "SUB": layers.Subtract, "MUL": layers.Multiply, "MAXIMUM": layers.Maximum,
           "MINIMUM": layers.Minimum}  # fmt: skip
_TWO: dict[str, Callable[[Any, Any], Any]] = {
    "ADD": ops.add, "SUB": ops.subtract, "MUL": ops.multiply, "DIV": ops.divide, "MAXIMUM": ops.maximum,
    "MINIMUM": ops.minimum, "POW": ops.power, "FLOOR_DIV": ops.floor_divide, "FLOOR_MOD": ops.mod,
    "EQUAL": ops.equal, "NOT_EQUAL": ops.not_equal, "LESS": ops.less, "LESS_EQUAL": ops.less_equal,
    "GREATER": ops.greater, "GREATER_EQUAL": ops.greater_equal, "LOGICAL_AND": ops.logical_and,
    "LOGICAL_OR": ops.logical_or, "SQUARED_DIFFERENCE": lambda a, b: ops.square(ops.subtract(a, b)),
}  # fmt: skip
_ONE: dict[str, Callable[[Any], Any]] = {
    "EXP": ops.exp, "LOG": ops.log, "SQRT": ops.sqrt, "RSQRT": ops.rsqrt, "SQUARE": ops.square, "ABS": ops.abs,
    "NEG": ops.negative, "SIN": ops.sin, "COS": ops.cos, "FLOOR": ops.floor, "CEIL": ops.ceil, "ROUND": ops.round,
    "SIGN": ops.sign, "LOGICAL_NOT": ops.logical_not,
}  # fmt: skip
_ACTIVATIONS = {"ELU": "elu", "LOGISTIC": "sigmoid", "TANH": "tanh", "HARD_SWISH": "hard_silu"}
_NUMPY = {"FLOAT32": "float32", "INT32": "int32", "INT64": "int64", "BOOL": "bool", "UINT8": "uint8"}


@handles(*_TWO)
def of_two(step: Step) -> Value:
    """Two tensors, or a tensor and a constant, by the rules of broadcasting."""
    one, other = step.given
    layer = _known(step, one, other)
    if layer is not None:
        return layer
    values = [each for each in (one, other) if isinstance(each, Value)]
    rank = max(each.rank if isinstance(each, Value) else np.ndim(each) for each in (one, other))
    batch = all(_padded(each, rank)[:1] == (1,) for each in (one, other))
    sides = [_side(each, rank, batch) for each in (one, other)]
    if len(values) == 2 and step.op in _MERGES:
        merged = sides[0] is not sides[1]
        made = _MERGES[step.op](name=step.name)(sides) if merged else _TWO[step.op](*sides)
    else:
        made = _TWO[step.op](*sides)
    made = step.activated(made)
    known: dict[str, Any] = {"floor": step.floor, **_source(step, one, other)}
    return of_batch(made, **known) if batch else of_lifted(made, **known)


def _padded(given, rank):
    shape = given.shape if isinstance(given, Value) else np.shape(given)
    return (*(1,) * (rank - len(shape)), *shape)


def _side(given, rank, batch):
    """What Keras computes with: a tensor (None, ...), or a constant of as few axes as say it."""
    shape = _padded(given, rank)
    shape = sample_of(shape) if batch else shape
    if isinstance(given, Value):
        return shaped(given.tensor, shape)
    array = np.asarray(given)
    if array.size == 1:
        return array.reshape(()).item() if array.dtype.kind == "f" else array.reshape(())
    array = array.reshape(shape)
    while array.shape[0] == 1:
        array = array[0]
    return array


def _is_number(given, number):
    return not isinstance(given, Value) and np.size(given) == 1 and abs(float(np.reshape(given, ())) - number) < 1e-6


def _source(step, one, other):
    """What a sum or product may be the beginning of: its `source` and `factor`."""
    fused = step.options.get("fused_activation_function", "NONE")
    if not isinstance(one, Value):
        one, other = other, one
    if isinstance(other, Value):
        if step.op == "MUL" and fused == "NONE":
            for gate, x in ((one, other), (other, one)):
                if _comes_from(gate, "relu6(x + 3)", x):
                    return {"source": ("x relu6(x + 3)", x)}
        return {}
    if step.op == "ADD" and _is_number(other, 3.0) and fused in _GATES:
        return {"source": (_GATES[fused], one)}
    if step.op == "MUL" and fused == "NONE" and one.rank == 4 and one.has_batch:
        factor = np.asarray(other, np.float32).reshape(-1)
        if np.shape(other)[-1:] == (one.shape[3],) == factor.shape:
            return {"source": ("scaled", one), "factor": factor}
    return {}


_GATES = {"NONE": "x + 3", "RELU": "relu(x + 3)", "RELU6": "relu6(x + 3)"}


def _comes_from(value, pattern, x):
    return value.source is not None and value.source[0] == pattern and value.source[1].tensor is x.tensor


def _known(step: Step, one: Any, other: Any) -> Value | None:
    """What files spell out, as the layer that it is: hard-sigmoid, hard-swish, and a norm; None for anything else."""
    if isinstance(one, Value) and isinstance(other, Value):
        for gate, x in ((one, other), (other, one)):
            if step.op == "MUL" and _comes_from(gate, "hard sigmoid", x):
                return _activation(step, "hard_silu", x)
        return None
    if not isinstance(one, Value):
        one, other = other, one
    if one.source is None:
        return None
    pattern, x = one.source
    if pattern == "scaled" and step.op == "ADD" and np.shape(other)[-1:] == (x.shape[3],) == (np.size(other),):
        return _norm(step, x, one.factor, np.asarray(other, np.float32).reshape(-1))
    if pattern == "relu(x + 3)" and step.op == "MINIMUM" and _is_number(other, 6.0):
        return Value(layers.ReLU(6.0, name=step.name)(ops.add(x.tensor, 3.0)), x.shape, 0.0, ("relu6(x + 3)", x))
    sixth = _is_number(other, 1 / 6) if step.op == "MUL" else step.op == "DIV" and _is_number(other, 6.0)
    if not sixth or (step.op == "DIV" and one is not step.given[0]):
        return None
    if pattern == "relu6(x + 3)":
        return _activation(step, "hard_sigmoid", x, floor=0.0, source=("hard sigmoid", x))
    return _activation(step, "hard_silu", x) if pattern == "x relu6(x + 3)" else None


def _activation(step, name, x, **known):
    made = layers.Activation(name, name=step.name)(x.tensor)
    return Value(step.activated(made), x.shape, **known)


def _norm(step, x, factor, offset):
    """x times `factor` plus `offset`, by channel: what a batch normalization is in inference."""
    layer = layers.BatchNormalization(name=step.name)
    zeros = np.zeros_like(factor)
    made = filled(layer, x.tensor, [factor, offset, zeros, zeros + np.float32(1 - layer.epsilon)])
    return of_batch(step.activated(made), floor=step.floor)


@handles("RELU", "RELU6")
def relu(step: Step) -> Value:
    """Of what was made 3 more it may be the gate of a hard-sigmoid."""
    x = step.value(0)
    source = None
    if x.source is not None and x.source[0] == "x + 3":
        source = f"{step.op.lower()}(x + 3)", x.source[1]
    made = layers.ReLU(6.0 if step.op == "RELU6" else None, name=step.name)(x.tensor)
    return Value(made, x.shape, floor=0.0, source=source)


@handles("RELU_N1_TO_1", "RELU_0_TO_1")
def clipped(step: Step) -> Value:
    """Between -1 or 0, and 1."""
    x, low = step.value(0), -1.0 if step.op == "RELU_N1_TO_1" else 0.0
    return Value(ops.minimum(ops.maximum(x.tensor, low), 1.0), x.shape, floor=low)


@handles(*_ACTIVATIONS)
def activation(step: Step) -> Value:
    x = step.value(0)
    return Value(layers.Activation(_ACTIVATIONS[step.op], name=step.name)(x.tensor), x.shape)


@handles("GELU")
def gelu(step: Step) -> Value:
    x = step.value(0)
    if step.options.get("approximate"):
        return Value(ops.gelu(x.tensor, approximate=True), x.shape)
    return Value(layers.Activation("gelu", name=step.name)(x.tensor), x.shape)


@handles("LEAKY_RELU")
def leaky_relu(step: Step) -> Value:
    x = step.value(0)
    return Value(layers.LeakyReLU(float(step.options["alpha"]), name=step.name)(x.tensor), x.shape)


@handles("PRELU")
def prelu(step: Step) -> Value:
    """Slopes (..., c), shared along the axes where there is one only."""
    x = step.value(0)
    slopes = step.number(1).astype(np.float32)
    slopes = slopes.reshape(_padded(slopes, len(x.tensor.shape) - 1)[-(len(x.tensor.shape) - 1) :])
    shared = [axis + 1 for axis, size in enumerate(slopes.shape) if size == 1 and x.tensor.shape[axis + 1] != 1]
    layer = layers.PReLU(shared_axes=shared or None, name=step.name)
    made = layer(x.tensor)
    layer.set_weights([slopes])
    return Value(made, x.shape)


@handles(*_ONE)
def of_one(step: Step) -> Value:
    x = step.value(0)
    return Value(_ONE[step.op](x.tensor), x.shape)


@handles("CAST")
def cast(step: Step) -> Value:
    """8-bit pixels that a file casts at its door come as floats already."""
    x, wanted = step.value(0), _NUMPY[step.dtypes[0]]
    if x.tensor.dtype == wanted:
        return x
    return Value(ops.cast(x.tensor, wanted), x.shape)


@handles("ADD_N")
def sum_of_many(step: Step) -> Value:
    values = [step.value(place) for place in range(len(step.given))]
    return of_shape(layers.Add(name=step.name)([each.tensor for each in values]), values[0].shape)


@handles("SELECT", "SELECT_V2")
def select(step: Step) -> Value:
    """Of two tensors, the first where a condition holds."""
    given = step.given
    rank = max(each.rank if isinstance(each, Value) else np.ndim(each) for each in given)
    if step.op == "SELECT" and isinstance(given[0], Value) and given[0].rank != rank:
        step.refuse("chooses by rows", "give the model that the file was converted from")
    sides = [lifted_to(each, rank) for each in given]
    return of_lifted(ops.where(*sides))


def lifted_to(given: Any, rank: int) -> Any:
    """A tensor (None, ...) of so many axes behind the batch, or a constant of as many."""
    if isinstance(given, Value):
        return shaped(lifted(given), _padded(given, rank))
    return np.asarray(given).reshape(_padded(given, rank))
