"""Small networks as users write them, one for each thing that the plan of an int8 file must get right."""

import keras
import numpy as np
from keras import layers, ops
from rewrite_models import randomize

from tfeff.layers import ChannelShuffle, ChannelSplit, GroupConv2D, GroupShift2D, StridedDilatedDepthwiseConv2D

SHAPE = (10, 10, 3)
BUILDERS = {}


def images(count=24, seed=5):
    """float32 (count, 10, 10, 3), within -1 and 1."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


def build(name):
    """The network, with weights as training leaves them."""
    keras.utils.set_random_seed(3)
    image = keras.Input(SHAPE)
    made = BUILDERS[name](image)
    if isinstance(made, keras.Model):
        return made
    return randomize(keras.Model(image, made, name=name.replace("-", "_")), seed=len(name))


def _network(name):
    def register(function):
        BUILDERS[name] = function
        return function

    return register


def _conv(x, filters=8, kernel=3, **options):
    return layers.Conv2D(filters, kernel, padding="same", **options)(x)


def _end(x):
    return layers.Dense(5)(layers.GlobalAveragePooling2D()(x))


def _between(*makes):
    """A chain of convolutions; what each of `makes` makes, layers or functions, stands between two of them."""

    def build(image):
        x = _conv(image)
        for make in makes:
            for piece in make():
                x = piece(x)
            x = _conv(x, 8, 1)
        return _end(x)

    return build


def _built_in(*activations):
    return _between(*(lambda a=name: [layers.Conv2D(8, 3, padding="same", activation=a)] for name in activations))


def _layers(*activations):
    return _between(*(lambda a=name: [layers.BatchNormalization(), layers.Activation(a)] for name in activations))


BUILDERS |= {
    "built-in-activations": _built_in("sigmoid", "hard_silu", "tanh", "leaky_relu"),
    "more-built-in-activations": _built_in("silu", "hard_sigmoid", "relu6", "softmax"),
    "activations": _layers("sigmoid", "hard_silu", "tanh", "relu6"),
    "more-activations": _layers("silu", "hard_sigmoid", "leaky_relu", "softmax"),
    "slopes": _between(
        lambda: [layers.LeakyReLU(0.1)],
        lambda: [layers.PReLU(shared_axes=[1, 2])],
        lambda: [layers.ReLU(1.0)],
        lambda: [layers.ReLU(negative_slope=0.2)],
    ),
    "pools": _between(
        lambda: [layers.AveragePooling2D(3, 1, padding="same")],
        lambda: [layers.MaxPooling2D(2), layers.ReLU()],
        lambda: [layers.AveragePooling2D(2), layers.ReLU(6.0)],
    ),
    "ups": _between(
        lambda: [layers.MaxPooling2D(3), layers.UpSampling2D(2)],
        lambda: [layers.UpSampling2D(2, interpolation="bilinear")],
        lambda: [layers.MaxPooling2D(3), layers.Conv2DTranspose(6, 3, 2, padding="same", activation="relu")],
        lambda: [layers.Conv2DTranspose(6, 3, 2), layers.BatchNormalization(), layers.ReLU()],
    ),
    "moves": _between(
        lambda: [layers.Cropping2D(1), layers.ZeroPadding2D(((1, 2), (0, 1)))],
        lambda: [layers.Permute((2, 1, 3))],
        lambda: [ChannelShuffle(2)],
        lambda: [layers.Conv2D(9, 1), GroupShift2D(3)],
    ),
    "convolutions": _between(
        lambda: [layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), layers.BatchNormalization()],
        lambda: [GroupConv2D(8, 3, 4, padding="same"), layers.ReLU(6.0)],
        lambda: [layers.Conv2D(8, 3, padding="same", groups=2, use_bias=False), layers.BatchNormalization()],
        lambda: [layers.SeparableConv2D(8, 3, activation="relu"), layers.BatchNormalization()],
        lambda: [StridedDilatedDepthwiseConv2D(3, 2, 2), layers.BatchNormalization()],
    ),
    "arithmetic": _between(lambda: [lambda x: ops.relu(x * 2.0 + 0.5), lambda x: 1.0 - x]),
    "stand-alone-norm": _between(lambda: [layers.ReLU(), layers.MaxPooling2D(), layers.BatchNormalization()]),
    "global-max": lambda image: layers.Dense(5)(layers.GlobalMaxPooling2D()(_conv(image))),
    "mean": lambda image: layers.Dense(5)(ops.mean(_conv(image), axis=(1, 2))),
    "rescaling": lambda image: _end(_conv(layers.Rescaling(0.5, 0.25)(image), activation="relu")),
    "normalization": lambda image: _end(_conv(_normalized(image), activation="relu")),
    "flatten": lambda image: layers.Dense(5)(
        layers.Dense(16, activation="relu")(layers.Flatten()(layers.MaxPooling2D()(_conv(image))))
    ),
    "dense-norm": lambda image: layers.Dense(5)(
        layers.ReLU()(layers.BatchNormalization()(layers.Dense(16)(layers.Flatten()(layers.MaxPooling2D()(image)))))
    ),
    "ends-in-softmax": lambda image: layers.Softmax()(_end(_conv(image))),
    "ends-in-built-in-softmax": lambda image: layers.Dense(5, activation="softmax")(
        layers.GlobalAveragePooling2D()(_conv(image))
    ),
    "ends-in-sigmoid": lambda image: ops.sigmoid(_end(_conv(image))),
    "ends-in-concat": lambda image: layers.Concatenate()([_conv(image, 4, 1), _conv(image, 6)]),
    "ends-in-reshape": lambda image: layers.Reshape((50, 12))(_conv(image, 6, activation="relu")),
    "ends-in-map": lambda image: _conv(_conv(image, activation="relu"), 4, 1),
}


def _normalized(image):
    return layers.Normalization(mean=[0.1, 0.2, -0.1], variance=[0.3, 0.5, 0.4])(image)


@_network("two-gates-joined")
def _two_gates(image):
    """What is joined has one scale by specification."""
    return _end(_conv(layers.Concatenate()([_conv(image, activation="sigmoid"), ops.sigmoid(_conv(image, 4))]), 6, 1))


@_network("gate-joined-with-others")
def _gate_joined(image):
    return _end(_conv(layers.Concatenate()([_conv(image, activation="tanh"), _conv(image, 4)]), 6, 1))


@_network("gate-read-twice")
def _gate_read_twice(image):
    x, gate = _conv(image), _conv(image, activation="sigmoid")
    return _end(layers.Concatenate()([gate, layers.Multiply()([x, gate])]))


@_network("shared-only")
def _shared_only(image):
    """Nothing in it but a model within the model and a layer that is called twice."""
    inner = keras.Sequential([keras.Input((10, 10, 8)), layers.Conv2D(8, 3, padding="same"), layers.ReLU()])
    shared = layers.Conv2D(8, 1, activation="relu6")
    return _end(shared(inner(shared(_conv(image)))))


@_network("functional-relu")
def _functional_relu(image):
    x = keras.activations.relu(layers.BatchNormalization()(_conv(image)))
    return _end(ops.relu6(ops.relu(x + _conv(x, 8, 1)) * 2.0))


def _valid(x, filters=8):
    """A convolution that reads no padding, into which the converter folds numbers."""
    return layers.Conv2D(filters, 3, activation="relu")(x)


BUILDERS |= {
    "rescaling-then-valid": lambda image: _end(_valid(layers.Rescaling(0.5, 0.25)(image))),
    "normalization-then-valid": lambda image: _end(_valid(_normalized(image))),
    "numbers-then-valid": lambda image: layers.Dense(5)(
        layers.GlobalAveragePooling2D()(_valid(_valid(_conv(image) + 0.3) * 3.0)) / 4.0
    ),
    "numbers-behind": lambda image: _end(_conv(layers.ReLU()(_conv(image) * 0.5 - 0.1), 6, 1)) * 0.5,
}


@_network("functional-activations")
def _functional_activations(image):
    x = ops.hard_silu(_conv(image))
    x = ops.leaky_relu(ops.silu(_conv(x, 8, 1)), 0.1)
    x = keras.activations.relu(_conv(x, 8, 1), max_value=6)
    return _end(layers.Multiply()([x, ops.hard_sigmoid(_conv(x, 8, 1))]))


@_network("maximum-with-a-number")
def _maximum(image):
    return _end(_conv(ops.minimum(ops.maximum(_conv(image), -0.5), 1.5), 6, 1))


@_network("any-size")
def _any_size(_):
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="hard_silu")(image)
    return randomize(keras.Model(image, _end(layers.Concatenate()([x, _conv(x, 4, 1)]))))


@_network("gate")
def _gate(image):
    x = _conv(image, activation="relu")
    gate = layers.Conv2D(4, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return _end(layers.Multiply()([x, layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)]))


@_network("sigmoid-gate")
def _sigmoid_gate(image):
    x = _conv(image, activation="relu")
    gate = layers.Dense(8, activation="sigmoid")(layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D()(x)))
    return _end(x * layers.Reshape((1, 1, 8))(gate))


@_network("residual")
def _residual(image):
    """A tensor with three readers; ReLU behind a sum."""
    x = _conv(image)
    y = layers.BatchNormalization()(_conv(layers.ReLU()(x), use_bias=False))
    z = layers.ReLU()(layers.Add()([x, y]))
    return _end(layers.Add()([z, x, _conv(x, 8, 1)]))


@_network("merges")
def _merges(image):
    a, b = _conv(image), _conv(image, 8, 1)
    x = layers.Maximum()([a, b])
    y = layers.Minimum()([a, b])
    return _end(layers.ReLU()(layers.Subtract()([layers.Average()([x, b]), y])))


@_network("relu-behind-concat")
def _relu_behind_concat(image):
    return _end(_conv(layers.ReLU()(layers.Concatenate()([_conv(image, 4), _conv(image, 4, 1) * 3.0])), 6, 1))


@_network("joined-twice")
def _joined_twice(image):
    """Halves of two tensors of unlike ranges, each in two concatenations."""
    small, large = _conv(image), _conv(image, 8, 1) * 5.0
    one = _conv(layers.Concatenate()([small[..., :4], large[..., :4]]), 4, 1)
    other = _conv(layers.Concatenate()([small[..., 4:], large[..., 4:]]), 4, 1)
    return _end(layers.Add()([one, other]))


@_network("split")
def _split(image):
    first, second = ChannelSplit(2)(_conv(image, activation="relu"))
    third, fourth = ops.split(_conv(second, 8, 1), 2, axis=-1)
    return _end(layers.Concatenate()([first, third, layers.ReLU()(fourth), first[..., ::-1]]))


@_network("nested")
def _nested(image):
    """A model within the model, and a layer that is called twice."""
    inner = keras.Sequential(
        [keras.Input((10, 10, 8)), layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU()]
    )
    shared = layers.Conv2D(8, 1, activation="relu6")
    return _end(shared(inner(shared(_conv(image)))))


@_network("one-by-one-norms")
def _norms(image):
    x = layers.ReLU()(layers.BatchNormalization()(_conv(image, use_bias=False)))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, use_bias=False)(x)))
    return _end(layers.BatchNormalization()(_conv(x, 6, 1, use_bias=False)))


def _with_weights(layer_name, change):
    """A network of three convolutions, one of which gets other weights."""

    def build(image):
        x = _conv(image, activation="relu", name="first")
        x = _conv(x, 8, 3, activation="relu", name="second")
        model = randomize(keras.Model(image, _end(x), name=layer_name))
        kernel, bias = model.get_layer(layer_name).get_weights()
        model.get_layer(layer_name).set_weights(change(kernel, bias))
        return model

    return build


def _dead(kernel, bias):
    return kernel, np.full_like(bias, -1000)


def _empty_channels(kernel, bias):
    kernel[..., 2:4], bias[2:4] = 0, (0.3, -0.2)
    return kernel, bias


def _tiny_channel(kernel, bias):
    """As batch normalization leaves a channel that weight decay has switched off."""
    kernel[..., 2], bias[2] = kernel[..., 2] * 1e-12, 0.7
    return kernel, bias


BUILDERS |= {
    "dead-first": _with_weights("first", _dead),
    "dead-second": _with_weights("second", _dead),
    "empty-channels": _with_weights("second", _empty_channels),
    "tiny-channel": _with_weights("second", _tiny_channel),
}


def least_and_largest(path, batch):
    """The range of every tensor of a float file that is to be quantized, by its number; `batch` by input, (n, ...)."""
    from tfeff.calibration import Activations

    network, ends = Activations(path), {}
    for number in range(len(next(iter(batch.values())))):
        network.run({name: values[number] for name, values in batch.items()})
        for tensor in network.tensors:
            value, (low, high) = network.value(tensor), ends.get(tensor.index, (0.0, 0.0))
            ends[tensor.index] = min(low, float(value.min())), max(high, float(value.max()))
    return ends


def make_int8(planned, folder, batches, converter, outputs=("logits",), **options):
    """Int8 files of many networks with as few requests to the converter as can be.

    Args:
        planned: {name: (the network, its fake-quant graph)}.
        batches: {input: (n, ...)}, or float32 (n, h, w, c) of one image; for all, or by name.
        outputs: names of the outputs.
        options: of `Int8File`.

    Returns:
        {name: (the Int8File, the path of its int8 file, the ranges)}.
    """
    from tfeff.data import InputPort
    from tfeff.export.quantize import Int8File

    def of(name):
        own = batches[name] if isinstance(batches, dict) and name in batches else batches
        return own if isinstance(own, dict) else {"image": own}

    files, jobs = {}, []
    for name, (model, graph) in planned.items():
        ports = [InputPort(each, values.shape[1:], str(values.dtype)) for each, values in of(name).items()]
        files[name] = Int8File(model, graph, folder / f"{name}.parts", ports, outputs, **options)
        paths = {each: folder / f"{name}.{each}.npy" for each in of(name)}
        for each, values in of(name).items():
            np.save(paths[each], values[:1])
        jobs.append(files[name].job(paths))
    converter.convert(jobs)
    made = {}
    for name, file in files.items():
        file.take()
        ranges = least_and_largest(file.path, of(name))
        path = folder / f"{name}.tflite"
        file.quantize(ranges, {"int8": path}, converter)
        made[name] = file, path, ranges
    return made
