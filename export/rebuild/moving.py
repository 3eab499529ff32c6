"""Operations that move values and change none: shapes, transpositions, slices, parts and joins."""

from typing import Any

import numpy as np
from keras import layers, ops

from tfeff.export.rebuild.values import (
    Shape,
    Step,
    Value,
    axis_of,
    handles,
    lifted,
    of_batch,
    of_lifted,
    of_shape,
    shaped,
)


@handles("RESHAPE")
def reshape(step: Step) -> Value:
    x = step.value(0)
    if step.has(1) and not isinstance(step.given[1], Value):
        sizes = step.numbers(1)
    else:
        sizes = list(step.options.get("new_shape") or step.shapes[0])
    if -1 in sizes:
        sizes[sizes.index(-1)] = int(np.prod(x.shape)) // max(int(np.prod([n for n in sizes if n != -1])), 1)
    return of_shape(x.tensor, tuple(sizes), floor=x.floor)


@handles("SQUEEZE")
def squeeze(step: Step) -> Value:
    x = step.value(0)
    chosen = [axis_of(int(axis), x.rank) for axis in step.options.get("squeeze_dims") or ()]
    shape = tuple(size for axis, size in enumerate(x.shape) if not (axis in chosen if chosen else size == 1))
    return of_shape(x.tensor, shape, floor=x.floor)


@handles("EXPAND_DIMS")
def expand(step: Step) -> Value:
    x = step.value(0)
    axis = axis_of(step.numbers(1)[0], x.rank + 1)
    return of_shape(x.tensor, (*x.shape[:axis], 1, *x.shape[axis:]), floor=x.floor)


@handles("TRANSPOSE")
def transpose(step: Step) -> Value:
    """Of a tensor that was transposed already, both at once; both together may be nothing."""
    x, order = step.value(0), tuple(step.numbers(1))
    if x.turned is not None:
        x, before = x.turned
        order = tuple(before[axis] for axis in order)
    if order == tuple(range(len(order))):
        return x
    shape = tuple(x.shape[axis] for axis in order)
    known: dict[str, Any] = {"floor": x.floor, "turned": (x, order)}
    if [axis for axis in order if x.shape[axis] > 1] == sorted(axis for axis in order if x.shape[axis] > 1):
        return of_shape(x.tensor, shape, **known)  # only axes of one value change places
    if x.has_batch and order[0] == 0:
        return Value(layers.Permute(order[1:], name=step.name)(x.tensor), shape, **known)
    made = layers.Permute([axis + 1 for axis in order], name=step.name)(lifted(x))
    return of_shape(made, shape, **known)


@handles("CONCATENATION")
def concatenate(step: Step) -> Value:
    values = [step.value(place) for place in range(len(step.given))]
    axis = axis_of(step.options["axis"], values[0].rank)
    floors = [each.floor for each in values if each.floor is not None]
    floor = min(floors) if len(floors) == len(values) else step.floor
    batch = axis > 0 and all(each.has_batch for each in values)
    tensors = [each.tensor if batch else lifted(each) for each in values]
    join = layers.Concatenate(axis=axis if batch else axis + 1, name=step.name)
    made = step.activated(join(tensors) if len(tensors) > 1 else tensors[0])
    return of_batch(made, floor=floor) if batch else of_lifted(made, floor=floor)


@handles("PACK")
def pack(step: Step) -> Value:
    values = [step.value(place) for place in range(len(step.given))]
    axis = axis_of(step.options["axis"], values[0].rank + 1)
    parts = [shaped(each.tensor, (*each.shape[:axis], 1, *each.shape[axis:])) for each in values]
    made = layers.Concatenate(axis=axis + 1, name=step.name)(parts) if len(parts) > 1 else parts[0]
    return of_lifted(made)


@handles("UNPACK")
def unpack(step: Step) -> list[Value]:
    x = step.value(0)
    axis = axis_of(step.options["axis"], x.rank)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return [of_shape(_cut(x, axis, n, n + 1), shape, floor=x.floor) for n in range(x.shape[axis])]


def _cut(x: Value, axis: int, begin: int, end: int):
    """From `begin` up to `end` along an axis of the file's; a Keras tensor, with the batch as it was."""
    if x.shape[axis] == end - begin:
        return x.tensor
    place = axis + (0 if x.has_batch else 1)
    places = [slice(None)] * place + [slice(begin, end)]
    return x.tensor[tuple(places)]


