"""Quantization-aware training with tfmot. For the child's process only.

tfmot is told what to quantize of every layer, by a `QuantizeConfig` each (`placement` says which), so its own table of
layers and its own pattern matching, which have no word for many of them, have nothing to decide.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantizers
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer

from tfeff.compress.tfmot import tf_keras_layers as own
from tfeff.compress.tfmot import training_child
from tfeff.compress.tfmot.placement import Placed, place
from tfeff.compress.tfmot.write_child import write_int8
from tfeff.data import InputPort
from tfeff.errors import TfeffError

quantizers = tfmot.quantization.keras.quantizers
_MovingAverage: Any = quantizers.MovingAverageQuantizer
_Quantizer: Any = quantizers.Quantizer
_DECAY = 0.999  # of the moving averages, tfmot's own
_CALIBRATED = 512  # images at most from which the ranges start
_members: dict[int | None, list] = {}  # of every group of tensors with one range, the variables


class GroupRange(_MovingAverage):
    """tfmot's moving average, begun at a measured range, and one for all tensors of a group: the widest of theirs.

    Args:
        low, high: where it begins.
        group: tensors of one number have one range.
    """

    def __init__(self, low: float, high: float, group: int | None):
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self.low, self.high, self.group = low, high, group

    def build(self, tensor_shape: Any, name: str, layer: Any) -> Any:
        ends = {"min_var": self.low, "max_var": self.high}
        variables = {
            key: layer.add_weight(
                f"{name}_{key}", initializer=tf_keras.initializers.Constant(value), trainable=False, shape=None
            )
            for key, value in ends.items()
        }
        _members.setdefault(self.group, []).append(variables)
        return variables

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        low, high = weights["min_var"], weights["max_var"]
        if training:
            now = tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), 0.0)
            for variable, value in zip((low, high), now, strict=True):
                variable.assign(variable * _DECAY + value * (1 - _DECAY))
            low = tf.reduce_min([each["min_var"] for each in _members[self.group]])
            high = tf.reduce_max([each["max_var"] for each in _members[self.group]])
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high, "group": self.group}


class DepthwiseWeights(_Quantizer):
    """A scale for every channel of a depthwise kernel (kh, kw, c, multiplier), as the int8 kernels have them.

    tfmot's own quantizer takes the last axis for the channels, which is the multiplier's here.
    """

    def build(self, tensor_shape: Any, name: str, layer: Any) -> Any:
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
        height, width, channels, multiplier = inputs.shape
        flat = tf.reshape(inputs, (height, width, 1, channels * multiplier))
        largest = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(flat), [0, 1, 2])), 1e-8)
        flat = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -largest, largest, narrow_range=True)
        return tf.reshape(flat, inputs.shape)

    def get_config(self) -> dict[str, Any]:
        return {}


class PlacedConfig(tfmot.quantization.keras.QuantizeConfig):
    """What is quantized of one layer.

    Args:
        weights: as `Placed.weights`.
        output: None, or (low, high, group); a group of None is a range that is fixed.
    """

    def __init__(self, weights: Any = None, output: tuple[float, float, int | None] | None = None):
        self.weights, self.output = weights, output

    def get_weights_and_quantizers(self, layer: Any) -> Any:
        return [(getattr(layer, _kernel(layer)), _weights_quantizer(self.weights))] if self.weights else []

    def set_quantize_weights(self, layer: Any, quantize_weights: Sequence[Any]) -> None:
        if self.weights:
            setattr(layer, _kernel(layer), quantize_weights[0])

    def get_activations_and_quantizers(self, layer: Any) -> Any:
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: Sequence[Any]) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> Any:
        if self.output is None:
            return []
        low, high, group = self.output
        if group is None:
            return [quantizers.FixedQuantizer(8, low, high, narrow_range=False)]
        return [GroupRange(low, high, group)]

    def get_config(self) -> dict[str, Any]:
        return {"weights": self.weights, "output": self.output}


class _AsPlaced(tfmot.quantization.keras.QuantizeScheme):
    """A scheme that changes no layer and knows none by itself."""

    def get_layout_transformer(self):
        return self

    def apply(self, model, layer_quantize_map):
        return model, layer_quantize_map

    def get_quantize_registry(self):
        return self

    def supports(self, layer):
        return False


_CUSTOM = {
    "GroupRange": GroupRange,
    "DepthwiseWeights": DepthwiseWeights,
    "PlacedConfig": PlacedConfig,
    **{each.__name__: each for each in vars(own).values()
       if isinstance(each, type) and issubclass(each, tf_keras.layers.Layer)},
}  # fmt: skip


def qat(model: Any, request: Mapping[str, Any], tell: Callable[..., None]) -> dict:
    """Trains a quantized copy of `model` and writes the int8 file of `request["path"]`."""
    plan = request["plan"]
    image, placed, refused = place(plan)
    if refused:
        raise TfeffError("; ".join(f"{node['name']} ({node['kind']}): {why}" for node, why in refused))
    training_child.set_seed(request["seed"])
    images = np.load(request["train_images"], mmap_mode="r")
    ranges = _measure(model, plan, image, placed, images, request, tell)
    quantized = _quantize(model, plan, image, placed, ranges)
    losses = training_child.fit(quantized, request, tell) if request["steps"] else []
    # The weights' ranges are those of the step before the last; once more, without a step.
    quantized(np.asarray(images[: request["batch_size"]], np.float32), training=True)
    for members in _members.values():
        low = min(float(each["min_var"]) for each in members)
        high = max(float(each["max_var"]) for each in members)
        for each in members:
            each["min_var"].assign(low)
            each["max_var"].assign(high)
    tell("converting", 0, 0)
    port = InputPort(request["input"], tuple(plan["shape"]))
    write_int8(quantized, port, request["output"], Path(request["path"]), request["io"])
    return {"losses": losses}


def _measure(model, plan, image, placed, images, request, tell):
    """The range of every tensor that gets one, mean ends over batches: what a moving average would come to."""
    numbers = [node["output"] for node, each in zip(plan["nodes"], placed, strict=True) if each.output == "range"]
    by_number = {node["output"]: model.get_layer(node["name"]).output for node in plan["nodes"]}
    network = tf_keras.Model(model.input, [by_number[number] for number in numbers])

    @tf.function
    def ends(batch):
        outputs = tf.nest.flatten(network(batch, training=False))
        return [tf.stack([tf.reduce_min(t), tf.reduce_max(t)]) for t in (batch, *outputs)]

    chosen = np.random.default_rng(request["seed"]).permutation(len(images))[:_CALIBRATED]
    batches = np.array_split(np.sort(chosen), max(1, len(chosen) // 32))
    sums = np.zeros((1 + len(numbers), 2))
    for done, batch in enumerate(batches):
        tell("measuring", done, len(batches))
        sums += np.array([np.asarray(each) for each in ends(np.asarray(images[batch], np.float32))])
    means = sums / len(batches)
    found = {0: tuple(request["input_range"])}
    found.update((number, tuple(map(float, mean))) for number, mean in zip(numbers, means[1:], strict=True))
    groups: dict[int, list] = {}
    for number, group in [(0, image.group), *((n, _group(plan, placed, n)) for n in numbers)]:
        groups.setdefault(group, []).append(found[number])
    widest = {}
    for group, ranges in groups.items():
        low, high = min(0.0, *(low for low, _ in ranges)), max(0.0, *(high for _, high in ranges))
        widest[group] = (low, high if high > low else low + 1e-3)  # a tensor of zeros has a range all the same
    return widest


def _group(plan, placed, number):
    return placed[number - 1].group  # a node's output has the number of the node, plus one


def _quantize(model, plan, image: Placed, placed: list[Placed], ranges: Mapping[int | None, tuple[float, float]]):
    """The model with every layer wrapped by tfmot, the image's range in front."""
    _members.clear()
    by_name = {node["name"]: each for node, each in zip(plan["nodes"], placed, strict=True)}
    frozen = {node["name"] for node in plan["nodes"] if not node["trainable"]}

    def annotate(layer):
        each = by_name[layer.name]
        output: tuple[float, float, int | None] | None = None
        if each.output == "fixed" and each.fixed is not None:
            output = (*each.fixed, None)
        elif each.output == "range":
            output = (*ranges[each.group], each.group)
        config = PlacedConfig(each.weights, output)
        return tfmot.quantization.keras.quantize_annotate_layer(layer, config)

    with tfmot.quantization.keras.quantize_scope(_CUSTOM):
        annotated = tf_keras.models.clone_model(model, clone_function=annotate)
        quantized = tfmot.quantization.keras.quantize_apply(annotated, _AsPlaced(), quantized_layer_name_prefix="")
    low, high = ranges[image.group]
    start = GroupRange(low, high, image.group)
    image_tensor = tf_keras.Input(tuple(plan["shape"]), name="image")
    x = QuantizeLayer(start, name="quantize_image")(image_tensor)
    whole = tf_keras.Model(image_tensor, quantized(x), name=model.name)
    for layer in quantized.layers:
        if layer.name in frozen:
            layer._trainable_weights = []  # tfmot would train every kernel that it quantizes
    return whole


def _kernel(layer):
    return "depthwise_kernel" if isinstance(layer, tf_keras.layers.DepthwiseConv2D) else "kernel"


def _weights_quantizer(kind):
    if kind == "depthwise":
        return DepthwiseWeights()
    if kind == "transposed":
        return default_8bit_quantizers.Default8BitConvTransposeWeightsQuantizer()
    if kind == "channel":
        return default_8bit_quantizers.Default8BitConvWeightsQuantizer()
    # Of a fully connected layer: one scale for all, for the converter takes no others.
    return quantizers.LastValueQuantizer(num_bits=8, per_axis=False, symmetric=True, narrow_range=True)
