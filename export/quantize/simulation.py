"""Using a fake-quant graph: its points and ranges, the float network inside it, and running it on given values."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfeff.export.quantize.fake_quant import ActivationRange, FakeQuantize, QuantizedWeights, point_of
from tfeff.export.quantize.grids import align_gates, cut
from tfeff.export.quantize.weights_aside import constant
from tfeff.export.rewrites.copying import again, copy_layer, in_inference
from tfeff.export.rewrites.graph import rebuild, walk
from tfeff.layers.keras_private import maker, nodes

DEAD = (0.0, 1.0)  # range of what is always 0


def is_fake_quant(model: Any) -> bool:
    """Whether a model is a fake-quant graph, as `graph.fake_quant_graph` makes it."""
    return any(isinstance(layer, FakeQuantize) for layer in getattr(model, "layers", ()))


def points(model: Any) -> dict[str, ActivationRange]:
    """Where the graph rounds, in the order in which it is computed: point -> its range.

    A point is named after the layer whose output it is, that of an input after the input.
    """
    found = {}
    for layer in model.layers:
        if isinstance(layer, FakeQuantize):
            found[point_of(layer)] = maker(layer.input[1])
    return found


def points_in_front(model: Any) -> dict[str, list[str]]:
    """{point: the points that its unit reads}; an input's reads none."""
    reaching: dict[int, list[str]] = {}  # by tensor: the points of which it is made
    found: dict[str, list[str]] = {}
    for node in nodes(model):
        if isinstance(node.operation, FakeQuantize):
            point = point_of(node.operation)
            found[point] = reaching.get(id(node.inputs[0]), [])
            made = [point]
        else:
            made = [point for tensor in node.inputs for point in reaching.get(id(tensor), ())]
        reaching |= {id(tensor): list(dict.fromkeys(made)) for tensor in node.outputs}
    return found


def get_ranges(model: Any) -> dict[str, tuple[float, float]]:
    """(low, high) of every point."""
    return {point: layer.bounds for point, layer in points(model).items()}


def set_ranges(model: Any, ranges: Mapping[str, tuple[float, float]], *, aligned: bool = False) -> None:
    """Gives points their ranges; those with one range between them get what holds them all.

    A range of nothing but 0, of a point that is always 0, has no say beside others, and is 0 to 1 alone. Ranges that
    the specification fixes stay.

    Args:
        ranges: (low, high) by point.
        aligned: whether ranges are made to go together where that saves a rounding, and no larger than their readers
            need; see `grids`.

    Raises:
        ValueError: a range without 0 in it.
    """
    wanted: dict[int, tuple[ActivationRange, list[tuple[float, float]]]] = {}
    known = cut(model, ranges) if aligned else ranges
    for point, layer in points(model).items():
        if point in known and not layer.fixed:
            wanted.setdefault(id(layer), (layer, []))[1].append(known[point])
    for layer, bounds in wanted.values():
        low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
        layer.set_bounds(*((low, high) if low < high else DEAD))
    if aligned:
        align_gates(model)


def float_network(model: Any, *, rounded_weights: bool) -> Callable[[Any], tuple[Any, dict[str, Any]]]:
    """The float network inside a fake-quant graph, as `predict` calls it.

    Args:
        rounded_weights: whether weights are rounded as int8 rounds them, or as they train.

    Returns:
        A function from the input (n, ...), or a list of them in the graph's order, to (what the model gives, {point:
        its value before rounding}).
    """

    def run(inputs):
        seen = {}

        def call(operation, *args, **kwargs):
            if isinstance(operation, FakeQuantize):
                seen[point_of(operation)] = args[0]
                return args[0]
            if isinstance(operation, ActivationRange):
                return args[0], args[0]  # read by what is left out only
            if isinstance(operation, QuantizedWeights):
                kernel = operation.layer.kernel
                kernel = (
                    constant(_rounded_kernel(operation)) if rounded_weights else keras.ops.convert_to_tensor(kernel)
                )
                return operation.apply(args[0], kernel, None)
            return in_inference(operation, *args, **kwargs)

        outputs = walk(model, inputs if isinstance(inputs, list | tuple) else [inputs], call)
        return outputs, seen

    return run


def _rounded_kernel(unit):
    """Eagerly, in a function that is traced too: TensorFlow's optimizer makes a product of a constant's division, and
    what lies halfway between two steps, as weights with few bits do, would be rounded to the other one."""
    with tf.init_scope():
        return np.asarray(unit.rounded_kernel()[0])


def float_model(model: Any) -> Any:
    """The same as a functional Keras model, with the weights as they train, copied; one unit is one layer."""
    made: dict[int, keras.layers.Layer] = {}

    def call(operation, *args, **kwargs):
        if isinstance(operation, FakeQuantize):
            return args[0]
        if isinstance(operation, ActivationRange):
            return args[0], args[0]  # read by what is left out only
        if not isinstance(operation, QuantizedWeights):
            return again(operation, *args, **kwargs)
        if id(operation) in made:
            return made[id(operation)](args[0])
        y = copy_layer(operation.layer, operation.name)(args[0])
        made[id(operation)] = maker(y)
        return y

    return rebuild(model, call)


def step_by_step(model: Any, batch: Mapping[str, np.ndarray], given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What every point of the simulation gives when everything in front of it holds the values that are given.

    Args:
        batch: by input, in the graph's order, (n, ...) each.
        given: the value of points, as another implementation has it, batch first; what it does not have is what the
            simulation makes of the points in front.

    Returns:
        {point: what the simulation makes of the points in front of it}, of the batch for an input's.
    """
    made = {}

    def call(operation, *args, **kwargs):
        outputs = in_inference(operation, *args, **kwargs)
        if not isinstance(operation, FakeQuantize):
            return outputs
        point = point_of(operation)
        made[point] = np.asarray(outputs)
        if point not in given:
            return outputs
        return keras.ops.convert_to_tensor(np.reshape(given[point], made[point].shape))

    walk(model, _tensors(batch), call)
    return made


def run_points(model: Any, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What every point of the simulation gives, the inputs among them; `batch` as for `step_by_step`."""
    made = {}

    def call(operation, *args, **kwargs):
        outputs = in_inference(operation, *args, **kwargs)
        if isinstance(operation, FakeQuantize):
            made[point_of(operation)] = np.asarray(outputs)
        return outputs

    walk(model, _tensors(batch), call)
    return made


def _tensors(batch):
    return [keras.ops.convert_to_tensor(values) for values in batch.values()]