@handles("SPLIT", "SPLIT_V")
def split(step: Step) -> list[Value]:
    """Even parts, or parts of given sizes, of which one may be what is left."""
    even = step.op == "SPLIT"
    x = step.value(1 if even else 0)
    axis = axis_of(step.numbers(0 if even else 2)[0], x.rank)
    length = x.shape[axis]
    if even:
        count = int(step.options["num_splits"])
        sizes = [length // count] * count
    else:
        sizes = step.numbers(1)
        sizes = [length - sum(n for n in sizes if n >= 0) if size < 0 else size for size in sizes]
    place = axis + (0 if x.has_batch else 1)
    if len(sizes) == 1:
        return [x]
    if place == 0:
        step.refuse("splits the batch", "convert the model with a batch of 1")
    made = ops.split(x.tensor, [int(n) for n in np.cumsum(sizes)[:-1]], axis=place)
    return [
        of_shape(part, (*x.shape[:axis], size, *x.shape[axis + 1 :]), floor=x.floor)
        for part, size in zip(made, sizes, strict=True)
    ]


@handles("SLICE")
def part(step: Step) -> Value:
    x, begin, size = step.value(0), step.numbers(1), step.numbers(2)
    cuts = [slice(first, length if count < 0 else first + count)
            for first, count, length in zip(begin, size, x.shape, strict=True)]  # fmt: skip
    return _sliced(x, cuts, ())


@handles("STRIDED_SLICE")
def strided_slice(step: Step) -> Value:
    """Python's slices; a bit of a mask opens an end, or takes one value and drops the axis."""
    x, options = step.value(0), step.options
    begin, end, strides = (step.numbers(place) for place in (1, 2, 3))
    if options.get("new_axis_mask") or options.get("ellipsis_mask") or options.get("offset"):
        step.refuse("slices with new axes or an ellipsis", "convert the model with another converter's version")
    cuts, dropped = [], []
    for axis, (first, last, stride) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << axis
        if options.get("shrink_axis_mask", 0) & bit:
            first = axis_of(first, x.shape[axis])
            cuts.append(slice(first, first + 1))
            dropped.append(axis)
            continue
        start = None if options.get("begin_mask", 0) & bit else first
        stop = None if options.get("end_mask", 0) & bit else last
        cuts.append(slice(*_ends(start, stop, stride, x.shape[axis])))
    return _sliced(x, cuts, dropped)


def _ends(start, stop, stride, length):
    """The ends of a slice as positive numbers; Python's own where that is open."""
    start, stop, stride = slice(start, stop, stride).indices(length)
    return start, (None if stop < 0 else stop), stride


def _sliced(x: Value, cuts: list[slice], dropped: tuple[int, ...] | list[int]) -> Value:
    lengths = [len(range(*cut.indices(size))) for cut, size in zip(cuts, x.shape, strict=False)]
    kept: Shape = (*lengths, *x.shape[len(cuts) :])
    whole = [slice(None) if cut.step in (None, 1) and length == size else cut
             for cut, length, size in zip(cuts, lengths, x.shape, strict=False)]  # fmt: skip
    places = [slice(None), *(whole[1:] if x.has_batch else whole)]
    while places[-1] == slice(None) and len(places) > 1:
        places.pop()
    made = x.tensor[tuple(places)] if len(places) > 1 else x.tensor
    return of_shape(made, tuple(size for axis, size in enumerate(kept) if axis not in dropped), floor=x.floor)


@handles("TILE")
def tile(step: Step) -> Value:
    x, counts = step.value(0), step.numbers(1)
    if x.has_batch and counts[0] == 1:
        return of_batch(ops.tile(x.tensor, (1, *counts[1:])), floor=x.floor)
    return of_lifted(ops.tile(lifted(x), (1, *counts)), floor=x.floor)


@handles("BROADCAST_TO")
def broadcast(step: Step) -> Value:
    """As a tile of axes of one value."""
    x, sizes = step.value(0), step.numbers(1)
    shape = (*(1,) * (len(sizes) - x.rank), *x.shape)
    counts = [size // have for size, have in zip(sizes, shape, strict=True)]
    if x.has_batch and len(sizes) == x.rank and counts[0] == 1:
        return of_batch(ops.tile(x.tensor, (1, *counts[1:])), floor=x.floor)
    return of_lifted(ops.tile(shaped(x.tensor, shape), (1, *counts)), floor=x.floor)


@handles("REVERSE_V2")
def reverse(step: Step) -> Value:
    x = step.value(0)
    axes = [axis_of(axis, x.rank) for axis in step.numbers(1)]
    if x.has_batch and 0 not in axes:
        return of_batch(ops.flip(x.tensor, axis=axes), floor=x.floor)
    return of_lifted(ops.flip(lifted(x), axis=[axis + 1 for axis in axes]), floor=x.floor)
