"""Operations along axes: means and maxima, softmax, norms, the place of the largest."""

import numpy as np
from keras import layers, ops

from tfeff.export.rebuild.values import Step, Value, axis_of, handles, lifted, of_lifted, of_shape

_REDUCE = {"MEAN": ops.mean, "SUM": ops.sum, "REDUCE_MAX": ops.max, "REDUCE_MIN": ops.min, "REDUCE_PROD": ops.prod}
_GLOBAL = {"MEAN": layers.GlobalAveragePooling2D, "REDUCE_MAX": layers.GlobalMaxPooling2D}


@handles(*_REDUCE)
def reduce(step: Step) -> Value:
    """Over axes of more than one value; a mean over a whole map is the layer that it is."""
    x, keep = step.value(0), bool(step.options.get("keep_dims"))
    axes = sorted({axis_of(axis, x.rank) for axis in step.numbers(1)})
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes)
    if x.has_batch and x.rank == 4 and axes == [1, 2] and step.op in _GLOBAL:
        return of_shape(_GLOBAL[step.op](keepdims=keep, name=step.name)(x.tensor), shape, floor=x.floor)
    shift = 0 if x.has_batch else 1
    inner = tuple(axis + shift for axis in axes if axis + shift > 0)  # a batch of 1 is its own mean
    if not inner:
        return of_shape(x.tensor, shape)
    return of_shape(_REDUCE[step.op](x.tensor, axis=inner, keepdims=keep), shape)


@handles("SOFTMAX")
def softmax(step: Step) -> Value:
    x, beta = step.value(0), float(step.options.get("beta", 1.0))
    scaled = x.tensor if beta == 1 else ops.multiply(x.tensor, beta)
    return Value(layers.Softmax(name=step.name)(scaled), x.shape, floor=0.0)


@handles("LOG_SOFTMAX")
def log_softmax(step: Step) -> Value:
    x = step.value(0)
    return Value(layers.Activation("log_softmax", name=step.name)(x.tensor), x.shape)


@handles("L2_NORMALIZATION")
def unit_norm(step: Step) -> Value:
    x = step.value(0)
    return Value(step.activated(layers.UnitNormalization(axis=-1, name=step.name)(x.tensor)), x.shape)


@handles("ARG_MAX", "ARG_MIN")
def place_of(step: Step) -> Value:
    x = step.value(0)
    axis = axis_of(step.numbers(1)[0], x.rank)
    kind = {"INT32": "int32", "INT64": "int64"}[step.dtypes[0]]
    found = (ops.argmax if step.op == "ARG_MAX" else ops.argmin)(lifted(x), axis=axis + 1)
    return of_lifted(found if found.dtype == kind else ops.cast(found, kind))


@handles("CUMSUM")
def cumulative(step: Step) -> Value:
    if step.options.get("exclusive") or step.options.get("reverse"):
        step.refuse("sums exclusively or in reverse", "give the model that the file was converted from")
    x = step.value(0)
    axis = axis_of(int(np.reshape(step.number(1), ())), x.rank)
    return of_lifted(ops.cumsum(lifted(x), axis=axis + 1))
